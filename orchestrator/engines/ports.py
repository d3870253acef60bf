"""Whether a port on this machine's loopback is taken, and whether it is our service that listens there."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path

_LISTEN = "0A"


def taken(port: int) -> bool:
    """Whether a service that binds 127.0.0.1 would fail, or would share the name ``localhost`` with somebody else.

    Connections of a service that has just ended do not count: like the services themselves, the try sets
    ``SO_REUSEADDR``.
    """
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((host, port)) == 0:
                return True
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def listens(pids: Iterable[int], port: int) -> bool:
    """Whether one of these processes listens on the port: by its own open sockets on Linux.

    Elsewhere, whether anybody does: a port that was free a moment ago is then ours, all but surely.
    """
    try:
        tables = [Path(f"/proc/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6")
                  if Path(f"/proc/net/{name}").exists()]
    except OSError:
        tables = []
    if not tables:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", port)) == 0
    sockets = {f"socket:[{inode}]" for table in tables for inode in listening_inodes(table, port)}
    return bool(sockets) and any(not sockets.isdisjoint(_open_files(pid)) for pid in pids)


def listening_inodes(table: str, port: int) -> set[str]:
    """The inodes of the sockets that listen on this port, from the text of ``/proc/net/tcp``."""
    found = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
            found.add(fields[9])
    return found


def _open_files(pid: int) -> set[str]:
    links = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - looked at every few milliseconds
            with contextlib.suppress(OSError):
                links.add(os.readlink(f"/proc/{pid}/fd/{name}"))  # noqa: PTH115
    return links
