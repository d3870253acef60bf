"""A server that forks pytest children, and a child of it: its imports are there already when it begins.

Only on Linux. Where there is no such server, or where it ended before its first child, each child is a program of its
own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from orchestrator.judge.child_process import PATIENCE, ChildProcess, Launch, Spawned
from orchestrator.judge.command import child_command, child_environment, pytest_arguments

FORKS = sys.platform == "linux"
"""Elsewhere the system's own libraries may break in a forked process: macOS says so of its frameworks."""
STEP = 0.005
LARGEST = 65536


def launcher(server: ForkServer, lab: Path, checks: Sequence[Path], readers: Mapping[str, str],
             roles: Mapping[str, str]) -> Launch:
    """Pytest with a milestone's check files: forked, or a program of its own. The maps as of ``child_command``."""

    def launch(channel: int, output: IO[bytes], folder: Path) -> ChildProcess:
        forked = server.fork(pytest_arguments(lab, checks), child_environment(os.environ, readers, roles),
                             channel=channel, output=output.fileno(), folder=folder)
        return forked or Spawned(child_command(lab, checks, readers, roles), channel, output, folder)

    return launch


class ForkServer:
    """Forks pytest children; started with the first one, or before: it imports while all else is made ready."""

    def __init__(self) -> None:
        self._modules: tuple[str, ...] = ()
        self._lock = threading.RLock()
        self._popen: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._count = 0
        self._before = 0
        """Children up to this number were asked of a server that has ended: nobody knows whose their numbers are."""
        self._pids: dict[int, int] = {}
        self._statuses: dict[int, int] = {}
        self._proved = False

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expect(self, modules: Sequence[str]) -> None:
        """Children will need these modules, beside pytest."""
        with self._lock:
            if self._modules != tuple(modules):
                self._modules = tuple(modules)
                self._import()
            self.begin()

    def begin(self) -> bool:
        """Start it, if it does not run. Whether children can be forked: not where one ended before its first child."""
        with self._lock:
            self._hear()
            if self._control is not None:
                return True
            if not FORKS or (self._popen is not None and not self._proved):
                return False
            self._end()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                try:
                    # What it says nobody needs: where it cannot import, the first child says why, as its own program.
                    self._popen = subprocess.Popen(
                        [sys.executable, "-I", "-B", "-m", "orchestrator.checks.fork_server", str(theirs.fileno())],
                        env=child_environment(os.environ, {}, {}), cwd="/", start_new_session=True,
                        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                except BaseException:
                    ours.close()
                    raise
            self._control, self._proved, self._before = ours, False, self._count
            self._import()
            return True

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], *, channel: int, output: int,
             folder: Path) -> Forked | None:
        """A child that runs pytest with these arguments, as soon as the server has imported; None: none can be had."""
        with self._lock:
            if not self.begin() or self._control is None:
                return None
            self._count += 1
            message = {"fork": self._count, "pytest": list(arguments), "environment": dict(environment),
                       "folder": str(folder)}
            try:
                socket.send_fds(self._control, [json.dumps(message).encode()], [channel, output])
            except OSError:
                self._lost()
                return None
            return Forked(self, self._count)

    def close(self) -> None:
        """End it. Its children have channels of their own, and are closed by those who asked for them."""
        with self._lock:
            self._lost()
            self._end()

    def pid_of(self, number: int) -> int | None:
        """The child's process, waited for; None if the server ended before it was forked."""
        return self._wait_for(self._pids, number)

    def status_of(self, number: int, *, wait: bool) -> int | None:
        """The child's exit status once it has ended."""
        if wait:
            return self._wait_for(self._statuses, number)
        with self._lock:
            self._hear()
            return self._statuses.get(number)

    def runs(self, number: int) -> bool:
        """Whether the server that was asked for this child has not ended."""
        with self._lock:
            self._hear()
            return self._control is not None and number > self._before

    def forget(self, number: int) -> None:
        """The child may be reaped."""
        with self._lock:
            self._statuses.pop(number, None)
            if self._pids.pop(number, None) is not None and self._control is not None:
                with contextlib.suppress(OSError):
                    self._control.send(json.dumps({"reap": number}).encode())

    def _import(self) -> None:
        # Should it have ended, the next question to it says so.
        if self._control is not None and self._modules:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps({"import": self._modules}).encode())

    def _wait_for(self, values: dict[int, int], number: int) -> int | None:
        end = time.monotonic() + PATIENCE
        while True:
            with self._lock:
                if not self.runs(number) or number in values or time.monotonic() > end:
                    return values.get(number)
            time.sleep(STEP)

    def _hear(self) -> None:
        """Take what the server has said by now."""
        while self._control is not None:
            try:
                data = self._control.recv(LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            said: dict[str, Any] = json.loads(data)
            if "forked" in said:
                self._proved = True
                self._pids[said["forked"]] = said["pid"]
            elif said["ended"] in self._pids:
                self._statuses[said["ended"]] = said["status"]

    def _end(self) -> None:
        """Reap it: it ends by itself when the control is closed, unless it imports still."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(PATIENCE)

    def _lost(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        self._pids.clear()


class Forked:
    """A child of a fork server."""

    def __init__(self, server: ForkServer, number: int) -> None:
        self._server = server
        self._number = number

    @property
    def pid(self) -> int | None:
        """The process."""
        return self._server.pid_of(self._number)

    def ended(self) -> bool:
        """The server tells; with the server's own end nobody listens to its children any more."""
        return self._server.status_of(self._number, wait=False) is not None or not self._server.runs(self._number)

    def kill(self) -> None:
        """The server has not reaped it: the number is the child's. It may not have its own group yet."""
        pid = self.pid
        if pid is not None:
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """The status, which the server said."""
        status = self._server.status_of(self._number, wait=True)
        self._server.forget(self._number)
        return status
