"""The target: the learner's server as a process of ours, from start to ready to gone."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from orchestrator.model import Workspace
from orchestrator.target.kept import KeptProcess
from orchestrator.target.ports import listening_ports, port_owner_pids
from orchestrator.toolchains import how_to_get

POLL_EVERY = 0.015
ANSWER_SECONDS = 2.0
STATUS_LINE = re.compile(rb"HTTP/1\.[01] \d{3}")


class TargetInvalid(Exception):
    """The server cannot be built or run. ``reason`` is a reason id; ``port-taken-by-other`` alone is our fault."""

    def __init__(self, reason: str, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.log = log

    @property
    def ours(self) -> bool:
        return self.reason == "port-taken-by-other"


class Target:
    """One server on one port. ``start`` returns when ``GET /health`` has answered any HTTP status."""

    def __init__(self, workspace: Workspace, *, port: int, environment: Mapping[str, str], run_id: str,
                 start_budget: float, scratch: Path) -> None:
        self._workspace = workspace
        self._environment = {**environment, "PORT": str(port), "LABS_RUN": run_id}
        self._start_budget = start_budget
        self._scratch = scratch
        self._process: KeptProcess | None = None
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Start it and wait until it is ready. Raises ``TargetInvalid``; what was started is then ended."""
        if _listens(self.port):
            raise TargetInvalid("port-taken-by-other", f"another program listens on port {self.port}")
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._process = KeptProcess(self._argv(), folder=self._workspace.folder, environment=self._environment)
        try:
            self._wait_ready(self._process)
        except BaseException:
            self._process.end(0)
            raise

    def _argv(self) -> list[str]:
        """``run``, its program found: a path is the workspace's, a name is looked up on the target's PATH."""
        program, *arguments = self._workspace.run
        if "/" in program:
            path = self._workspace.folder / program
            if not path.is_file():
                raise TargetInvalid("toolchain-missing", f"{program} of run in workspace.toml does not exist; "
                                    "was the server built?")
            return [str(path), *arguments]
        found = shutil.which(program, path=self._environment.get("PATH"))
        if found is None:
            raise TargetInvalid("toolchain-missing", f"{program} was not found on this machine; {how_to_get(program)}")
        return [found, *arguments]

    def _wait_ready(self, process: KeptProcess) -> None:
        end = time.monotonic() + self._start_budget
        while True:
            if process.wait(0):
                self._raise_ended(process)
            if _answers_http(self.port):
                break
            if time.monotonic() >= end:
                raise TargetInvalid("never-bound", self._why_not_bound(process), process.output.text(40))
            process.wait(POLL_EVERY)
        tree = process.tree()
        if process.pid not in tree:
            # Something answers, but the first process is gone; the keeper is about to say how it ended.
            process.wait(1.0)
            self._raise_ended(process)
        owners = port_owner_pids(self.port)
        if owners and not owners & tree:
            raise TargetInvalid("port-taken-by-other", f"another program answers on port {self.port}")

    def _raise_ended(self, process: KeptProcess) -> None:
        """The first process is over: say how, and whether something that it left behind serves in its place."""
        process.output.finish(0.2)
        log = process.output.text(40)
        if process.failure:
            raise TargetInvalid("exited", f"the server could not be started: {process.failure}", log)
        status = process.status if process.status is not None else 0
        left = process.tree()
        if status == 0 and left:
            # A daemon needs a moment until it listens; waiting for it tells "it left" from "it serves".
            end = time.monotonic() + 2.0
            while time.monotonic() < end and process.tree():
                if port_owner_pids(self.port) & process.tree() or _listens(self.port):
                    raise TargetInvalid("daemonised", "the server moved itself to the background; "
                                        "run it in the foreground, so that it can be stopped", log)
                time.sleep(POLL_EVERY)
        raise TargetInvalid("exited", f"the server ended by itself ({describe_status(status)}) before GET /health "
                            "was answered", log)

    def _why_not_bound(self, process: KeptProcess) -> str:
        budget = f"{self._start_budget:.0f} s"
        sockets = listening_ports(process.tree())
        if ("ipv4", self.port) in sockets or _listens(self.port):
            return f"the server listens on port {self.port}, but GET /health got no HTTP answer within {budget}"
        if ("ipv6", self.port) in sockets:
            return (f"the server listens on port {self.port} on ::1 only; it must listen on 127.0.0.1 "
                    "(or on all addresses)")
        if sockets:
            others = ", ".join(str(port) for _, port in sorted(sockets))
            return (f"the server listens on port {others}, but must listen on the port that the variable PORT names "
                    f"({self.port} this time)")
        return f"the server did not listen on port {self.port} (the variable PORT) within {budget}"

    def alive(self) -> bool:
        """Whether the server's first process runs."""
        return self._process is not None and self._process.running

    def status(self) -> int | None:
        """The exit status of the server's last first process; ``None`` while it runs."""
        return self._process.status if self._process is not None else None

    def stop(self, grace: float = 5.0) -> int:
        """SIGTERM, and SIGKILL to all that is left after ``grace`` seconds; the exit status (negative: a signal)."""
        if self._process is None:
            return 0
        status = self._process.end(grace)
        self._wait_port_free()
        return -signal.SIGKILL if status is None else status

    def kill(self) -> None:
        """SIGKILL to all."""
        self.stop(0)

    def _wait_port_free(self) -> None:
        """The kernel closes a killed process's sockets a moment after it is gone."""
        end = time.monotonic() + 2.0
        while _listens(self.port) and time.monotonic() < end:
            time.sleep(POLL_EVERY)

    def log(self, lines: int = 40) -> str:
        """The last lines of the server's output, escaped."""
        return self._process.output.text(lines) if self._process is not None else ""

    def close(self) -> None:
        """End everything at once and remove the scratch folder. Harmless twice."""
        self.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)


def describe_status(status: int) -> str:
    """``exit status 1`` or ``killed by SIGSEGV``."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except TimeoutError:
        return True
    except OSError:
        return False


def _answers_http(port: int) -> bool:
    """One ``GET /health`` over a fresh connection; any status line is an answer."""
    request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    data = b""
    end = time.monotonic() + ANSWER_SECONDS
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(request)
            while len(data) < 12 and (left := end - time.monotonic()) > 0:
                connection.settimeout(left)
                more = connection.recv(4096)
                if not more:
                    break
                data += more
    except OSError:
        return False
    return STATUS_LINE.match(data) is not None
