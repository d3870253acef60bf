"""Reaching a Docker engine, and saying why it cannot be reached: one cause and one command each."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.engines.docker.address import Address, candidates
from orchestrator.errors import EnvironmentFault

CONNECT_SECONDS = 3
LOOK_SECONDS = 15
"""For questions. An engine that is silent for longer hangs."""
CHANGE_SECONDS = 90
"""For changes: copying an image's data to a new volume takes its time on a slow disk."""
LEAST_API = (1, 41)
"""Docker 20.10, Podman 4."""
THREADS = 16

INSTALL = "install Docker: https://docs.docker.com/get-docker/"


@dataclass(frozen=True, slots=True)
class Connection:
    """An engine that has answered. ``look`` and ``change`` are API clients that differ in their patience."""

    address: Address
    look: Any
    change: Any
    version: str
    podman: bool

    def close(self) -> None:
        """Let go of both clients' sockets."""
        self.look.close()
        self.change.close()


def connect(environ: Mapping[str, str]) -> Connection:
    """The first engine that answers. ``EnvironmentFault("engine-unreachable")`` with one cause and one command."""
    problems: list[EnvironmentFault] = []
    for address in candidates(environ):
        if address.socket is not None and not address.chosen and not address.socket.exists():
            continue
        try:
            return _open(address)
        except EnvironmentFault as error:
            problems.append(error)
    raise problems[0] if problems else _nowhere()


def _open(address: Address) -> Connection:
    """Asked once, for at most ``CONNECT_SECONDS``."""
    if not address.local:
        raise _fault(f"the engine at {address.url} ({address.origin}) is not on this machine: its services would not "
                     "be at 127.0.0.1 here", _let_go(address))
    from docker import APIClient

    _refuse_unreadable_settings()
    said = _ask(address)
    api = str(said["ApiVersion"])
    if tuple(int(part) for part in api.split(".")) < LEAST_API:
        raise _fault(f"the Docker engine at {address.url} ({address.origin}) is too old: it speaks API {api}, and labs "
                     f"needs {'.'.join(map(str, LEAST_API))}", "update Docker to 20.10 or later")
    clients = []
    for seconds in (LOOK_SECONDS, CHANGE_SECONDS):
        client = APIClient(address.url, version=api, timeout=seconds, max_pool_size=THREADS)
        client.trust_env = False  # a proxy for the web is not one for the engine
        clients.append(client)
    _refuse_beside(address, clients[0])
    podman = any("podman" in str(part.get("Name", "")).lower() for part in said.get("Components") or [])
    version = ("Podman " if podman else "") + str(said.get("Version", ""))
    return Connection(address, clients[0], clients[1], version, podman)


def _refuse_unreadable_settings() -> None:
    """Each client that the library makes reads Docker's settings; what is wrong there is not the engine's fault."""
    from docker import APIClient
    from docker.utils.config import find_config_file

    try:
        APIClient("unix:///nowhere.sock", version="1.41").close()  # asks nobody
    except Exception as error:
        path = str(find_config_file())
        raise _fault(f"Docker's settings file {path} cannot be used ({type(error).__name__}: {str(error)[:200]})",
                     f"mv {path} {path}.old") from error


def _refuse_beside(address: Address, client: Any) -> None:
    """An engine that knows the container in which we are runs outside it: its services are at 127.0.0.1 there."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    container = own_container()
    try:
        mode = client.inspect_container(container)["HostConfig"]["NetworkMode"] if container else "host"
    except (DockerException, RequestException, KeyError, TypeError):
        return  # it does not know us: it is in here, with us
    if mode != "host":
        raise _fault(f"the engine at {address.url} ({address.origin}) is your host's, and labs is in a container "
                     "(a dev container?): its services would not be at 127.0.0.1 here",
                     'give your container the host\'s network ("runArgs": ["--network=host"] in devcontainer.json)')


def own_container(mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The id of the container in which we are, from the files that Docker and Podman put into each; else ``""``."""
    try:
        text = mounts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"/([0-9a-f]{64})/\S* /etc/(?:hostname|hosts|resolv\.conf) ", text)
    return found[1] if found else ""


