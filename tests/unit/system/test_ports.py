"""Ports: free means that a server can have it; and whose a port is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.system import ports
from orchestrator.system.ports import free_port, is_free, listening_ports, owned_by, process_started

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@contextmanager
def listener(family: int, host: str, port: int) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_STREAM) as server:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((host, port))
        server.listen()
        yield server


@pytest.mark.parametrize(("family", "host"), [
    (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.2"),
    (socket.AF_INET6, "::1"), (socket.AF_INET6, "::"),
])
def test_a_port_is_taken_wherever_somebody_listens(family: int, host: str) -> None:
    """On any address, since a server may want all of them, and ``localhost`` may mean either family."""
    port = free_port()
    assert is_free(port)
    try:
        with listener(family, host, port):
            assert not is_free(port)
            assert free_port(prefer=port) == port + 1 or not is_free(port + 1)
    except OSError as error:
        if family == socket.AF_INET6:
            pytest.skip(f"no IPv6 here: {error}")
        raise


def test_a_port_that_is_bound_and_not_listened_on_is_taken() -> None:
    """Somebody is about to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert not is_free(bound.getsockname()[1])


def test_the_preferred_port_comes_first_then_the_next() -> None:
    """People know 5432, and remember 5433."""
    port = next(candidate for candidate in iter(free_port, None) if is_free(candidate + 1))

    assert free_port(prefer=port) == port
    assert free_port(prefer=port, avoid={port}) == port + 1


def test_ports_are_drawn_at_random_below_the_ephemeral_range() -> None:
    """Two commands at once rarely meet, and no outgoing connection is given the port."""
    drawn = [free_port() for _ in range(30)]

    assert len(set(drawn)) > 25
    assert ports.LOWEST <= min(drawn)
    assert max(drawn) <= ports._highest()
    if Path("/proc/sys/net/ipv4/ip_local_port_range").exists():
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        assert low <= ports.LOWEST + 1000 or max(drawn) < low


def test_a_process_is_told_from_a_later_one_by_its_start() -> None:
    """The same as long as it lives; gone when it is, also while its parent has not looked."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = process_started(process.pid)
        own = process_started(os.getpid())
        assert started is not None
        assert own is not None
        assert started > own
        assert process_started(process.pid) == started
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process_started(process.pid) is None
    assert process_started(process.pid) is None


@linux
def test_whose_a_port_is() -> None:
    """Ours, another's, nobody's: the three are told apart."""
    port = free_port()
    assert owned_by(port, {os.getpid()}) is None
    with listener(socket.AF_INET, "127.0.0.1", port):
        assert owned_by(port, {os.getpid()}) is True
        assert owned_by(port, {os.getppid()}) is False
        assert owned_by(port, set()) is False
        assert ("ipv4", port) in listening_ports({os.getpid()})


@linux
def test_of_two_listeners_the_one_that_gets_the_connection_decides() -> None:
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
