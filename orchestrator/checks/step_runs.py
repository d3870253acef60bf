"""Runs of a request for ``explore``: its steps counted, and run again for each of them, with the server at that step.

What happens there, and what must be true afterwards, is ``explore.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from orchestrator.checks.channel import Channel
from orchestrator.checks.errors import Judged, TargetWrong
from orchestrator.checks.points import Explored, Point, StepTaken, chosen, crash_points
from orchestrator.checks.showing import Telling, said
from orchestrator.checks.under_way import UnderWay

QUIET_WINDOW = 0.15
"""Seconds in which the server is not asked anything: what it sends then it sends by itself."""
SETTLED = 0.03
"""Seconds without a step after which an answered request has done all."""
LONG = 0.4
"""Seconds of standing still after which a server may rightly give up: an error is then no answer."""
TRIES = 3
LOOK_EVERY = 0.01
LOCK_LOOKS = 2
"""How often in a row a service must say that somebody waits for a lock."""
STILL = 0.2
"""Seconds without a byte on any link after which the second request must be waiting for something."""
LONGEST = 1.0
PATIENCE = 15.0

Case = Any
"""What ``prepare`` made for one run."""
Ask = Callable[[Case], Any]
Prepare = Callable[[], Case]
Steps = Sequence[StepTaken]
Pick = Callable[[Steps], Steps]
"""Which of the steps are meant."""


class StepRuns:
    """What each way of exploring does with a request. See ``Explore`` for ``reader`` and ``show``."""

    def __init__(
        self, channel: Channel, reader: Callable[[str], object | None], show: Telling | None = None,
    ) -> None:
        self._channel = channel
        self._reader = reader
        self._show = show
        self._learned: set[str] = set()
        self._at = ""
        """The replica whose steps are meant; empty: the main server's."""
        self._services: frozenset[str] = frozenset()
        self._met: Point | None = None
        """Where the server was in this very run."""
        self._answers: tuple[Any, ...] = ()
        self._waited = False
        """What was answered in it, and whether its second request had to wait."""
        self._alone: Any = None
        """What was answered when the request was last run alone."""

    def _try_each(
        self, points: Sequence[Point], steps: Sequence[StepTaken], deed: str, words: str,
        run: Callable[[Point, Case], bool], prepare: Prepare | None, most: int, *, seconds: float = 0.0,
        times: int = 1, during: str = "", shown: str = "",
    ) -> Explored:
        """Each point on fresh rows; one more often when ``run`` did not come to it."""
        show = self._show
        if not points:  # what is true of no step proves nothing
            raise TargetWrong("no-step", "what your server sends to a service for a request: nothing, so there is no "
                              "step at which it could be interrupted", expected="at least one round trip",
                              seen=f"none, and the answer {said(self._alone)}")
        tried = chosen(points, most)
        if show is not None:
            tried = show.chosen(points, tried)
        unreached = 0
        try:
            for place in tried:
                point = points[place]
                where = f"step {point.step.number} of {len(steps)}"
                for _ in range(TRIES):
                    reached, broken = self._try(point, deed, where, run, prepare, seconds, times)
                    if reached or broken is not None:
                        break
                unreached += not reached
                if show is not None:
                    show.tried(point, self._answers, broken, waited=self._waited, reached=reached)
                elif broken is not None:
                    rest = f",{during}" if during and point.after else during
                    # In the service's words, as it said them in this run.
                    here = replace(self._met, after=point.after) if self._met is not None else point
                    raise broken.at(f"{here.words(words)}{rest} ({where})")
        finally:
            if show is not None:
                show.told(shown or deed, steps, during=during.removeprefix(" while "))
        return Explored(tuple(steps), len(tried), unreached=unreached)

    def _try(
        self, point: Point, deed: str, where: str, run: Callable[[Point, Case], bool], prepare: Prepare | None,
        seconds: float, times: int,
    ) -> tuple[bool, Judged | None]:
        """One run: whether the server came to the point, and what did not hold."""
        service, kind, nth = point.step.key
        case = self._prepared(prepare)
        self._channel.call(
            "explore.arm", do="mute" if deed == "hold" and point.after else deed, service=service, kind=kind,
            nth=nth, times=times, seconds=seconds, where=where, replica=self._at)
        self._met, self._answers, self._waited = None, (), False
        try:
            return run(point, case), None
        except Judged as error:
            return self._met is not None, error

    def _look(self, holds: Callable[..., object], case: Case) -> None:
        """No wish any more: a step that was not met may be met by what the server does by itself, and then stand."""
        self._channel.call("explore.arm", replica=self._at)
        holds(case, *self._answers)

    def _prepared(self, prepare: Prepare | None) -> Case:
        """Fresh rows for one run. What is asked of the server for them is not held."""
        if prepare is None:
            return None
        self._channel.call("explore.arm", replica=self._at)
        return prepare()

    def _count(self, call: Ask, prepare: Prepare | None) -> tuple[tuple[StepTaken, ...], bool]:
        """The steps of a quiet run, and whether some of them came after the answer.

        The first run warms up: it opens connections and prepares statements. Two runs that differ make a third.
        """
        if self._at not in self._learned:
            self._learned.add(self._at)
            self._channel.call("explore.learn", seconds=QUIET_WINDOW, replica=self._at)
        behind = False
        last: tuple[StepTaken, ...] | None = None
        for _ in range(TRIES):
            case = self._prepared(prepare)
            self._channel.call("explore.arm", replica=self._at)
            answer = self._alone = call(case)
            if self._show is not None:
                self._show.asked(answer)
            at_answer = self._settle(0.0)
            # What comes late after the first run makes the second differ from it, and a third is made.
            before, last = last, at_answer if last is None else self._settle()
            behind = behind or len(last) > len(at_answer)
            if before is not None and [step.key for step in before] == [step.key for step in last]:
                break
        assert last is not None
        self._services = frozenset(step.service for step in last)
        return last, behind

    def _crash_points(self, call: Ask, prepare: Prepare | None) -> tuple[tuple[StepTaken, ...], list[Point]]:
        """The steps of a run that stands still at each of them, and the points at which something new is written."""
        self._count(call, prepare)
        one = UnderWay(call, self._prepared(prepare), self._wake)
        self._channel.call("explore.arm", do="hold", nth=0)
        states: dict[int, str] = {}
        reached = self._stands(one)
        while reached and self._met:
            self._settle(0.0)  # what was sent before on other connections is written, too
            states[self._met.step.number] = self._written()
            self._channel.call("explore.release")
            reached = self._reached()
        one.answer()
        steps = self._settle()
        return steps, crash_points(steps, states, self._written())

    def _stands(self, one: UnderWay) -> bool:
        """Start the request, wait until it is at its step; ``False`` if it came to its end without it."""
        one.start()
        return self._reached()

    def _reached(self) -> bool:
        found = self._channel.call("explore.acted", seconds=PATIENCE)
        if found is None:  # it was answered: the step may be one of those that come after the answer
            self._settle()
            found = self._channel.call("explore.acted", seconds=0.0)
        if found is None:
            return False
        self._met = Point(StepTaken(**found["step"]), StepTaken(**found["before"]) if found["before"] else None)
        return True

    def _meanwhile(self, two: UnderWay, stand: float) -> Literal["", "locked", "silent"]:
        """Run the second request; how it is known that it waits for what the first one has; empty: it is over."""
        two.start()
        return self._waits(two, still=STILL if stand <= LONG else stand)

    def _waits(self, one: UnderWay, still: float = STILL) -> Literal["", "locked", "silent"]:
        """Until this request is over, or waits for something: how that is known."""
        end = time.monotonic() + max(LONGEST, still)
        locked = 0
        while not one.wait(LOOK_EVERY):
            locked = locked + 1 if any(reader.waiting() for reader in self._readers("waiting")) else 0
            if locked == LOCK_LOOKS:
                return "locked"
            if time.monotonic() >= end or self._channel.call("explore.still") >= still:
                return "silent"
        return ""

    def _written(self) -> str:
        """What is written in the services, in their own words; never the same twice if one of them does not say it."""
        readers = list(self._readers("written"))
        own = "" if len(readers) == len(self._services) else f"{time.monotonic()} "
        return own + " ".join(reader.written() for reader in readers)

    def _readers(self, offering: str) -> Iterator[Any]:
        """Evidence readers of the services that the request uses, as far as they offer this."""
        for service in sorted(self._services):
            reader = self._reader(service)
            if hasattr(reader, offering):
                yield reader

    def _settle(self, seconds: float = SETTLED) -> tuple[StepTaken, ...]:
        return tuple(StepTaken(**step) for step in self._channel.call("explore.settle", seconds=seconds, patience=1.0))

    def _wake(self) -> None:
        self._channel.call("explore.wake")
