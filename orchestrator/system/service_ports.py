"""Whether a service's port is taken, and whether it is the service itself that listens there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection
from pathlib import Path

from orchestrator.system.ports import listening_ports

_SECONDS = 0.5


def taken(port: int) -> bool:
    """Whether somebody listens on the port, on 127.0.0.1 or ::1, or it cannot be bound.

    Unlike ``ports.is_free``, connections that a service has just left behind do not count: a service that is
    started again on its own port sets ``SO_REUSEADDR`` as this does.
    """
    if _answers(socket.AF_INET, "127.0.0.1", port) or _answers(socket.AF_INET6, "::1", port):
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def listens(pids: Collection[int], port: int) -> bool:
    """Whether one of these processes listens on the port: by their own open sockets on Linux.

    Elsewhere, whether anybody does: a port that was free a moment ago is then ours, all but surely.
    """
    if Path("/proc/net/tcp").exists():
        return any(number == port for _, number in listening_ports(pids))
    return _answers(socket.AF_INET, "127.0.0.1", port)


def _answers(family: int, host: str, port: int) -> bool:
    """Whether a connection is taken, or neither taken nor refused, which somebody must be there for."""
    with contextlib.suppress(ConnectionError, OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_SECONDS)
        with contextlib.suppress(TimeoutError):
            probe.connect((host, port))
        return True
    return False