def _ask(address: Address) -> dict[str, Any]:
    """The engine's word on its versions, within ``CONNECT_SECONDS``."""
    from docker import APIClient
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        if address.socket is not None:  # the library would lose the socket, and its own error, if nobody is there
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(CONNECT_SECONDS)
                probe.connect(str(address.socket))
        # The question is the same in every version of the API.
        with contextlib.closing(APIClient(address.url, version="1.41", timeout=CONNECT_SECONDS)) as client:
            client.trust_env = False
            said: dict[str, Any] = client.version(api_version=False)
        [int(part) for part in str(said["ApiVersion"]).split(".")]
        return said
    except (DockerException, RequestException, OSError) as error:
        raise _fault(*why_unreachable(address, error, start_command())) from error
    except (KeyError, TypeError, ValueError) as error:
        raise _fault(f"what answers at {address.url} ({address.origin}) is not a Docker engine",
                     _let_go(address)) from error


def why_unreachable(address: Address, error: BaseException, start: str) -> tuple[str, str]:
    """What is wrong and the command that helps, from the system's error at the bottom: absent, stopped, hung, shut."""
    causes = list(_causes(error))
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    text = " ".join(str(cause) for cause in causes).lower()
    where = f"{address.url} ({address.origin})"
    if numbers & {errno.EACCES, errno.EPERM} or "permission denied" in text:
        return f"you may not use Docker at {where}", "sudo usermod -aG docker $USER   (then log in again)"
    if errno.ENOENT in numbers or "no such file" in text:
        return f"there is no Docker at {where}", _let_go(address) if address.chosen else start
    if errno.ECONNREFUSED in numbers or "connection refused" in text:
        return f"Docker is not running at {where}", start
    if isinstance(error, TimeoutError) or "timed out" in text:
        restart = "docker desktop restart" if sys.platform == "darwin" else "sudo systemctl restart docker"
        return f"Docker at {where} does not answer within {CONNECT_SECONDS} s", restart
    return f"what answers at {where} is not a Docker engine: {str(error)[:200]}", _let_go(address)


def start_command(platform: str = sys.platform, which: Callable[[str], str | None] = shutil.which,
                  applications: Path = Path("/Applications")) -> str:
    """What starts the engine that seems to be installed here; where none is, what installs one."""
    if platform == "darwin":
        if (applications / "Docker.app").exists():
            return "open -a Docker"
        for program, command in (("colima", "colima start"), ("podman", "podman machine start")):
            if which(program):
                return command
        return INSTALL
    if which("dockerd"):
        return "sudo systemctl start docker"
    if which("podman"):
        return "systemctl --user start podman.socket"
    return "systemctl --user start docker-desktop" if which("docker") else INSTALL


def _nowhere() -> EnvironmentFault:
    start = start_command()
    what = "no Docker engine is on this machine" if start == INSTALL else "Docker is installed, but it is not running"
    return _fault(what, start)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from, as far as libraries kept it."""
    waiting: Sequence[BaseException | None] = [error]
    seen: list[BaseException] = []
    while waiting:
        found = [one for one in waiting if one is not None and one not in seen]
        seen += found
        yield from found
        waiting = [inner for one in found for inner in (
            one.__cause__, one.__context__, *(part for part in one.args if isinstance(part, BaseException)),
            getattr(one, "reason", None))
            if isinstance(inner, BaseException)]


def _let_go(address: Address) -> str:
    """How to stop choosing this address."""
    if address.origin in ("LABS_DOCKER_HOST", "DOCKER_HOST"):
        return f"unset {address.origin}"
    return "docker context use default" if address.chosen else "labs doctor"


def _fault(what: str, hint: str) -> EnvironmentFault:
    return EnvironmentFault(what, code="engine-unreachable", hint=hint)
