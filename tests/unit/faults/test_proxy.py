"""The links between target and services: what each fault looks like from the target's side."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.wait import until

from orchestrator.errors import EnvironmentFault
from orchestrator.faults.pair import RESET
from orchestrator.faults.proxy import Proxy
from orchestrator.model import Endpoint


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)
            self.request.sendall(b"bye")


@pytest.fixture
def upstream() -> Iterator[Endpoint]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 512

    with Server(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Endpoint(server.server_address[1])
        server.shutdown()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def connect(endpoint: Endpoint) -> socket.socket:
    return socket.create_connection((endpoint.host, endpoint.port), timeout=5)


def test_it_knows_when_each_round_trip_of_a_connection_was(proxy: Proxy, upstream: Endpoint) -> None:
    """By this machine's clock; those of a connection that has ended, and of a second server's, too."""
    here = proxy.open("store", upstream)
    there = proxy.branch("replica-1")["store"]
    began = time.time()
    with connect(here) as one:
        for _ in range(3):
            exchange(one, b"ask")
    with connect(there) as other:
        exchange(other, b"ask")
        first, second = proxy.trips()["store"]
        times = [began, *(moment for trip in first for moment in trip), time.time()]

        assert (len(first), len(second)) == (3, 1)
        assert times == sorted(times)

        proxy.forget_trips()
        assert [len(one) for one in proxy.trips()["store"]] == [0, 0]
        exchange(other, b"more")
        assert sum(len(one) for one in proxy.trips()["store"]) == 1


def exchange(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        more = connection.recv(65536)
        if not more:
            break
        got += more
    return got


def test_bytes_pass_both_ways_and_a_half_close_is_forwarded(proxy: Proxy, upstream: Endpoint) -> None:
    """The service sees the end of input and can still answer."""
    with connect(proxy.open("echo", upstream)) as connection:
        assert exchange(connection, b"x" * 300_000) == b"x" * 300_000
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b"bye"
        assert connection.recv(10) == b""


def test_down_resets_and_refuses_and_up_serves_on_the_same_port(proxy: Proxy, upstream: Endpoint) -> None:
    """To the target the service is gone, and then is back."""
    endpoint = proxy.open("echo", upstream)
    with connect(endpoint) as connection:
        assert exchange(connection, b"a") == b"a"
        proxy.down("echo")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect(endpoint)
    proxy.up("echo")
    with connect(endpoint) as connection:
        assert exchange(connection, b"b") == b"b"


def test_shut_accepts_and_ends_in_good_order(proxy: Proxy, upstream: Endpoint) -> None:
    """Whoever comes hears the end, no reset, whatever it says; a newcomer's links are shut, too; then all is as before."""
    endpoint = proxy.open("echo", upstream)
    with connect(endpoint) as connection:
        assert exchange(connection, b"a") == b"a"
        proxy.shut("echo")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    for way in (endpoint, proxy.branch("replica-1")["echo"]):
        with connect(way) as connection:
            connection.sendall(b"x" * 100_000)
            assert connection.recv(1) == b""
    assert (proxy.opened("echo"), proxy.open_connections("echo"), proxy.alive()) == (3, 0, True)
    with connect(endpoint) as waiting:
        proxy.heal()
        with connect(endpoint) as connection:
            assert exchange(connection, b"b") == b"b"
        assert waiting.recv(1) == b""


def test_a_port_that_was_taken_while_down_is_told(proxy: Proxy, upstream: Endpoint) -> None:
    """It cannot be healed in silence: the run must end as our error."""
    endpoint = proxy.open("echo", upstream)
    proxy.down("echo")
    with socket.socket() as thief:
        thief.bind((endpoint.host, endpoint.port))
        thief.listen()
        with pytest.raises(EnvironmentFault, match="is taken by another program"):
            proxy.up("echo")


def test_cut_resets_once_and_counts(proxy: Proxy, upstream: Endpoint) -> None:
    """What was open is reset; the next connection works."""
    endpoint = proxy.open("echo", upstream)
    with connect(endpoint) as first, connect(endpoint) as second:
        exchange(first, b"a")
        exchange(second, b"a")
        assert proxy.cut("echo") == 2
        with pytest.raises(ConnectionResetError):
            first.recv(1)
    with connect(endpoint) as third:
        assert exchange(third, b"b") == b"b"


