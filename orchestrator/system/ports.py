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
from typing import NamedTuple

from orchestrator.errors import EnvironmentFault

BIND_TO = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104
"""Bound for a moment and never listened on."""
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
    """Nobody listens on it on 127.0.0.1 or ::1, and a server can have it.

    It can be bound without SO_REUSEADDR on the loopback and on all addresses: many servers listen on ``0.0.0.0``.
    """
    return (
        not _answers(socket.AF_INET, "127.0.0.1", port)
        and not _answers(socket.AF_INET6, "::1", port)
        and all(_binds(family, host, port) for family, host in BIND_TO)
    )


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


def _binds(family: int, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError as error:
        # Whatever else is wrong (no IPv6 here, an odd kernel) says nothing about this port.
        return error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EPERM)
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

    Seconds: since boot on Linux, since 1970 on macOS. A zombie is gone.
    """
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False,
                            env={**os.environ, "LC_ALL": "C"})
    state, _, started = answer.stdout.strip().partition(" ")
    if answer.returncode != 0 or state.startswith("Z"):
        return None
    from datetime import datetime

    return datetime.strptime(started.strip(), "%a %b %d %H:%M:%S %Y").timestamp()


def owned_by(port: int, pids: Collection[int]) -> bool | None:
    """Whether what answers on 127.0.0.1:``port`` belongs to these processes; ``None`` where that cannot be seen.

    Every socket that the kernel could choose must be theirs: one that is not could get the next connection.
    """
    if sys.platform != "linux":
        owners = _owners_by_lsof(port)
        return owners <= set(pids) if owners else None
    listening = [one for one in _listeners() if one.port == port and one.address in ANSWER_LOOPBACK]
    # A socket of IPv4 is preferred to one of both families.
    chosen = {one.inode for one in listening if one.family == "ipv4"} or {one.inode for one in listening}
    if not chosen:
        return None
    own: set[str] = set()
    hidden = False
    for pid in pids:
        try:
            own |= _socket_inodes(pid, strict=True)
        except PermissionError:
            hidden = True
        except OSError:
            continue
    if chosen <= own:
        return True
    return None if hidden else False


def listening_ports(pids: Collection[int]) -> set[tuple[str, int]]:
    """``(family, port)`` of every listening socket of these processes, family ``ipv4`` or ``ipv6``. Linux only."""
    own = set().union(*(_socket_inodes(pid) for pid in pids)) if pids else set()
    return {(one.family, one.port) for one in _listeners() if one.inode in own}


class _ListeningSocket(NamedTuple):
    """A listening TCP socket as ``/proc/net/tcp`` has it; ``address`` in its hexadecimal spelling."""

    family: str
    address: str
    port: int
    inode: str


ANSWER_LOOPBACK = {"0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"}
"""127.0.0.1, 0.0.0.0, ::, ::ffff:127.0.0.1 as the kernel writes them on machines with the low byte first."""
if sys.byteorder == "big":
    ANSWER_LOOPBACK = {"7F000001", "00000000", "0" * 32, "00000000000000000000FFFF7F000001"}


def _listeners() -> list[_ListeningSocket]:
    found = []
    for family, table in (("ipv4", "/proc/net/tcp"), ("ipv6", "/proc/net/tcp6")):
        with contextlib.suppress(OSError), Path(table).open(encoding="ascii") as lines:
            next(lines, "")
            for line in lines:
                fields = line.split()
                if fields[3] != "0A":
                    # The kernel lists those that listen first. After them come connections, also thousands of
                    # closed ones after a busy check, and making that list is what costs.
                    break
                address, _, port = fields[1].rpartition(":")
                found.append(_ListeningSocket(family, address, int(port, 16), fields[9]))
    return found


def _socket_inodes(pid: int, *, strict: bool = False) -> set[str]:
    """Inodes of a process's sockets; what cannot be read is empty, or with ``strict`` raises ``OSError``."""
    found = set()
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        if strict:
            raise
        return set()
    for entry in entries:
        with contextlib.suppress(OSError):
            link = os.readlink(entry)  # noqa: PTH115 - not a path: socket:[123]
            if link.startswith("socket:["):
                found.add(link[8:-1])
    return found


def _owners_by_lsof(port: int) -> set[int]:
    try:
        answer = subprocess.run(["lsof", "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"], capture_output=True, text=True,
                                check=False, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return set()
    return {int(line) for line in answer.stdout.split() if line.isdigit()}
