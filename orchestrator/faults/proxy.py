"""The links between the target and its services: a TCP proxy that parses nothing and can be told to fail.

It runs an asyncio loop in its own thread; every method may be called from any thread and returns when its effect holds.
A service has a link for each of its endpoints, and each server has links of its own (``branch`` makes those of a second
one), so that it is known who did what; what is done to a service, is done to all of them. A link may be open before its
service runs: connections wait, unread, until ``redirect`` says where to, or ``refuse`` that there is nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from orchestrator.errors import Bug, EnvironmentFault
from orchestrator.faults.link import Link
from orchestrator.faults.steps import MakeEar, Steps
from orchestrator.faults.toxics import Toxic
from orchestrator.model import Endpoint
from orchestrator.system.ports import free_port

T = TypeVar("T")

CALL_SECONDS = 10.0
DESCRIPTORS = 4096
"""Five hundred connections of the target are a thousand descriptors; macOS starts with 256."""
MAIN = ""
"""The name of the server that is judged, beside those of its replicas."""


class Proxy:
    """All links of one judge space, or of a service. A context manager; ``close`` resets what is open, frees the ports.

    ``remembers``: when each round trip was, for ``trips``.
    """

    def __init__(self, *, remembers: bool = True) -> None:
        _allow_descriptors()
        self._loop = asyncio.new_event_loop()
        self._links: dict[tuple[str, str, str], Link] = {}
        """By service, endpoint and server; the main ones' names are empty."""
        self._trips: dict[str, list[list[list[float]]]] = {}
        """Service -> round trips of each connection of any server; those of a server that has ended, too."""
        self._remembers = remembers
        self._steps: Steps | None = None
        self._stumbled = ""
        self._loop.set_exception_handler(self._note)
        self._thread = threading.Thread(target=self._loop.run_forever, name="labs-proxy", daemon=True)
        self._thread.start()

    def open(self, service: str, upstream: Endpoint | None, *, others: Collection[str] = (),
             ports: Mapping[str, int] | None = None, knock: Callable[[], None] | None = None) -> Endpoint:
        """Make a service's links for the main server; the target connects to the endpoint that this returns.

        ``others`` are the names of further endpoints; ``ports`` what links should listen on if they can, by name.
        Without an upstream the service sleeps: ``knock`` is called, and must return at once, when somebody waits.
        """
        if (service, "", MAIN) in self._links:
            raise Bug(f"there is a link to {service} already")
        made: dict[str, int] = {}
        for name in ("", *others):
            link = Link(self._loop, service, MAIN, None if upstream is None else _part(upstream, name), knock)
            made[name] = self._open(link, name, (ports or {}).get(name, 0))
        return Endpoint(made.pop(""), others=made)

    def branch(self, server: str) -> Mapping[str, Endpoint]:
        """Links of its own for another server, to every service: service -> where it connects.

        They stand as the main server's do: one that sleeps, is down or held does so for the newcomer, too.
        """
        made: dict[str, dict[str, int]] = {}
        for (service, name, owner), link in list(self._links.items()):
            if owner == MAIN:
                made.setdefault(service, {})[name] = self._open(self._call(partial(link.twin, server)), name, 0)
                self._call(partial(self._links[service, name, server].stand_like, link))
        return {service: Endpoint(ports.pop(""), others=ports) for service, ports in made.items()}

    def drop(self, server: str) -> None:
        """Close the links of a server that has ended. Harmless twice."""
        for key in [key for key in self._links if key[2] == server and server != MAIN]:
            self._call(self._links.pop(key).down)

    def redirect(self, service: str, upstream: Endpoint) -> None:
        """Whoever waits and new connections go to this upstream; open ones stay where they are."""
        for (name, endpoint, _), link in list(self._links.items()):
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

    def shut(self, service: str) -> None:
        """Reset every connection; accept new ones and end them at once, in good order, before a word is said.

        So does a balancer whose service is gone.
        """
        for link in self._of(service):
            self._call(link.shut)

    def up(self, service: str) -> None:
        """Undo ``down`` or ``shut``, on the same port. ``EnvironmentFault("port-busy")`` if it was taken meanwhile."""
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

    def shape(self, service: str, toxics: Sequence[Toxic]) -> None:
        """From now on these faults on every connection, open or new; none: as without a proxy."""
        for link in self._of(service):
            self._call(partial(link.shape, toxics))

    def cut(self, service: str) -> int:
        """Reset every connection once; how many there were."""
        return sum(self._call(link.cut) for link in self._of(service))

    def open_connections(self, service: str) -> int:
        """Connections that the target and its replicas have open now, also while the link is held."""
        return sum(self._call(link.count) for link in self._of(service))

    def opened(self, service: str) -> int:
        """Connections of the target and its replicas since ``reset_counts``."""
        return sum(link.opened for link in self._of(service))

    def reset_counts(self, service: str) -> None:
        """Count opened connections from 0 again."""
        for link in self._of(service):
            link.opened = 0

    def trips(self) -> Mapping[str, list[list[tuple[float, float]]]]:
        """Service -> for each connection, when its round trips were asked and answered (one that is not: now)."""
        now = time.time()
        return {service: [[(trip[0], (*trip, now)[1]) for trip in tuple(one)] for one in tuple(connections)]
                for service, connections in self._trips.items()}

    def forget_trips(self) -> None:
        """Those that have been are of no interest any more; what is open now is seen further on."""
        def forget() -> None:
            for connections in self._trips.values():
                connections[:] = [one for one in connections if one]
                for one in connections:
                    one.clear()

        self._call(forget)

    def steps(self, ears: Mapping[str, MakeEar]) -> Steps:
        """Look at every step from now on. ``ears``: service -> what reads a connection's bytes, where there is one.

        The first call begins it; before that no byte is looked at.
        """
        if self._steps is None:
            steps = Steps(self._loop, self._call, ears)

            def begin() -> None:
                for link in self._links.values():
                    link.look(steps)

            self._call(begin)
            self._steps = steps
        return self._steps

    def alive(self) -> bool:
        """Whether the proxy itself works: its thread runs, nothing went wrong in it, every link listens that should."""
        return self._thread.is_alive() and not self._stumbled and all(
            link.listening or link.is_down for link in self._links.values())

    def heal(self) -> None:
        """Every link up and flowing; counts go on. If a port was lost, the other links are healed all the same."""
        lost: EnvironmentFault | None = None
        if self._steps is not None:
            self._steps.disarm()
        for service in dict.fromkeys(service for service, _, _ in self._links):
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

    def _open(self, link: Link, name: str, wanted: int) -> int:
        """One link, to the endpoint of this name; its port."""
        if self._steps is not None:
            link.look(self._steps)
        for attempt in range(5):
            port = wanted if wanted and attempt == 0 else free_port()
            try:
                self._call(partial(link.listen, port))
                break
            except EnvironmentFault:
                # Somebody else drew the same port in the moment between choosing and binding it.
                if attempt == 4:
                    raise
        link.trips = self._trips.setdefault(link.service, []) if self._remembers else None
        self._links[link.service, name, link.server] = link
        return link.port

    def _of(self, service: str) -> list[Link]:
        """All links to a service; ``KeyError`` if there is none."""
        found = [link for (name, _, _), link in list(self._links.items()) if name == service]
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


def _allow_descriptors() -> None:
    """Raise this process's own soft limit where the hard one lets us; a refusal changes nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
