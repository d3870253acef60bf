"""Ports on the loopback: whether somebody answers there, whether a server can have one, which are free."""

from __future__ import annotations

import errno
import random
import socket
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

from orchestrator.errors import EnvironmentFault

BIND_TO = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104
"""Bound for a moment and never listened on."""
CONNECT_SECONDS = 0.5
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


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody takes connections there. A full queue counts as somebody."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            return True
    except TimeoutError:
        return True
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Nobody answers on 127.0.0.1 or ::1, and any server can have it.

    It can be bound without SO_REUSEADDR on the loopback and on all addresses: many servers listen on ``0.0.0.0``. That
    is tried first, so that nobody who listens hears of it: another judge's link would take it for its server's.
    """
    return all(_binds(family, host, port) for family, host in BIND_TO) and not (answers(port) or answers(port, "::1"))


def is_taken(port: int) -> bool:
    """Somebody answers on 127.0.0.1 or ::1, or a service that was there before could not have it again.

    Unlike for ``is_free``, connections that a service has just left behind do not count: a service that is started
    again on its own port sets ``SO_REUSEADDR``.
    """
    return answers(port) or answers(port, "::1") or not _binds(socket.AF_INET, "127.0.0.1", port, again=True)


def _binds(family: int, host: str, port: int, *, again: bool = False) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if again:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
