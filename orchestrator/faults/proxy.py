"""The links between the target and its services: a TCP proxy that parses nothing and can be told to fail.

It runs an asyncio loop in its own thread; every method may be called from any thread and returns when its effect holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Endpoint
from orchestrator.target.ports import free_port

T = TypeVar("T")

CHUNK = 64 * 1024
CALL_SECONDS = 10.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 seconds: closing sends RST instead of FIN, as a crashed peer does."""


class Proxy:
    """All links of one judge space. A context manager; ``close`` resets what is open and frees the ports."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: dict[str, _Link] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="labs-proxy", daemon=True)
        self._thread.start()

    def open(self, service: str, upstream: Endpoint) -> Endpoint:
        """Make a link to ``upstream``; the target connects to the endpoint that this returns."""
        link = _Link(service, upstream)
        self._run(link.listen(free_port()))
        self._links[service] = link
        return Endpoint(link.port)

    def redirect(self, service: str, upstream: Endpoint) -> None:
        """New connections go to another upstream from now on."""
        self._links[service].upstream = upstream

    def down(self, service: str) -> None:
        """Reset every connection and refuse new ones, as if the service were gone."""
        self._run(self._links[service].down())

    def up(self, service: str) -> None:
        """Undo ``down``, on the same port. ``EnvironmentFault("port-busy")`` if somebody took it meanwhile."""
        self._run(self._links[service].up())

    def hold(self, service: str) -> None:
        """Bytes wait, in both directions; nothing is closed, new connections are accepted and wait, too."""
        self._call(self._links[service].flowing.clear)

    def release(self, service: str) -> None:
        """Undo ``hold``: everything that waited goes on."""
        self._call(self._links[service].flowing.set)

    def cut(self, service: str) -> int:
        """Reset every connection once; how many there were."""
        return self._run(self._links[service].cut())

    def open_connections(self, service: str) -> int:
        """Connections of the target that are open now."""
        return len(self._links[service].pairs)

    def opened(self, service: str) -> int:
        """Connections of the target since ``reset_counts``."""
        return self._links[service].opened

    def reset_counts(self, service: str) -> None:
        """Count opened connections from 0 again."""
        self._links[service].opened = 0

    def alive(self) -> bool:
        """Whether the proxy itself works: its thread runs and every link listens that should."""
        return self._thread.is_alive() and all(link.listening or link.is_down for link in self._links.values())

    def heal(self) -> None:
        """Every link as new: up, flowing."""
        for service, link in self._links.items():
            self.release(service)
            if link.is_down:
                self.up(service)

    def close(self) -> None:
        """Reset every connection, stop listening, end the thread. Harmless twice."""
        if self._loop.is_closed():
            return
        for link in self._links.values():
            self._run(link.down())
        self._links.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    def _call(self, function: Any) -> None:
        async def call() -> None:
            function()

        self._run(call())


class _Link:
    """One service's link. Used on the loop's thread only; its plain counters may be read from others."""

    def __init__(self, service: str, upstream: Endpoint) -> None:
        self.service = service
        self.upstream = upstream
        self.port = 0
        self.opened = 0
        self.is_down = False
        self.pairs: set[_Pair] = set()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    @property
    def listening(self) -> bool:
        return self._accepting is not None and not self._accepting.done()

    async def listen(self, port: int) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Without it a port on which we reset connections a moment ago could not be taken up again.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            listener.close()
            raise EnvironmentFault(f"port {port} of the link to {self.service} is taken by another program",
                                   code="port-busy", hint="run the command again") from error
        listener.listen(1024)
        listener.setblocking(False)
        self.port = port
        self._socket = listener
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listener))

    async def down(self) -> None:
        self.is_down = True
        if self._accepting is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        await self.cut()

    async def up(self) -> None:
        if self.is_down:
            await self.listen(self.port)
            self.is_down = False

    async def cut(self) -> int:
        pairs = list(self.pairs)
        for pair in pairs:
            await pair.reset()
        return len(pairs)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:
                # Out of descriptors, or the client was gone before we looked: others may still come.
                await asyncio.sleep(0.01)
                continue
            self.opened += 1
            pair = _Pair(self, client)
            self.pairs.add(pair)
            pair.task = loop.create_task(pair.run())


class _Pair:
    """One connection of the target and its other half to the service."""

    def __init__(self, link: _Link, client: socket.socket) -> None:
        self._link = link
        self._client = client
        self._server: socket.socket | None = None
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._link.flowing.wait()
            server = self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            for end in (self._client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(server, (self._link.upstream.host, self._link.upstream.port))
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(self._client, server))
                both.create_task(self._pump(server, self._client))
            self._close()
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            self._close(abruptly=True)
        finally:
            self._link.pairs.discard(self)

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Forward until the source ends, then end the sink's input. Chunk by chunk: the slower side sets the pace."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, CHUNK):
            await self._link.flowing.wait()
            await loop.sock_sendall(sink, data)
        await self._link.flowing.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    async def reset(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    def _close(self, *, abruptly: bool = False) -> None:
        for end in (self._client, self._server):
            if end is None:
                continue
            if abruptly:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.close()
