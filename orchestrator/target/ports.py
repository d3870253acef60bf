"""Ports on the loopback, and who a process is."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

from orchestrator.errors import EnvironmentFault

LOWEST = 15000
"""Below it are the ports that people know by number."""


@cache
def _highest() -> int:
    """The last port below the ephemeral range: a port above may be taken at any moment by an outgoing connection."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        low = int(text.split()[0])
    except (OSError, ValueError, IndexError):
        low = 49152 if sys.platform == "darwin" else 32768
    return low - 1 if low > LOWEST + 1000 else 65535


def is_free(port: int) -> bool:
    """Nobody listens on it on 127.0.0.1 or ::1, and it can be bound without SO_REUSEADDR."""
    return not _answers(socket.AF_INET, "127.0.0.1", port) and not _answers(socket.AF_INET6, "::1", port) and (
        _binds(port))


def _answers(family: int, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.5)
            probe.connect((host, port))
    except TimeoutError:
        return True
    except OSError:
        return False
    return True


def _binds(port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        return False
    return True


def free_port(*, prefer: int | None = None, avoid: Collection[int] = ()) -> int:
    """A free port: ``prefer`` or one of the next few, else one at random below the ephemeral range.

    At random, so that two commands at once rarely meet; who loses the race gets ``port-busy`` and asks again.
    """
    if prefer is not None:
        for port in range(prefer, min(prefer + 20, 65536)):
            if port not in avoid and is_free(port):
                return port
    source = random.SystemRandom()
    for _ in range(200):
        port = source.randint(LOWEST, _highest())
        if port not in avoid and is_free(port):
            return port
    raise EnvironmentFault("no free port was found on 127.0.0.1", code="port-busy", hint="close programs that listen")


def process_started(pid: int) -> float | None:
    """When the process started, in a form that tells it from a later one with the same pid; ``None`` if it is gone.

    Linux: clock ticks since boot. macOS: what ``ps`` says, as seconds. A zombie is gone.
    """
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else float(fields[19])
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False,
                            env={**os.environ, "LC_ALL": "C"})
    state, _, started = answer.stdout.strip().partition(" ")
    if answer.returncode != 0 or state.startswith("Z"):
        return None
    from datetime import datetime

    return datetime.strptime(started.strip(), "%a %b %d %H:%M:%S %Y").timestamp()


def port_owner_pids(port: int) -> set[int]:
    """Processes with a socket that listens on this port (any address). Linux; elsewhere and where hidden: empty."""
    inodes = _listening_inodes(port)
    return {pid for pid in _pids() if inodes & _socket_inodes(pid)} if inodes else set()


def listening_ports(pids: Collection[int]) -> set[tuple[str, int]]:
    """``(family, port)`` of every listening socket of these processes, family ``ipv4`` or ``ipv6``. Linux only."""
    own = set().union(*(_socket_inodes(pid) for pid in pids)) if pids else set()
    return {(family, port) for family, port, inode in _listeners() if inode in own}


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are all we need
    except OSError:
        return []


def _listeners() -> list[tuple[str, int, str]]:
    found = []
    for family, table in (("ipv4", "/proc/net/tcp"), ("ipv6", "/proc/net/tcp6")):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":
                found.append((family, int(fields[1].rpartition(":")[2], 16), fields[9]))
    return found


def _listening_inodes(port: int) -> set[str]:
    return {inode for _, number, inode in _listeners() if number == port}


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                link = os.readlink(entry)  # noqa: PTH115 - not a path: socket:[123]
                if link.startswith("socket:["):
                    found.add(link[8:-1])
    return found
