"""The control of a latency limit: an echo server in the supervisor that a check times in the same window.

It says what this machine can do just now: when a line to it and back is late, too, a late server proves nothing.
"""

from __future__ import annotations

import contextlib
import socket
import threading

WAITING = 128
"""Connections that may wait: a check may time many at once, and one that is left out tries again after a second."""
NO_DESCRIPTOR = 0.01
"""Seconds until the next try where this process has no descriptor left for a connection."""


class ControlServer:
    """Answers each line with the same line on 127.0.0.1. A context manager that ends at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=WAITING)
        self.port: int = self._listener.getsockname()[1]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="labs-control", daemon=True)
        self._thread.start()

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        # A thread that waits in accept() is woken by a connection, on every system; by a closed listener only on some.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            self._thread.join(1)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                self._ending.wait(NO_DESCRIPTOR)
                continue
            threading.Thread(target=_echo, args=(connection,), name="labs-control-echo", daemon=True).start()


def _echo(connection: socket.socket) -> None:
    """Line by line, until the client leaves."""
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while line := lines.readline(4096):
            connection.sendall(line)