def test_hold_lets_bytes_wait_and_release_delivers_them(proxy: Proxy, upstream: Endpoint) -> None:
    """Nothing is lost and nothing is closed, also for connections made meanwhile."""
    endpoint = proxy.open("echo", upstream)
    with connect(endpoint) as old:
        assert exchange(old, b"a") == b"a"
        proxy.hold("echo")
        with connect(endpoint) as new:
            for connection in (old, new):
                connection.sendall(b"later")
                connection.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(5)
            proxy.release("echo")
            assert old.recv(5) == b"later"
            assert new.recv(5) == b"later"


def test_connections_are_counted(proxy: Proxy, upstream: Endpoint) -> None:
    """Open ones now, and opened ones since the count began."""
    endpoint = proxy.open("echo", upstream)
    connections = [connect(endpoint) for _ in range(20)]
    for connection in connections:
        exchange(connection, b"a")
    assert (proxy.open_connections("echo"), proxy.opened("echo")) == (20, 20)
    for connection in connections:
        connection.close()
    until(lambda: proxy.open_connections("echo") == 0)
    proxy.reset_counts("echo")
    assert proxy.opened("echo") == 0


def test_a_service_that_is_not_there_resets_the_client(proxy: Proxy) -> None:
    """As without a proxy: the target learns at once, not by a time-out."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = proxy.open("echo", Endpoint(unused.getsockname()[1]))
        with pytest.raises(ConnectionResetError), connect(endpoint) as connection:
            connection.recv(1)


def test_many_connections_at_once(proxy: Proxy, upstream: Endpoint) -> None:
    """Five hundred at the same moment are all served."""
    endpoint = proxy.open("echo", upstream)
    connections = [connect(endpoint) for _ in range(500)]

    assert {exchange(connection, b"hello") for connection in connections} == {b"hello"}
    for connection in connections:
        connection.close()


def test_a_reader_that_is_slow_slows_its_writer(proxy: Proxy, upstream: Endpoint) -> None:
    """The proxy keeps a chunk, not the world: a writer whose answers nobody reads comes to a stop."""
    with connect(proxy.open("echo", upstream)) as connection:
        connection.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * 1024 * 1024:
                sent += connection.send(b"x" * 65536)
        connection.settimeout(10)
        got = 0
        while got < sent:
            got += len(connection.recv(1 << 20))

    assert sent < 64 * 1024 * 1024
    assert got == sent


def test_a_reset_by_the_service_is_a_reset_for_the_target(proxy: Proxy) -> None:
    """What a crashed service does is not made into a polite end."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        with connect(proxy.open("s", Endpoint(service.getsockname()[1]))) as connection:
            other, _ = service.accept()
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            other.close()
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_a_target_that_gives_up_on_a_held_link_is_not_counted(proxy: Proxy, upstream: Endpoint) -> None:
    """Connections are the target's view: one that it closed after its time-out is closed, though no byte moves."""
    endpoint = proxy.open("echo", upstream)
    with connect(endpoint) as stays:
        exchange(stays, b"a")
        proxy.hold("echo")
        with connect(endpoint) as leaves:
            leaves.sendall(b"never answered")
            until(lambda: proxy.open_connections("echo") == 2)
        until(lambda: proxy.open_connections("echo") == 1)
        proxy.release("echo")
        assert exchange(stays, b"b") == b"b"


def test_a_held_link_opens_nothing_at_the_service(proxy: Proxy) -> None:
    """The service sees neither bytes nor connections until the link is released; then it sees both."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(0.2)
        endpoint = proxy.open("s", Endpoint(service.getsockname()[1]))
        proxy.hold("s")
        with connect(endpoint) as connection:
            connection.sendall(b"hello")
            with pytest.raises(TimeoutError):
                service.accept()
            proxy.release("s")
            service.settimeout(5)
            other, _ = service.accept()
            with other:
                assert other.recv(10) == b"hello"


def test_new_connections_go_where_the_link_was_redirected(proxy: Proxy, upstream: Endpoint) -> None:
    """A recreated service gets the target's next connections at the same address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = proxy.open("echo", Endpoint(unused.getsockname()[1]))
    proxy.redirect("echo", upstream)
    with connect(endpoint) as connection:
        assert exchange(connection, b"a") == b"a"


