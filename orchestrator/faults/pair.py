"""One connection of the target and its other half to the service: bytes carried between two sockets, not read here.

Everything here runs on the proxy's loop thread and returns at once: no task, no copy, one ``recv`` and one ``send`` a
chunk. What a socket does not take at once waits in ``_End.rest`` (at most one chunk), and its source is not read
until that is gone, so a slow reader slows its writer as it would without a proxy. Under faults, what comes in goes
through a ``Passage``, which says when it goes on; without any there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from orchestrator.faults.passage import CHUNK, Passage, Store
from orchestrator.faults.toxics import Toxic
from orchestrator.model import Endpoint

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 seconds: closing sends RST instead of FIN, as a crashed peer does."""
MOST_TRIPS = 10_000
"""Of one connection, of which is known when they were."""
HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def reset_socket(one: socket.socket) -> None:
    """Close with RST."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    one.close()


class Watch(Protocol):
    """Who looks at what passes, and may keep it: see ``steps``."""

    def asked(self, data: bytes) -> bool:
        """Whether these bytes of the target go on now. If not, they are the watch's: to send, to drop."""

    def answered(self, data: bytes) -> bool:
        """The same for bytes of the service."""

    def gone(self) -> None:
        """Both sides are closed."""


class Pair:
    """A client, and the service's socket once there is one. ``gone`` is called once, when both are closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: socket.socket, gone: Callable[[Pair], None]) -> None:
        self.loop = loop
        self.held = True
        self.stands = False
        """Whether it waits at a step, as the watch wished, whatever the link lets pass."""
        self.joined = False
        self.watch: Watch | None = None
        self.trips: list[list[float]] | None = []
        """When each round trip was asked, and when the first of its answer came; ``None``: nobody wants to know."""
        self.closed = False
        self._gone = gone
        self._toxics: Sequence[Toxic] = ()
        self._store = Store()
        self._client = _End(self, client)
        self._server: _End | None = None

    def flow(self, upstream: Endpoint) -> None:
        """Let bytes pass; the first time, connect to the service."""
        self.held = False
        if self._server is None:
            self._connect(upstream)
        elif self.joined:
            self._both_flow()

    def hold(self) -> None:
        """Let bytes wait where they are, mostly in the kernel."""
        self.held = True
        if self.joined:
            self._both_flow()

    def stand(self) -> None:
        """Let bytes wait until ``go_on``."""
        self.stands = True
        if self.joined:
            self._both_flow()

    @property
    def waits(self) -> bool:
        """Whether bytes wait where they are."""
        return self.held or self.stands

    def open(self) -> bool:
        """Whether the client still has its end open. Asks the kernel, since a held connection is not read."""
        if self.closed or self._client.ended:
            return False
        poll = select.poll()
        poll.register(self._client.socket, HUNG_UP)
        return not any(event & HUNG_UP for _, event in poll.poll(0))

    def reset(self) -> None:
        """RST to both sides. Harmless twice."""
        self._close(reset_socket)

    def forsake(self) -> None:
        """RST to the target alone. What the service is still sent, nobody waits for."""
        if not self.closed:
            self._client.leave()

    def ask(self, data: bytes) -> None:
        """Send the service what the watch kept back. Nothing happens once the pair is closed."""
        if not self.closed and self._server is not None:
            self._server.write(self._server.rest + data)

    def go_on(self, *, ask: bytes = b"", answer: bytes = b"") -> None:
        """Send what the watch kept back, to the service or the target; then bytes pass again, if the link lets them."""
        if self.closed or self._server is None:
            return
        self.stands = False
        if ask:
            self.ask(ask)
        if answer:
            self._client.write(self._client.rest + answer)
        if not self.closed:
            self._both_flow()

    def shape(self, toxics: Sequence[Toxic], store: Store) -> None:
        """From now on these faults. ``store`` counts what waits in all connections of the link."""
        self._toxics, self._store = toxics, store
        for end in (self._client, self._server):
            if end is not None:
                self._shape(end)

    def _shape(self, end: _End) -> None:
        way = "upstream" if end is self._client else "downstream"
        end.shape([one for one in self._toxics if one.direction == way], self._store)

    def may_pass(self, end: _End, data: bytes) -> bool:
        """Whether bytes that came in at this end go on at once."""
        trips = self.trips
        if trips is None:
            pass
        elif end is not self._client:
            if trips and len(trips[-1]) == 1:
                trips[-1].append(time.time())
        elif (not trips or len(trips[-1]) == 2) and len(trips) < MOST_TRIPS:
            trips.append([time.time()])
        if self.watch is None:
            return True
        return self.watch.asked(data) if end is self._client else self.watch.answered(data)

    def close(self) -> None:
        """Both sides have said all: FIN was sent, now let go."""
        self._close(socket.socket.close)

    def _close(self, how: Callable[[socket.socket], None]) -> None:
        if self.closed:
            return
        self.closed = True
        for end in (self._client, self._server):
            if end is not None:
                end.detach()
                how(end.socket)
        self._gone(self)
        if self.watch is not None:
            self.watch.gone()

    def _connect(self, upstream: Endpoint) -> None:
        try:
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            self.reset()
            return
        self._server = _End(self, server)
        self._client.other, self._server.other = self._server, self._client
        if self._toxics:
            self._shape(self._server)
        if server.connect_ex((upstream.host, upstream.port)) in (0, errno.EINPROGRESS):
            self.loop.add_writer(server.fileno(), self._connected)
        else:
            self.reset()

    def _connected(self) -> None:
        assert self._server is not None
        self.loop.remove_writer(self._server.socket.fileno())
        if self._server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.reset()
            return
        self.joined = True
        self._both_flow()

    def _both_flow(self) -> None:
        for end in (self._client, self._server):
            if end is not None:
                end.go()


class _End:
    """One of the two sockets. ``ended``: it has sent FIN. ``rest``: bytes for it that it has not taken yet."""

    def __init__(self, pair: Pair, one: socket.socket) -> None:
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = one
        self.other = self
        self.ended = False
        self.rest = b""
        self._pair = pair
        self._reading = False
        self._writing = False
        self._heard = False
        """Whether the other side was told of this one's end."""
        self._passage: Passage | None = None
        self._timer: asyncio.TimerHandle | None = None

    def go(self) -> None:
        """Something may pass that could not before: what waits in its passage first."""
        if self._passage is None:
            self.flow()
        else:
            self._carry()

    def flow(self) -> None:
        """Read and write as far as the link, the other side's pace, this side's end and its passage's room allow."""
        loop, descriptor, held = self._pair.loop, self.socket.fileno(), self._pair.waits
        room = self._passage is None or self._passage.room() > 0
        read = room and not held and not self.ended and not self.other.rest
        if read != self._reading:
            self._reading = read
            if read:
                loop.add_reader(descriptor, self._readable)
            else:
                loop.remove_reader(descriptor)
        write = not held and bool(self.rest)
        if write != self._writing:
            self._writing = write
            if write:
                loop.add_writer(descriptor, self._writable)
            else:
                loop.remove_writer(descriptor)

    def shape(self, toxics: Sequence[Toxic], store: Store) -> None:
        """What comes in here goes on under these faults."""
        now = self._pair.loop.time()
        if self._passage is not None:
            self._passage.change(toxics, now)
        elif toxics:
            self._passage = Passage(toxics, now, store, Random())  # noqa: S311 - jitter, no secret
        if self._passage is not None:
            self._carry()

    def _carry(self) -> None:
        """Let go on what is due, as far as the other side takes it; come back when more is."""
        passage, pair, other = self._passage, self._pair, self.other
        if passage is None or pair.closed:
            return
        now = pair.loop.time()
        ending = passage.over(now)
        while not ending and self._takes and (due := passage.pop(now)) is not None:
            data, ending = due
            if data:
                other.write(data)
            if ending == "fin" and not pair.closed:
                ending = ""
                self._pass_end()
            if pair.closed:
                return
        if ending:
            pair.reset() if ending == "reset" else pair.close()
            return
        at = passage.next(blocked=not self._takes)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = pair.loop.call_at(at, self._carry) if at is not None else None
        if passage.idle:
            self._passage = None
        if pair.joined:
            self.flow()

    @property
    def _takes(self) -> bool:
        """Whether the other side can be sent something now."""
        return self._pair.joined and not self._pair.waits and not self.other.rest

    def detach(self) -> None:
        """The loop watches it no longer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._passage is not None:
            self._passage.clear()
        self._pair.loop.remove_reader(self.socket.fileno())
        self._pair.loop.remove_writer(self.socket.fileno())

    def leave(self) -> None:
        """Who was here is reset; in its place is one who has just hung up."""
        self.detach()
        reset_socket(self.socket)
        self.socket, gone = socket.socketpair()
        gone.close()
        self.socket.setblocking(False)
        self.rest, self._reading, self._writing = b"", False, False

    def _readable(self) -> None:
        passage = self._passage
        try:
            data = self.socket.recv(CHUNK if passage is None else passage.room() or 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._pair.reset()
            return
        if not data:
            self._end()
        elif not self._pair.may_pass(self, data):
            pass
        elif passage is None:
            self.other.write(data)
        else:
            passage.take(data, self._pair.loop.time())
            self._carry()

    def _end(self) -> None:
        """A half-close goes on to the other side, which may still answer: behind what waits in the passage."""
        self.ended = True
        self.flow()
        if self._passage is None:
            self._pass_end()
        else:
            self._passage.finish(self._pair.loop.time())
            self._carry()

    def _pass_end(self) -> None:
        self._heard = True
        with contextlib.suppress(OSError):
            self.other.socket.shutdown(socket.SHUT_WR)
        if self.other._heard:
            self._pair.close()

    def write(self, data: bytes) -> None:
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._pair.reset()
            return
        if sent == len(data) and not self.rest:
            return
        self.rest = data[sent:]
        self.flow()
        self.other.go()

    def _writable(self) -> None:
        self.write(self.rest)
