"""Who listens: ours, another's, nobody's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from orchestrator.system import listeners
from orchestrator.system.listeners import listening_ports, owned_by
from orchestrator.system.ports import free_port


@pytest.fixture(params=["proc", "psutil"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of looking, wherever they can be tried."""
    if request.param == "psutil":
        monkeypatch.setattr(listeners, "LINUX", False)
    elif sys.platform != "linux":
        pytest.skip("reads /proc")
    return str(request.param)


@contextmanager
def listener(family: int, host: str, port: int) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_STREAM) as server:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((host, port))
        server.listen()
        yield server


def test_whose_a_port_is(way: str) -> None:
    """Ours, another's, nobody's: the three are told apart."""
    port = free_port()
    assert owned_by(port, {os.getpid()}) is None
    with listener(socket.AF_INET, "127.0.0.1", port):
        assert owned_by(port, {os.getpid()}) is True
        assert owned_by(port, {os.getppid()}) is False
        assert owned_by(port, set()) is False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("opened", [False, True])
def test_one_that_is_closed_while_it_is_looked_at_is_no_strangers(monkeypatch: pytest.MonkeyPatch, opened: bool) -> None:
    """A server may answer once and leave its port, or open it anew (a reloader): between our two looks as well."""
    port, look = free_port(), listeners._socket_inodes
    with listener(socket.AF_INET, "127.0.0.1", port) as server, ExitStack() as later:

        def closes(pid: int, *, strict: bool = False) -> set[str]:
            if server.fileno() >= 0:
                server.close()
                if opened:
                    later.enter_context(listener(socket.AF_INET, "127.0.0.1", port))
                return set()
            return look(pid, strict=strict)

        monkeypatch.setattr(listeners, "_socket_inodes", closes)

        assert owned_by(port, {os.getpid()}) is (True if opened else None)


def test_of_two_listeners_the_one_that_gets_the_connection_decides(way: str) -> None:
    """Somebody else's on IPv4 answers 127.0.0.1, whatever we have on IPv6."""
    port = free_port()
    code = (f"import socket; s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True); input()")
    with listener(socket.AF_INET6, "::", port), subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        assert owned_by(port, {os.getpid()}) is False
        assert owned_by(port, {os.getpid(), other.pid}) is True
        other.communicate(b"\n")


@pytest.mark.parametrize(("family", "host", "name"), [
    (socket.AF_INET, "127.0.0.1", "ipv4"), (socket.AF_INET6, "::1", "ipv6")])
def test_only_the_processes_own_sockets_count(way: str, family: int, host: str, name: str) -> None:
    """A stranger who took the port a moment before is not mistaken for the service; a connection is no listener."""
    port = free_port()
    with listener(family, host, port), socket.create_connection((host, port)), subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert {one for one in listening_ports([os.getpid()]) if one[1] == port} == {(name, port)}
        assert listening_ports([other.pid]) == set()
        other.communicate(b"\n")


def test_a_process_that_is_gone_has_no_ports(way: str) -> None:
    """It may end while we look."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()

    assert listening_ports([gone.pid]) == set()
