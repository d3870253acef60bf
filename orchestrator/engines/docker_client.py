"""Reaching a Docker engine, and its errors as ours: by their cause, one sentence and one command each."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

from orchestrator.engines.address import Address
from orchestrator.errors import EnvironmentFault

CONNECT_SECONDS = 3
CALL_SECONDS = 120
LEAST_API = (1, 41)
INSTALL = "install Docker: https://docs.docker.com/get-docker/"


@contextlib.contextmanager
def ignoring(*statuses: int) -> Iterator[None]:
    """Answers of the engine that mean: it is so already, or it is gone."""
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        if error.status_code not in statuses:
            raise


def of_api(what: str, error: Any) -> EnvironmentFault:
    text = str(error.explanation or error)
    low = text.lower()
    if "port is already allocated" in low or "address already in use" in low or "ports are not available" in low:
        return EnvironmentFault(f"{what}: its port is taken by another program", code="port-busy", hint="labs status")
    if "no space left on device" in low:
        return EnvironmentFault(f"{what}: the disk is full", code="disk-full", hint="labs clean")
    if error.status_code == 409 and "already in use" in low:
        return EnvironmentFault(f"{what}: it is there already", code="exists", hint="labs status")
    return EnvironmentFault(f"{what}: {text}", code="engine-failed", hint="labs doctor")


def open_client(address: Address) -> Any:
    """A client whose engine has answered within 3 seconds, or one sentence of why not."""
    if not address.local:
        raise EnvironmentFault(f"the engine at {address.url} ({address.origin}) is on another machine: its services "
                               "would not be on this machine's 127.0.0.1", code="engine-unreachable",
                               hint="unset DOCKER_HOST, or choose --engine embedded")
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        client = docker.DockerClient(base_url=address.url, version="auto", timeout=CONNECT_SECONDS, max_pool_size=32)
    except (DockerException, RequestException, OSError) as error:
        raise _unreachable(address, error) from error
    version = str(client.api.version(api_version=False)["ApiVersion"])
    if tuple(int(part) for part in version.split(".")) < LEAST_API:
        raise EnvironmentFault(f"the Docker engine at {address.url} is too old (API {version}, needed: 1.41)",
                               code="engine-unreachable", hint="update Docker to 20.10 or newer")
    client.api.timeout = CALL_SECONDS
    return client


def _unreachable(address: Address, error: BaseException) -> EnvironmentFault:
    """Absent, stopped, hung or forbidden, by the cause's type."""
    causes: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in causes:
        causes.append(seen)
        nested = [part for part in seen.args if isinstance(part, BaseException)]
        seen = seen.__cause__ or seen.__context__ or (nested[0] if nested else None)
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    text = " ".join(str(cause) for cause in causes)
    where = f"{address.url} ({address.origin})"
    if errno.EACCES in numbers or "Permission denied" in text:
        what, hint = f"you may not use Docker at {where}", "sudo usermod -aG docker $USER   (then log in again)"
    elif errno.ENOENT in numbers or "No such file" in text:
        what, hint = f"there is no Docker at {where}", INSTALL
    elif errno.ECONNREFUSED in numbers or "Connection refused" in text:
        what, hint = f"Docker is not running at {where}", "start Docker Desktop, or: sudo systemctl start docker"
    elif "timed out" in text.lower():
        what, hint = f"Docker at {where} does not answer within {CONNECT_SECONDS} s", "restart Docker"
    else:
        what, hint = f"Docker does not answer at {where}: {error}", "labs doctor"
    return EnvironmentFault(what, code="engine-unreachable", hint=hint)
