"""The links between the target and its services: a TCP proxy that parses nothing and can be told to fail.

It runs an asyncio loop in its own thread; every method may be called from any thread and returns when its effect holds.
A service has a link for each of its endpoints; what is done, is done to all of them. A link may be open before its
service runs: connections wait, unread, until ``redirect`` says where to, or ``refuse`` that there is nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from orchestrator.errors import Bug, EnvironmentFault
from orchestrator.faults.pair import Pair
from orchestrator.model import Endpoint
from orchestrator.system.ports import free_port

T = TypeVar("T")

CALL_SECONDS = 10.0
BACKLOG = 1024
DESCRIPTORS = 4096
"""Five hundred connections of the target are a thousand descriptors; macOS starts with 256."""


class Proxy:
    """All links of one judge space. A context manager; ``close`` resets what is open and frees the ports."""

    def __init__(self) -> None:
        _allow_descriptors()
        self._loop = asyncio.new_event_loop()
        self._links: dict[tuple[str, str], _Link] = {}
        """By service and endpoint; the main one's name is empty."""
        self._stumbled = ""
        self._loop.set_exception_handler(self._note)
        self._thread = threading.Thread(target=self._loop.run_forever, name="labs-proxy", daemon=True)
        self._thread.start()

    def open(self, service: str, upstream: Endpoint | None, *, others: Collection[str] = (),
             ports: Mapping[str, int] | None = None, knock: Callable[[], None] | None = None) -> Endpoint:
        """Make a service's links; the target connects to the endpoint that this returns.

        ``others`` are the names of further endpoints; ``ports`` what links should listen on if they can, by name.
        Without an upstream the service sleeps: ``knock`` is called, and must return at once, when somebody waits.
        """
        if (service, "") in self._links:
            raise Bug(f"there is a link to {service} already")
        made = {name: self._open(service, name, upstream, knock, (ports or {}).get(name, 0)) for name in ("", *others)}
        return Endpoint(made.pop(""), others=made)

    def redirect(self, service: str, upstream: Endpoint) -> None:
        """Whoever waits and new connections go to this upstream; open ones stay where they are."""
        for (name, endpoint), link in list(self._links.items()):
            if name == service:
                self._call(partial(link.lead_to, _part(upstream, endpoint)))

    def refuse(self, service: str) -> None:
        """The service cannot be woken: who waits is reset. The next one knocks again."""
        for link in self._of(service):
            self._call(link.refuse)

    def down(self, service: str) -> None:
        """Reset every connection and refuse new ones, as if the service were gone."""
        for link in self._of(service):
            self._call(link.down)

    def up(self, service: str) -> None:
        """Undo ``down``, on the same port. ``EnvironmentFault("port-busy")`` if somebody took it meanwhile."""
        for link in self._of(service):
            self._call(link.up)

    def hold(self, service: str) -> None:
        """Bytes wait, in both directions; nothing is closed, new connections are accepted and wait, too."""
        for link in self._of(service):
            self._call(link.hold)

    def release(self, service: str) -> None:
        """Undo ``hold``: everything that waited goes on."""
        for link in self._of(service):
            self._call(link.release)

    def cut(self, service: str) -> int:
        """Reset every connection once; how many there were."""
        return sum(self._call(link.cut) for link in self._of(service))

    def open_connections(self, service: str) -> int:
        """Connections that the target has open now, also while the link is held."""
        return sum(self._call(link.count) for link in self._of(service))

    def opened(self, service: str) -> int:
        """Connections of the target since ``reset_counts``."""
        return sum(link.opened for link in self._of(service))

    def reset_counts(self, service: str) -> None:
        """Count opened connections from 0 again."""
        for link in self._of(service):
            link.opened = 0

    def alive(self) -> bool:
        """Whether the proxy itself works: its thread runs, nothing went wrong in it, every link listens that should."""
        return self._thread.is_alive() and not self._stumbled and all(
            link.listening or link.is_down for link in self._links.values())

    def heal(self) -> None:
        """Every link up and flowing; counts go on. If a port was lost, the other links are healed all the same."""
        lost: EnvironmentFault | None = None
        for service in dict.fromkeys(service for service, _ in self._links):
            try:
                self.release(service)
                self.up(service)
            except EnvironmentFault as fault:
                lost = lost or fault
        if lost is not None:
            raise lost

    def close(self) -> None:
        """Reset every connection, stop listening, end the thread. Harmless twice; never hangs."""
        if self._loop.is_closed():
            return
        links, self._links = list(self._links.values()), {}
        with contextlib.suppress(EnvironmentFault):
            for link in links:
                self._call(link.down)
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

    def _open(self, service: str, name: str, upstream: Endpoint | None, knock: Callable[[], None] | None,
              wanted: int) -> int:
        """One link; its port."""
        link = _Link(self._loop, service, None if upstream is None else _part(upstream, name), knock)
        for attempt in range(5):
            port = wanted if wanted and attempt == 0 else free_port()
            try:
                self._call(partial(link.listen, port))
                break
            except EnvironmentFault:
                # Somebody else drew the same port in the moment between choosing and binding it.
                if attempt == 4:
                    raise
        self._links[service, name] = link
        return link.port

    def _of(self, service: str) -> list[_Link]:
        """All links to a service; ``KeyError`` if there is none."""
        found = [link for (name, _), link in list(self._links.items()) if name == service]
        if not found:
            raise KeyError(service)
        return found

    def _call(self, function: Callable[[], T]) -> T:
        """Run it on the loop's thread and wait for its answer."""
        if self._loop.is_closed():
            raise Bug("the proxy was closed")
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(function())
            except BaseException as error:
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        try:
            return answer.result(CALL_SECONDS)
        except TimeoutError as error:
            raise EnvironmentFault(f"the links to the services did not react within {CALL_SECONDS:.0f} s",
                                   code="proxy-stuck", hint="run the command again; the machine may be overloaded"
                                   ) from error

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback is our bug: remembered for ``alive``, not printed over the learner's screen."""
        self._stumbled = str(context.get("exception") or context.get("message"))


def _part(endpoint: Endpoint, name: str) -> Endpoint:
    """One endpoint of a service."""
    return endpoint.at(name) if name else Endpoint(endpoint.port, endpoint.host)


class _Link:
    """One endpoint's link. Used on the loop's thread only; its plain counters may be read from others.

    Without an upstream the service sleeps, and ``knock`` tells that somebody waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, service: str, upstream: Endpoint | None,
                 knock: Callable[[], None] | None) -> None:
        self.service = service
        self.upstream = upstream
        self.port = 0
        self.opened = 0
        self.is_down = False
        self._loop = loop
        self._knock = knock
        self._held = False
        self._pairs: set[Pair] = set()
        self._socket: socket.socket | None = None

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

    def up(self) -> None:
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
            pair = Pair(self._loop, client, self._pairs.discard)
            self._pairs.add(pair)
            if not self._held:
                self._flow(pair)

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


def _allow_descriptors() -> None:
    """Raise this process's own soft limit where the hard one lets us; a refusal changes nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