def test_faults_in_a_rush_of_connections_leave_none_hanging(proxy: Proxy, upstream: Endpoint) -> None:
    """However down falls between accept and connect, every client learns of it, and no descriptor is lost."""
    endpoint = proxy.open("echo", upstream)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc").exists() else 0
    for _ in range(30):
        clients = []
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((endpoint.host, endpoint.port))
            clients.append(client)
        proxy.down("echo")
        for client in clients:
            client.settimeout(5)
            with pytest.raises(ConnectionError):
                exchange(client, b"xy" if client.send(b"x") else b"")
            client.close()
        proxy.up("echo")

    assert proxy.alive()
    if before:
        until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before + 2)


def test_a_lost_port_does_not_keep_other_links_from_healing(proxy: Proxy, upstream: Endpoint) -> None:
    """The fault is told, after everything that can be healed is."""
    first, second = proxy.open("one", upstream), proxy.open("two", upstream)
    proxy.down("one")
    proxy.down("two")
    with socket.socket() as thief:
        thief.bind((first.host, first.port))
        thief.listen()
        with pytest.raises(EnvironmentFault) as caught:
            proxy.heal()
    assert caught.value.code == "port-busy"
    with connect(second) as connection:
        assert exchange(connection, b"a") == b"a"
    proxy.heal()
    with connect(first) as connection:
        assert exchange(connection, b"a") == b"a"


def test_heal_and_close_end_every_fault(proxy: Proxy, upstream: Endpoint) -> None:
    """However a check ended, the next one finds every link as new; closing is harmless twice."""
    first, second = proxy.open("one", upstream), proxy.open("two", upstream)
    proxy.down("one")
    proxy.hold("two")
    proxy.heal()
    for endpoint in (first, second):
        with connect(endpoint) as connection:
            assert exchange(connection, b"a") == b"a"
    assert proxy.alive()
    proxy.close()
    proxy.close()
    with pytest.raises(ConnectionRefusedError):
        connect(first)


def test_a_link_is_open_before_its_service_runs(proxy: Proxy, upstream: Endpoint) -> None:
    """Who connects waits, and is heard once it is known where to; whoever comes later goes straight through."""
    knocks: list[float] = []
    link = proxy.open("redis", None, knock=lambda: knocks.append(1))
    with connect(link) as early:
        early.sendall(b"hello")
        until(lambda: knocks)
        assert proxy.open_connections("redis") == 1

        proxy.redirect("redis", upstream)

        assert early.recv(5) == b"hello"
        with connect(link) as late:
            assert exchange(late, b"more") == b"more"
    assert len(knocks) == 1


def test_a_service_that_cannot_be_woken_resets_who_waits(proxy: Proxy) -> None:
    """And whoever comes later knocks again: it may have become possible."""
    knocked = threading.Event()
    link = proxy.open("redis", None, knock=knocked.set)
    for _ in range(2):
        with connect(link) as waiting:
            assert knocked.wait(5)
            knocked.clear()
            proxy.refuse("redis")
            with pytest.raises(ConnectionResetError):
                waiting.recv(1)
    assert proxy.alive()


def test_a_held_link_of_a_sleeping_service_wakes_nobody(proxy: Proxy) -> None:
    """What is held has not been said yet; when the hold ends, it has."""
    knocked = threading.Event()
    link = proxy.open("redis", None, knock=knocked.set)
    proxy.hold("redis")
    with connect(link):
        until(lambda: proxy.opened("redis") == 1)
        assert not knocked.is_set()
        proxy.release("redis")
        assert knocked.wait(5)


def test_every_endpoint_has_a_link_and_a_fault_is_on_all_of_them(proxy: Proxy, upstream: Endpoint) -> None:
    """A service with two ports is down on both; its counts are of both."""
    both = Endpoint(upstream.port, others={"page": upstream.port})
    link = proxy.open("queue", both, others=["page"])
    with connect(link) as main, connect(link.at("page")) as page:
        assert exchange(main, b"a") == exchange(page, b"a") == b"a"
        assert proxy.opened("queue") == 2
        assert proxy.cut("queue") == 2
    proxy.down("queue")
    for one in (link, link.at("page")):
        with pytest.raises(ConnectionRefusedError):
            connect(one)
    proxy.heal()
    with connect(link.at("page")) as again:
        assert exchange(again, b"b") == b"b"


def test_links_come_back_where_they_were(upstream: Endpoint) -> None:
    """A service that tells clients its link's port is found there by a later proxy, too."""
    with Proxy() as first:
        link = first.open("queue", upstream)
    with Proxy() as second:
        assert second.open("queue", upstream, ports={"": link.port}) == link
