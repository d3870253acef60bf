"""Steps: the round trips of one server to its services, counted, and one of them held, delayed or lost.

A step begins with the first bytes that the server sends on a connection after the service's last answer there: so much
can be seen without knowing any protocol. Where somebody can read the bytes (an ``Ear``, the service's own), a step has
a text (``GET hold:7:1``) and a kind (``GET``); without one both are empty. A wish names its step by service, kind and
how many of that kind came before it in the run: that stays the same when a driver prepares a statement, opens a
connection or pings in one run and not in the next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from orchestrator.faults.pair import Pair
    from orchestrator.services.base import Ear, Heard

MOST_KEPT = 64 * 1024
PART_PATIENCE = 0.02
"""Seconds in which the rest of a message must come before its beginning goes on alone."""
Deed = Literal["hold", "cut", "lose", "late", "mute", "delay"]


MakeEar = Callable[[bool], "Ear"]
"""Whether it hears the connection from its very beginning -> a new ear."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One round trip. ``number`` counts from 1 in a run; ``nth`` of this kind at this service in the run, from 1."""

    number: int
    service: str
    text: str
    kind: str
    nth: int
    connection: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to happen at one step; with ``nth=0`` at each.

    ``hold``: it waits before the service, until ``release`` or ``drop``. ``cut``: its connection is reset before it
    reaches the service. ``lose``: the service does it, and the connection is reset instead of an answer. ``late``: the
    target's side is reset, and it reaches the service after ``release``, as what a network had kept. ``mute``: the
    service does it, and the answer waits, ``seconds`` at most unless these are 0. ``delay``: it waits ``seconds``, then
    goes on. ``times``: of its kind, so many in a row.
    """

    do: Deed
    service: str = ""
    kind: str = ""
    nth: int = 0
    seconds: float = 0.0
    times: int = 1

    def names(self, step: RoundTrip) -> bool:
        """Whether this step is meant."""
        same = (self.service, self.kind) == (step.service, step.kind)
        return not self.nth or (same and self.nth <= step.nth < self.nth + self.times)

    def ends_with(self, step: RoundTrip) -> bool:
        """Whether nothing is wished for after this step."""
        return bool(self.nth) and step.nth == self.nth + self.times - 1


class Steps:
    """All steps that pass the proxy. Methods may be called from any thread, except those for ``_Onlooker``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, call: Callable[[Callable[[], None]], None], ears: Mapping[str, MakeEar]
    ) -> None:
        self._loop = loop
        self._call = call
        self._ears = ears
        self._news = threading.Condition()
        self._server: str | None = None
        self._learning: str | None = None
        self._wish: Wish | None = None
        self._taken: list[RoundTrip] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._under_way: set[_Onlooker] = set()
        self._held: dict[_Onlooker, Callable[[], None]] = {}
        self._acted: RoundTrip | None = None
        self._woken = False
        self._moved = time.monotonic()
        self._connections = 0

    def watch(self, pair: Pair, service: str, server: str, *, new: bool) -> _Onlooker:
        """A connection's watch; ``new``: nothing was sent on it yet."""
        self._connections += 1
        make = self._ears.get(service)
        return _Onlooker(self, pair, service, server, self._connections, make(new) if make is not None else None)

    # --- asking for something ----------------------------------------------------------------------------------

    def learn(self, server: str, seconds: float) -> None:
        """What this server sends in the next seconds it sends by itself: on those connections it is no step."""
        with self._news:
            self._learning = server
            self._news.wait_for(lambda: False, seconds)
            self._learning = None

    def arm(self, server: str, wish: Wish | None = None) -> None:
        """Count this server's steps from 1 again, with this wish or none."""

        def begin() -> None:
            self._let_go()
            with self._news:
                self._server, self._wish, self._acted, self._woken = server, wish, None, False
                self._taken, self._counts = [], Counter()
                self._under_way.clear()

        self._call(begin)

    def acted(self, patience: float) -> RoundTrip | None:
        """Wait until the wish came true: its step. ``None`` after ``wake`` or when the patience (seconds) is over."""
        with self._news:
            self._news.wait_for(lambda: self._acted is not None or self._woken, patience)
            return self._acted

    def wake(self) -> None:
        """Whoever waits in ``acted`` need not any longer."""
        with self._news:
            self._woken = True
            self._news.notify_all()

    def release(self) -> None:
        """What is held goes on; the wish for each step waits for the next one."""

        def go() -> None:
            self._acted = None
            self._let_go()

        self._call(go)

    def drop(self) -> None:
        """What is held never arrives: its connection is reset on both sides."""

        def end() -> None:
            held = list(self._held)
            self._held.clear()
            for watch in held:
                watch.pair.reset()

        self._call(end)

    def disarm(self) -> None:
        """No wish any more, nothing is counted; what is held goes on."""

        def end() -> None:
            with self._news:
                self._server, self._wish, self._woken = None, None, True
                self._news.notify_all()
            self._let_go()

        self._call(end)

    # --- looking -----------------------------------------------------------------------------------------------

    def taken(self) -> tuple[RoundTrip, ...]:
        """The steps since ``arm``."""
        with self._news:
            return tuple(self._taken)

    def settle(self, quiet: float, patience: float) -> None:
        """Return when the armed server took no step for ``quiet`` seconds, and has none under way but what is held."""
        end = time.monotonic() + patience
        with self._news:
            before = -1
            while before != len(self._taken) and time.monotonic() < end:
                before = len(self._taken)
                self._news.wait_for(lambda before=before: len(self._taken) != before, quiet)  # type: ignore[misc]
                self._news.wait_for(self._only_held_under_way, max(0.0, end - time.monotonic()))

    def still(self) -> float:
        """For how many seconds nothing has passed on any link."""
        return time.monotonic() - self._moved

    def _only_held_under_way(self) -> bool:
        return all(watch in self._held for watch in self._under_way)

    # --- for watches, on the loop's thread ---------------------------------------------------------------------

    def begins(self, watch: _Onlooker, heard: Heard | None) -> Wish | None:
        """A step begins; the wish, if it is about this one."""
        text, kind = ("", "") if heard is None else (heard.text, heard.kind) if heard.text else heard.begun
        with self._news:
            if self._learning == watch.server:
                watch.background.add(kind)
            watch.aside = kind in watch.background
            if watch.aside:
                return None
            self._moved = time.monotonic()
            if self._server != watch.server:
                return None
            self._counts[watch.service, kind] += 1
            nth = self._counts[watch.service, kind]
            step = RoundTrip(len(self._taken) + 1, watch.service, text, kind, nth, watch.number)
            self._taken.append(step)
            self._under_way.add(watch)
            self._news.notify_all()
            wish = self._wish
            if wish is None or not wish.names(step):
                return None
            if wish.ends_with(step):
                self._wish = None
            watch.step = step
            return wish

    def ends(self, watch: _Onlooker) -> None:
        """The service has answered, or never will."""
        if not watch.aside:
            self._moved = time.monotonic()
        if watch in self._under_way:
            with self._news:
                self._under_way.discard(watch)
                self._news.notify_all()

    def came_true(self, watch: _Onlooker, release: Callable[[], None] | None = None) -> None:
        """The wish was done at the watch's step; with ``release`` something is held there."""
        if release is not None:
            watch.pair.stand()
            self._held[watch] = release
        with self._news:
            self._acted = watch.step
            self._news.notify_all()

    def later(self, watch: _Onlooker, seconds: float) -> None:
        """Release what this watch holds after some time, if it is still held."""

        def go() -> None:
            release = self._held.pop(watch, None)
            if release is not None:
                release()

        self._loop.call_later(seconds, go)

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do it after a while."""
        self._loop.call_later(seconds, do)

    def gone(self, watch: _Onlooker) -> None:
        """Its connection is closed."""
        self._held.pop(watch, None)
        self.ends(watch)

    def _let_go(self) -> None:
        held = list(self._held.values())
        self._held.clear()
        for release in held:
            release()


class _Onlooker:
    """One connection of a server: where its round trips begin and end."""

    def __init__(self, steps: Steps, pair: Pair, service: str, server: str, number: int, ear: Ear | None) -> None:
        self.pair = pair
        self.service = service
        self.server = server
        self.number = number
        self.background: set[str] = set()
        """Kinds that the server sends here by itself."""
        self.aside = False
        """Whether what passes now is nobody's request: it moves nothing."""
        self.step: RoundTrip | None = None
        self._steps = steps
        self._ear = ear
        self._open = False
        self._part = b""
        self._wish: Wish | None = None
        """What is to happen when the answer comes."""

    def asked(self, data: bytes) -> bool:
        heard = self._ear.hear(data) if self._ear is not None else None
        if self._open:
            return True
        if self._part or (heard is not None and not heard.whole and not heard.text):
            return self._wait_for_rest(data, heard)
        return self._begin(data, heard)

    def answered(self, data: bytes) -> bool:
        self._open = False
        wish, self._wish = self._wish, None
        deed = wish.do if wish is not None else None
        if deed == "lose":
            self._steps.came_true(self)
            self.pair.reset()
            return False
        self._steps.ends(self)
        if deed == "late":
            self.pair.reset()
            return False
        if wish is not None and deed == "mute":
            self._steps.came_true(self, lambda: self.pair.go_on(answer=data))
            if wish.seconds:
                self._steps.later(self, wish.seconds)
            return False
        return True

    def gone(self) -> None:
        self._steps.gone(self)

    def _wait_for_rest(self, data: bytes, heard: Heard | None) -> bool:
        """Keep the beginning of a message, so that the step is known before it goes on. Not for long."""
        first, self._part = not self._part, self._part + data
        if (heard is not None and (heard.text or heard.whole)) or len(self._part) >= MOST_KEPT:
            self._go_on(heard)
        elif first:
            self._steps.after(PART_PATIENCE, lambda: self._go_on(heard))
        return False

    def _go_on(self, heard: Heard | None) -> None:
        data, self._part = self._part, b""
        if data and self._begin(data, heard):
            self.pair.ask(data)

    def _begin(self, data: bytes, heard: Heard | None) -> bool:
        if heard is not None and not heard.asks:
            self.aside = True
            return True
        self._open = True
        wish = self._steps.begins(self, heard)
        if wish is None:
            return True
        if wish.do in ("lose", "mute"):
            self._wish = wish
            return True
        if wish.do == "cut":
            self._steps.came_true(self)
            self.pair.reset()
            return False
        if wish.do == "late":
            self._wish = wish
            self.pair.forsake()
        self._steps.came_true(self, lambda: self.pair.go_on(ask=data))
        if wish.do == "delay":
            self._steps.later(self, wish.seconds)
        return False
