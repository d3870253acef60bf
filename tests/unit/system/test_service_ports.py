"""Whether a port is taken, and by whom."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from orchestrator.system.ports import free_port
from orchestrator.system.service_ports import listens, taken


def listener(port: int, *, family: int = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as all services do
    found.bind((host, port))
    found.listen()
    return found


def test_a_port_is_taken_while_somebody_listens() -> None:
    """On 127.0.0.1 or on all addresses."""
    port = free_port()
    assert not taken(port)
    for host in ("127.0.0.1", "0.0.0.0"):
        with listener(port, host=host):
            assert taken(port)
    assert not taken(port)


def test_a_listener_on_the_other_loopback_counts() -> None:
    """``localhost`` would reach a stranger with some clients."""
    port = free_port()
    with listener(port, family=socket.AF_INET6, host="::1"):
        assert taken(port)


def test_connections_left_behind_do_not_count() -> None:
    """A service that was just stopped can be started again on its port, though connections linger."""
    port = free_port()
    with listener(port) as server, socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = server.accept()
        accepted.close()  # the server's side closes first, and stays in TIME_WAIT
        assert client.recv(1) == b""

    assert not taken(port)


def test_only_the_processes_own_sockets_count() -> None:
    """A stranger who took the port a moment before is not mistaken for the service."""
    port = free_port()
    with listener(port):
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            assert listens([os.getpid()], port)
            assert not listens([other.pid], port) or sys.platform != "linux"
        finally:
            other.communicate()
