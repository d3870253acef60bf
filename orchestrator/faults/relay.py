"""The process in front of one service of an environment: it listens where the service did, and carries bytes to it.

It is a program of its own (``python -m orchestrator.faults.relay FILE ID DESCRIPTOR``), and outlives the command that
began it. It knows nothing but its file (``record``), which says where it listens and leads and which faults there are;
it reads it when it is told to on its control port, when a fault's time is over, and once a second. Not named there any
more, it ends. So it can be killed at any moment: whoever reads the file can begin it anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFault
from orchestrator.faults import record
from orchestrator.faults.proxy import Proxy
from orchestrator.faults.record import Breakage, Relay
from orchestrator.model import Endpoint
from orchestrator.system.processes import destroy, identify, look, started_at

EVERY = 1.0
"""Seconds between two looks at the file that nobody asked for."""
PATIENCE = 10.0
"""Seconds in which it has begun, and answers."""


# --- for commands --------------------------------------------------------------------------------------------------

def planned(service: str, listen: Mapping[str, int]) -> Relay:
    """One that is to be there: it has no process yet."""
    return Relay(secrets.token_hex(8), service, listen, {}, 0)


def begin(path: Path, broken: Breakage, service: str, listen: Mapping[str, int], upstream: Mapping[str, int]
          ) -> Breakage:
    """Put a process in front of the service. Returns what is written in the file now.

    Raises ``EnvironmentFault``: ``port-busy``. Then it is not named in the file any more.
    """
    with socket.create_server(("127.0.0.1", 0)) as control:
        relay = replace(planned(service, listen), upstream=upstream, control=control.getsockname()[1],
                        moving=not upstream)
        broken = broken.with_front(relay)
        record.write(path, broken)
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.faults.relay", str(path), relay.id, str(control.fileno())],
            pass_fds=[control.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
        process.returncode = 0  # nobody waits for it: it outlives us
        relay = replace(relay, pid=process.pid, started=started_at(process.pid) or 0.0)
    broken = broken.with_front(relay)
    record.write(path, broken)
    try:
        ask(relay)
    except EnvironmentFault:
        end(relay)
        record.write(path, broken.without_front(service))
        raise
    return broken


def ask(relay: Relay) -> Mapping[str, Any]:
    """Have it look at its file now: what it says then (``connections``). Raises ``EnvironmentFault``."""
    try:
        with socket.create_connection(("127.0.0.1", relay.control), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            with connection.makefile("rb") as stream:
                answer: Mapping[str, Any] = json.loads(stream.readline())
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"the process in front of {relay.service} does not answer", code="link-lost",
                               hint="labs fault list   (puts it right)") from error
    if trouble := answer.get("trouble"):
        raise EnvironmentFault(str(trouble), code="port-busy", hint="labs status")
    return answer


def alive(relay: Relay) -> bool:
    """Whether it is there and works: it has not ended, and nobody has stopped it."""
    with contextlib.suppress(OSError):  # if it was started by us and has ended, it is there until we ask
        os.waitpid(relay.pid, os.WNOHANG)
    process = look([relay.pid]).get(relay.pid) if relay.pid else None
    return process is not None and not process.frozen and started_at(relay.pid) == relay.started


def end(relay: Relay) -> None:
    """It runs no more when this returns, and its ports are free. Harmless twice."""
    pid = relay.pid or _pid(relay)
    identity = identify(pid) if pid else None
    if identity is not None and relay.started in (0.0, started_at(pid)):
        destroy(identity)
    if pid:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def _pid(relay: Relay) -> int:
    """Of one whose command was killed before it could note the pid; 0 if there is none."""
    with contextlib.suppress(EnvironmentFault):
        answer = ask(relay) if relay.control else {}
        if answer.get("id") == relay.id and isinstance(answer.get("pid"), int):
            return int(answer["pid"])
    return 0


# --- the process itself --------------------------------------------------------------------------------------------

class _Duty:
    """What the process knows: its links, and what of the file is in effect."""

    def __init__(self, path: Path, identity: str, proxy: Proxy) -> None:
        self._path = path
        self._id = identity
        self._proxy = proxy
        self._seen: object = None
        self._service = ""
        self._next = 0.0
        self.trouble = ""

    def look(self, *, asked: bool) -> bool:
        """Do as the file says, if it may have changed; whether this process is named in it."""
        try:
            about = self._path.stat()
        except OSError:
            return False
        seen = (about.st_ino, about.st_mtime_ns, about.st_size)
        if not asked and seen == self._seen and (not self._next or time.time() < self._next):
            return True
        self._seen = seen
        broken = record.read(self._path)
        mine = next((one for one in broken.relays if one.id == self._id), None) if broken is not None else None
        if broken is None or mine is None:
            return False
        self._do(broken, mine)
        return True

    def _do(self, broken: Breakage, mine: Relay) -> None:
        if not self._service:
            self._open(mine)
        now = [one for one in broken.of(mine.service) if one.link and not one.over]
        self._next = min((one.until for one in now if one.until), default=0.0)
        self._proxy.shape(self._service, [one.toxic for one in now])
        if mine.upstream:
            self._proxy.redirect(self._service, _endpoint(mine.upstream))

    def _open(self, mine: Relay) -> None:
        others = [name for name in mine.listen if name]
        made = self._proxy.open(mine.service, None, others=others, ports=mine.listen)
        self._service = mine.service
        lost = [port for name, port in mine.listen.items() if {"": made.port, **made.others}[name] != port]
        if lost:
            self.trouble = f"port {lost[0]} is taken by another program"

    def answer(self) -> Mapping[str, Any]:
        """For who asked."""
        count = self._proxy.open_connections(self._service) if self._service else 0
        return {"v": 1, "id": self._id, "pid": os.getpid(), "connections": count, "trouble": self.trouble}

    def patience(self) -> float:
        """Seconds until the next look."""
        return max(0.0, min(EVERY, self._next - time.time())) if self._next else EVERY


def _endpoint(ports: Mapping[str, int]) -> Endpoint:
    return Endpoint(ports[""], others={name: port for name, port in ports.items() if name})


def stand(path: Path, identity: str, control: socket.socket) -> None:
    """Stand in front of the service until the file says no more."""
    with Proxy(remembers=False) as proxy:
        standing = _Duty(path, identity, proxy)
        wanted = standing.look(asked=True)
        while wanted and not standing.trouble:
            control.settimeout(standing.patience())
            asker: socket.socket | None = None
            with contextlib.suppress(OSError):
                asker, _ = control.accept()
            wanted = standing.look(asked=asker is not None)
            if asker is not None:
                _tell(asker, standing)
        if standing.trouble:
            control.settimeout(PATIENCE)
            with contextlib.suppress(OSError):
                _tell(control.accept()[0], standing)


def _tell(asker: socket.socket, standing: _Duty) -> None:
    with asker, contextlib.suppress(OSError):
        asker.settimeout(EVERY)
        asker.sendall(json.dumps(standing.answer()).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stand(Path(sys.argv[1]), sys.argv[2], socket.socket(fileno=int(sys.argv[3])))
