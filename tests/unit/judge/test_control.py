"""The control of latency limits."""

from __future__ import annotations

import socket
import threading

import pytest
from support.wait import until

from orchestrator.judge.control import WAITING, ControlServer


def test_lines_come_back_and_the_port_closes() -> None:
    """Each line is answered with itself, for several clients at once; after the end nobody answers."""
    with ControlServer() as control:
        connections = [socket.create_connection(("127.0.0.1", control.port), 2) for _ in range(3)]
        for number, connection in enumerate(connections):
            connection.sendall(f"line {number}\n".encode())
        with_files = [connection.makefile() for connection in connections]
        assert [file.readline() for file in with_files] == ["line 0\n", "line 1\n", "line 2\n"]
        for file, connection in zip(with_files, connections, strict=True):
            file.close()
            connection.close()

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", control.port), 2)


def test_many_limits_are_timed_at_the_same_moment() -> None:
    """Forty connections at once wait in line: one that is dropped comes back after a second, as if the machine were slow."""
    with socket.create_server(("127.0.0.1", 0), backlog=WAITING) as nobody_accepts:
        connections = [socket.create_connection(nobody_accepts.getsockname(), 0.5) for _ in range(40)]
        for connection in connections:
            connection.close()


def test_its_end_waits_for_nobody() -> None:
    """A client that never leaves does not keep it, and neither does a look that comes every so often."""
    control = ControlServer()
    with socket.create_connection(("127.0.0.1", control.port), 2) as stays:
        stays.sendall(b"a line\n")
        assert stays.recv(64) == b"a line\n"
        control.__exit__()
        assert not control._thread.is_alive()
    until(lambda: not any(one.name == "labs-control-echo" for one in threading.enumerate()))
