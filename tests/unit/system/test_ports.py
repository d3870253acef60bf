"""Ports: free means that any server can have it, taken that the service that had it cannot have it again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.system import ports
from orchestrator.system.ports import free_port, is_free, is_taken


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


def test_who_listens_on_a_port_does_not_hear_that_somebody_looks_for_a_free_one() -> None:
    """The link of a sleeping service would wake it, or say that a server had asked for what cannot be had here."""
    port = free_port()
    with listener(socket.AF_INET, "127.0.0.1", port) as link:
        link.setblocking(False)

        assert not is_free(port)
        with pytest.raises(BlockingIOError):
            link.accept()


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


def service(port: int, *, family: int = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as all services do
    found.bind((host, port))
    found.listen()
    return found


def test_a_port_is_taken_while_a_service_listens() -> None:
    """On 127.0.0.1 or on all addresses."""
    port = free_port()
    assert not is_taken(port)
    for host in ("127.0.0.1", "0.0.0.0"):
        with service(port, host=host):
            assert is_taken(port)
    assert not is_taken(port)


def test_a_listener_on_the_other_loopback_counts() -> None:
    """``localhost`` would reach a stranger with some clients."""
    port = free_port()
    with service(port, family=socket.AF_INET6, host="::1"):
        assert is_taken(port)


def test_connections_left_behind_do_not_count() -> None:
    """A service that was just stopped can be started again on its port, though connections linger."""
    port = free_port()
    with service(port) as server, socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = server.accept()
        accepted.close()  # the server's side closes first, and stays in TIME_WAIT
        assert client.recv(1) == b""

    assert not is_taken(port)
