"""Asking a server whether it is there: ``GET /health`` over a plain socket, any HTTP status is a yes."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import time
from collections.abc import Callable
from enum import Enum

CONNECT_SECONDS = 0.5
ATTEMPT_SECONDS = 5.0
"""How long one request may take before another is tried: a first one may have met a process that was being replaced."""
SLICE = 0.02
QUIET = 0.05
"""Seconds without a byte after which an answer is taken as whole, where the server keeps the connection open."""
STATUS_LINE = re.compile(rb"HTTP/1\.[01] \d{3}\b")
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 seconds: closing sends RST instead of FIN."""
MOST = 64
"""Bytes that decide; a server that answers for ever is heard no longer."""


class Health(Enum):
    """What came of one attempt."""

    NOBODY = "nobody listens"
    SILENCE = "no answer, or none in HTTP"
    HTTP = "an HTTP status"


def ask_health(port: int, *, end: float, go_on: Callable[[], bool]) -> Health:
    """One request to 127.0.0.1, until ``end`` (monotonic clock) at most, and only while ``go_on()``.

    While the server works on it, ``go_on`` is asked every 20 ms: a server that dies is not waited for.
    """
    end = min(end, time.monotonic() + ATTEMPT_SECONDS)
    request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    data = b""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)
    except TimeoutError:
        return Health.SILENCE
    except OSError:
        return Health.NOBODY
    with connection, contextlib.suppress(OSError):
        connection.sendall(request)
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        while len(data) < MOST and time.monotonic() < end and go_on():
            if not poll.poll(SLICE * 1000):
                continue
            more = connection.recv(MOST - len(data))
            if not more:
                _forget(connection)
                break
            data += more
            if STATUS_LINE.match(data):
                _drain(connection)
                return Health.HTTP
    return Health.SILENCE


def _drain(connection: socket.socket) -> None:
    """Hear the rest of a normal answer: hanging up on it would put a broken pipe into the learner's log."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    left = 64 * 1024
    while left > 0 and poll.poll(QUIET * 1000):
        more = connection.recv(left)
        if not more:
            _forget(connection)
            return
        left -= len(more)


def _forget(connection: socket.socket) -> None:
    """The server has hung up first, so its port would stay in TIME_WAIT: a server that does not ask for SO_REUSEADDR
    could not be started on it again. A reset frees it, and disturbs nobody any more."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
