"""Who listens: a port's processes, and a process' ports.

From ``/proc`` on Linux, where it is asked every few milliseconds while something starts; psutil, which tells the same,
takes twice as long there, and nine times as long after thousands of connections. Elsewhere from psutil.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

LINUX = sys.platform == "linux"
LOOKS = 3
"""How often sockets are looked at that come and go meanwhile."""


def owned_by(port: int, pids: Collection[int]) -> bool | None:
    """Whether what answers on 127.0.0.1:``port`` belongs to these processes; ``None`` where that cannot be seen.

    Every socket that the kernel could choose must be theirs: one that is not could get the next connection.
    """
    if not LINUX:
        owners = _owners_by_psutil(port)
        return owners <= set(pids) if owners else None
    for _ in range(LOOKS):
        chosen = _answering(port)
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
        # One that was closed between the two looks is nobody's, and no stranger's.
        if _answering(port) == chosen:
            return None if hidden else False
    return None


def _answering(port: int) -> set[str]:
    """The inodes of the sockets of which the kernel chooses one for a connection to 127.0.0.1:``port``."""
    listening = [one for one in _listeners() if one.port == port and one.address in ANSWER_LOOPBACK]
    # A socket of IPv4 is preferred to one of both families.
    return {one.inode for one in listening if one.family == "ipv4"} or {one.inode for one in listening}


def listening_ports(pids: Collection[int]) -> set[tuple[str, int]]:
    """``(family, port)`` of every listening socket of these processes, family ``ipv4`` or ``ipv6``.

    What may not be seen is left out: on macOS, the sockets of other users.
    """
    if not LINUX:
        return {socket for pid in pids for socket in _listening_by_psutil(pid)}
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


def _owners_by_psutil(port: int) -> set[int]:
    """The processes that listen on the port on any address, as far as they may be seen."""
    import psutil

    return {pid for pid in psutil.pids() if any(number == port for _, number in _listening_by_psutil(pid))}


def _listening_by_psutil(pid: int) -> set[tuple[str, int]]:
    """As ``listening_ports``, of one process."""
    import psutil

    try:
        return {("ipv6" if one.family == socket.AF_INET6 else "ipv4", one.laddr.port)
                for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    except (psutil.Error, OSError):
        return set()
