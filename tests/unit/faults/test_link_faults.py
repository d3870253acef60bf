"""Faults of a link on real sockets: added and removed while connections are open."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from support.wait import until

from orchestrator.faults.proxy import Proxy
from orchestrator.faults.toxics import Direction, Toxic, kind_of, numbers_of
from orchestrator.model import Endpoint

MEGABYTE = 1024 * 1024


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(remembers=False) as proxy:
        yield proxy


@pytest.fixture
def there(proxy: Proxy) -> Iterator[Endpoint]:
    """Where a client finds the service."""
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 512

    with Server(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield proxy.open("store", Endpoint(server.server_address[1]))
        server.shutdown()


def toxic(kind: str, direction: Direction = "downstream", **numbers: float) -> Toxic:
    return Toxic(f"{kind}-{direction}", kind, direction, numbers_of(kind_of(kind), numbers))


def connect(endpoint: Endpoint) -> socket.socket:
    return socket.create_connection((endpoint.host, endpoint.port), timeout=5)


def round_trip(one: socket.socket, data: bytes = b"ask") -> float:
    began = time.monotonic()
    one.sendall(data)
    found = b""
    while len(found) < len(data):
        part = one.recv(65536)
        assert part, "the connection ended"
        found += part
    assert found == data
    return time.monotonic() - began


def test_an_open_connection_becomes_slow_and_fast_again(proxy: Proxy, there: Endpoint) -> None:
    """Both directions add up, and what waits when the fault goes arrives at once."""
    with connect(there) as one:
        round_trip(one)
        proxy.shape("store", [toxic("latency", ms=80), toxic("latency", "upstream", ms=70)])
        assert round_trip(one) >= 0.15
        proxy.shape("store", [toxic("latency", ms=60_000)])
        one.sendall(b"late")
        proxy.shape("store", ())
        assert one.recv(100) == b"late"
        proxy.shape("store", [toxic("latency", ms=50)])
        with connect(there) as new:
            assert round_trip(new) >= 0.05


def test_a_timeout_holds_what_comes_until_it_goes(proxy: Proxy, there: Endpoint) -> None:
    """Nothing is lost."""
    proxy.shape("store", [toxic("timeout", "upstream")])
    with connect(there) as one:
        one.sendall(b"ask")
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(100)
        one.settimeout(5)
        proxy.shape("store", ())
        assert one.recv(100) == b"ask"


def test_connections_end_as_their_fault_says(proxy: Proxy, there: Endpoint) -> None:
    """A timeout with an end in good order, a reset as a crashed server's; those that are open, and new ones."""
    with connect(there) as one:
        round_trip(one)
        proxy.shape("store", [toxic("timeout", ms=50)])
        assert one.recv(100) == b""
    with connect(there) as one:
        proxy.shape("store", [toxic("reset_peer")])
        with pytest.raises(ConnectionResetError):
            one.recv(100)
    with connect(there) as one, pytest.raises(ConnectionResetError):
        one.recv(100)
    proxy.shape("store", ())
    with connect(there) as one:
        round_trip(one)
    until(lambda: proxy.open_connections("store") == 0)


def test_limit_data_ends_it_in_the_middle(proxy: Proxy, there: Endpoint) -> None:
    """The rest of the answer never comes."""
    proxy.shape("store", [toxic("limit_data", bytes=5)])
    with connect(there) as one:
        one.sendall(b"abcdefgh")
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := one.recv(100):
                found += part
    assert found == b"abcde"


def test_the_end_of_a_connection_comes_behind_its_data(proxy: Proxy, there: Endpoint) -> None:
    """A half-close waits as long as what was sent before it, and what is answered to it still arrives."""
    proxy.shape("store", [toxic("latency", "upstream", ms=60), toxic("slow_close", ms=60)])
    with connect(there) as one:
        began = time.monotonic()
        one.sendall(b"ask")
        one.shutdown(socket.SHUT_WR)
        assert one.recv(100) == b"ask"
        assert one.recv(100) == b""
        assert time.monotonic() - began >= 0.12
    until(lambda: proxy.open_connections("store") == 0)


def test_a_megabyte_passes_whole_whatever_comes_and_goes(proxy: Proxy, there: Endpoint) -> None:
    """Through a reader that waits, so that bytes wait in every place where they can."""
    data = bytes(range(256)) * (MEGABYTE // 256)
    with connect(there) as one:
        sender = threading.Thread(target=one.sendall, args=(data,), daemon=True)
        sender.start()
        found = bytearray()
        shapes = ([toxic("latency", ms=5)], [toxic("slicer", bytes=900), toxic("bandwidth", rate=9000)], [],
                  [toxic("latency", "upstream", ms=3), toxic("bandwidth", rate=20_000)], [toxic("timeout")], [])
        for shape in shapes:
            proxy.shape("store", shape)
            while shape != [toxic("timeout")] and len(found) < MEGABYTE and (part := one.recv(50_000)):
                found += part
                if len(found) // 170_000 > shapes.index(shape):
                    break
        while len(found) < MEGABYTE and (part := one.recv(65536)):
            found += part
        sender.join(5)
    assert bytes(found) == data


def test_who_does_not_read_stops_who_writes(proxy: Proxy, there: Endpoint) -> None:
    """Under a fault, too, no more than a bounded piece waits here."""
    proxy.shape("store", [toxic("timeout", "upstream")])
    with connect(there) as one:
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.sendall(bytes(64 * MEGABYTE))
    proxy.shape("store", ())
    assert proxy.alive()
