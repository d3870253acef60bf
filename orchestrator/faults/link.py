"""One link of the proxy: a port on which a server finds a service, and all connections that it has there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Sequence

from orchestrator.errors import EnvironmentFault
from orchestrator.faults.pair import Pair, Watch
from orchestrator.faults.passage import CHUNK, Store
from orchestrator.faults.steps import Steps
from orchestrator.faults.toxics import Toxic
from orchestrator.model import Endpoint

BACKLOG = 1024
MOST_CONNECTIONS = 10_000
"""Of one service since the last attempt, of whose round trips it is known when they were: `labs run` may last days."""


class Link:
    """One server's link to one endpoint. Used on the loop's thread only; its plain counters may be read from others.

    Without an upstream the service sleeps, and ``knock`` tells that somebody waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, service: str, server: str, upstream: Endpoint | None,
                 knock: Callable[[], None] | None) -> None:
        self.service = service
        self.server = server
        self.upstream = upstream
        self.port = 0
        self.opened = 0
        self.is_down = False
        self.trips: list[list[list[float]]] | None = []
        """Those of each connection, in the order in which they were opened; ``None``: they are not looked at."""
        self._loop = loop
        self._knock = knock
        self._held = False
        self._shut = False
        self._turned_away: set[socket.socket] = set()
        self._steps: Steps | None = None
        self._pairs: set[Pair] = set()
        self._socket: socket.socket | None = None
        self._toxics: Sequence[Toxic] = ()
        self._store = Store()

    def twin(self, server: str) -> Link:
        """A link of another server's to the same endpoint; it does not listen yet."""
        return Link(self._loop, self.service, server, self.upstream, self._knock)

    def stand_like(self, other: Link) -> None:
        """Be down, shut or held as the other one is."""
        if other.is_down:
            self.down()
        elif other._shut:
            self.shut()
        elif other._held:
            self.hold()
        self.upstream = other.upstream

    def look(self, steps: Steps) -> None:
        """From now on the steps of every connection are looked at, of those that are open now, too."""
        self._steps = steps
        for pair in self._pairs:
            pair.watch = self._watch(pair, new=False)

    def shape(self, toxics: Sequence[Toxic]) -> None:
        """From now on these faults on every connection, on those that are open now, too."""
        self._toxics = toxics
        for pair in tuple(self._pairs):
            pair.shape(toxics, self._store)

    @property
    def listening(self) -> bool:
        return self._socket is not None

    def listen(self, port: int) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Without it a port on which connections ended a moment ago could not be taken up again.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise EnvironmentFault(f"port {port} of the link to {self.service} is taken by another program",
                                   code="port-busy", hint="run the command again") from error
        listener.setblocking(False)
        self.port = port
        self._socket = listener
        self._loop.add_reader(listener.fileno(), self._accept)

    def down(self) -> None:
        self.is_down = True
        listener, self._socket = self._socket, None
        if listener is not None:
            # Whoever is still in its queue is reset by the kernel.
            self._loop.remove_reader(listener.fileno())
            listener.close()
        self.cut()
        self._dismiss()

    def shut(self) -> None:
        self._shut = True
        self.cut()

    def up(self) -> None:
        self._shut = False
        self._dismiss()
        if self.is_down:
            self.listen(self.port)
            self.is_down = False

    def hold(self) -> None:
        self._held = True
        for pair in self._pairs:
            pair.hold()

    def release(self) -> None:
        self._held = False
        for pair in tuple(self._pairs):
            self._flow(pair)

    def lead_to(self, upstream: Endpoint) -> None:
        self.upstream = upstream
        if not self._held:
            for pair in tuple(self._pairs):
                self._flow(pair)

    def refuse(self) -> None:
        if self.upstream is None:
            self.cut()

    def _flow(self, pair: Pair) -> None:
        if self.upstream is not None:
            pair.flow(self.upstream)
        elif self._knock is not None:
            self._knock()

    def cut(self) -> int:
        count = self.count()
        for pair in tuple(self._pairs):
            pair.reset()
        return count

    def count(self) -> int:
        return sum(pair.open() for pair in self._pairs)

    def _accept(self) -> None:
        """Everybody in the queue, so that a rush of connections is one turn of the loop."""
        for _ in range(BACKLOG):
            if self._socket is None:
                return
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest()
                    return
                continue
            self.opened += 1
            if self._shut:
                self._turn_away(client)
                continue
            pair = Pair(self._loop, client, self._pairs.discard)
            pair.watch = self._watch(pair, new=True)
            self._pairs.add(pair)
            if self.trips is None or pair.trips is None:
                pair.trips = None
            elif len(self.trips) < MOST_CONNECTIONS:
                self.trips.append(pair.trips)
            if self._toxics:
                pair.shape(self._toxics, self._store)
            if not self._held and not pair.closed:
                self._flow(pair)

    def _turn_away(self, client: socket.socket) -> None:
        """It hears the end before a word. What it says is read: closing at once could turn the end into a reset."""
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)

        def read() -> None:
            try:
                if client.recv(CHUNK):
                    return
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                pass
            self._let_go(client)

        self._turned_away.add(client)
        self._loop.add_reader(client.fileno(), read)

    def _let_go(self, client: socket.socket) -> None:
        self._turned_away.discard(client)
        self._loop.remove_reader(client.fileno())
        client.close()

    def _dismiss(self) -> None:
        """Whoever was turned away and is still there."""
        for client in tuple(self._turned_away):
            self._let_go(client)

    def _watch(self, pair: Pair, *, new: bool) -> Watch | None:
        return self._steps.watch(pair, self.service, self.server, new=new) if self._steps is not None else None

    def _rest(self) -> None:
        """Out of descriptors: the queue stays as it is, so without a pause the loop would spin."""
        listener = self._socket
        if listener is None:
            return
        self._loop.remove_reader(listener.fileno())

        def again() -> None:
            if self._socket is listener:
                self._loop.add_reader(listener.fileno(), self._accept)

        self._loop.call_later(0.05, again)
