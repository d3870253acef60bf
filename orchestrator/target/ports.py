"""Whose a port is, and who a process is. Which ports are free is in ``orchestrator.ports``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from orchestrator.ports import free_port, is_free

__all__ = ["free_port", "is_free", "listening_ports", "owned_by", "port_owner_pids", "process_started"]


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


def port_owner_pids(port: int) -> set[int]:
    """Processes with a socket that listens on this port (any address). Where it is hidden from us: empty."""
    if sys.platform != "linux":
        return _owners_by_lsof(port)
    inodes = {one.inode for one in _listeners() if one.port == port}
    return {pid for pid in _pids() if inodes & _socket_inodes(pid)} if inodes else set()


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


class _Listener(NamedTuple):
    """A listening TCP socket as ``/proc/net/tcp`` has it; ``address`` in its hexadecimal spelling."""

    family: str
    address: str
    port: int
    inode: str


ANSWER_LOOPBACK = {"0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"}
"""127.0.0.1, 0.0.0.0, ::, ::ffff:127.0.0.1 as the kernel writes them on machines with the low byte first."""
if sys.byteorder == "big":
    ANSWER_LOOPBACK = {"7F000001", "00000000", "0" * 32, "00000000000000000000FFFF7F000001"}


def _listeners() -> list[_Listener]:
    found = []
    for family, table in (("ipv4", "/proc/net/tcp"), ("ipv6", "/proc/net/tcp6")):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":
                address, _, port = fields[1].rpartition(":")
                found.append(_Listener(family, address, int(port, 16), fields[9]))
    return found


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are all we need
    except OSError:
        return []


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
