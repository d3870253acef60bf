"""The fixture ``explore``: every moment between two steps of a request, tried one after the other.

A request is first run alone, and its steps (round trips to the services) are noted. Then it is run again for each of
them, on fresh rows, and at that step something happens: another request comes in between, the server is killed, the
connection is cut. Nothing here depends on how fast anybody is: the server stands still meanwhile. See
``docs/checks-api.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Literal

from orchestrator.checks.points import Explored, Point, StepTaken, before_each
from orchestrator.checks.server import Server
from orchestrator.checks.step_runs import LONG, Ask, Case, Pick, Prepare, StepRuns
from orchestrator.checks.under_way import UnderWay

MOST = 40
"""Steps that are tried; of more, the first, the last, one of each kind, and some evenly between."""
UNDER_WAY = 0.05
"""Seconds in which an answer arrives that does not wait for the step at which the server stands."""


class Explore(StepRuns):
    """See ``docs/checks-api.md``.

    ``reader`` gives the evidence reader of a service, ``None`` where there is none. One may offer ``waiting() -> bool``
    (somebody waits for a lock there) and ``written() -> str`` (another value whenever something was written that
    outlives its connection); without them a wait is told by silence, and every step is a crash point. With ``show`` a
    failure is told and the next step tried.
    """

    def steps(self, call: Ask, *, prepare: Prepare | None = None) -> tuple[StepTaken, ...]:
        """The steps of a request that is run alone, the second time: connections are open, statements prepared."""
        return self._count(call, prepare)[0]

    def interleave(
        self, first: Ask, second: Ask, holds: Callable[[Case, Any, Any], object], *, prepare: Prepare | None = None,
        services: Collection[str] = (), most: int = MOST, during: str = "a second request was answered",
        cut: bool = False, answers: bool = False, stand: float = LONG,
    ) -> Explored:
        """Hold ``first`` before each of its steps, run ``second`` whole, let ``first`` go on: it ``holds``.

        ``first`` and ``second`` get what ``prepare`` made and return an answer; ``holds`` gets all three. If
        ``second`` waits for something that ``first`` has, ``first`` goes on. An error of a server that had to stand
        still for long says nothing: it is a ``NoAnswer``. With ``cut`` the step at which ``first`` stands never
        arrives: instead of going on it loses this connection, and only this one. With ``answers`` the steps arrive, and
        ``first`` stands after each: the service has done it, and its answer waits. ``stand``: the seconds it may stand.
        """
        steps, behind = self._count(first, prepare)
        self._channel.call("replica.ready")  # a second process that still starts would look like one that waits
        waits, warm = 0, False

        def run(_: Point, case: Case) -> bool:
            nonlocal waits, warm
            one = UnderWay(first, case, self._wake)
            reached = self._stands(one)
            two, began = UnderWay(second, case), time.monotonic()
            wait = self._meanwhile(two, stand)
            # Silence may also be a process that answers its first request of all: that one is tried again.
            told, warm = warm or wait != "silent", True
            self._waited = bool(wait)
            waits += self._waited and told
            stood = time.monotonic() - began
            self._channel.call("explore.release", drop=cut)
            two.wait()  # whatever came of the first one: a request of this run must not be under way in the next
            self._answers = one.answer(forgive=cut, late=stood > LONG), two.answer(late=two.seconds > LONG)
            if behind:
                self._settle()
            self._look(holds, case)
            return reached and told and stood <= stand

        words = "was held, and then lost its connection to {service}," if cut else "was held"
        points = [replace(point, after=answers) for point in before_each(steps, services)]
        tried = self._try_each(points, steps, "mute" if answers else "hold", words, run, prepare, most,
                               during=f" while {during}")
        return replace(tried, waited=waits)

    def crash(
        self, call: Ask, holds: Callable[[Case, Any], object], *, prepare: Prepare | None = None, most: int = MOST,
        meanwhile: Ask = lambda _: None,
    ) -> Explored:
        """Kill the server before each of its steps (SIGKILL), start it again, look whether it ``holds``.

        Where the services say that nothing was written between two steps, one of them stands for both: what a killed
        server leaves is what the services have. The last point is after the last step, before the server hears of it.
        ``meanwhile`` is run before each kill, as far as it comes: a replica that reads what is half done.
        ``holds`` gets what ``prepare`` made and the answer: a ``NoAnswer``, but from who answers without its step.
        """
        steps, points = self._crash_points(call, prepare)

        def run(_: Point, case: Case) -> bool:
            one = UnderWay(call, case, self._wake)
            reached = self._stands(one)
            if reached:
                one.wait(UNDER_WAY)
                self._meanwhile(two := UnderWay(meanwhile, case), LONG)
                self._channel.call("explore.crash")
                two.wait()
            self._answers = (one.answer(forgive=reached),)
            self._look(holds, case)
            return reached

        tried = self._try_each(points, steps, "hold", "was killed", run, prepare, most, shown="crash")
        return replace(tried, points="crash point")

    def cut(
        self, call: Ask, holds: Callable[[Case, Any], object], *, answer: Literal["never", "lost", "late"] = "never",
        pick: Pick | None = None, times: int = 1, prepare: Prepare | None = None, services: Collection[str] = (),
        most: int = MOST, at: Server | None = None,
    ) -> Explored:
        """Cut the connection at each step: before the service gets it, or (``"lost"``) when the service has done it.

        ``"late"``: before the service gets it, and it gets it all the same, as from a network that kept it: when the
        server has answered, or waits for something. A transaction that was to be over by then may be committed so.
        The server lives on. ``holds`` gets what ``prepare`` made and the answer, or a ``NoAnswer``. ``at``: the replica
        that ``call`` asks, where it is not the server itself. ``pick``: of the steps only those that it names. With
        ``times=2`` what a driver sends again is cut once more.
        """
        deed = {"never": "cut", "lost": "lose"}.get(answer, answer)
        self._at = at.name if at is not None else ""
        try:
            words = "lost its connection to {service}" + (", which got the step late," if deed == "late" else "")
            words += f" {times} times in a row, the first time" if times > 1 else ""
            return self._disturb(call, holds, deed, words, prepare, services, most, pick=pick, times=times,
                                 after=deed == "lose")
        finally:
            self._at = ""

    def delay(
        self, call: Ask, holds: Callable[[Case, Any], object], *, seconds: float = 0.1, pick: Pick | None = None,
        answers: bool = False, prepare: Prepare | None = None, services: Collection[str] = (), most: int = MOST,
    ) -> Explored:
        """Let each step in turn, or each that ``pick`` names, wait for some time before it reaches its service.

        With ``answers`` the service has it at once, and its answer comes late. All others are free.
        """
        deed, shown, words = "delay", "delay", f"had to wait {seconds:g} s"
        if answers:
            deed, shown, words = "mute", "late-answer", f"heard the answer to its {{step}} only after {seconds:g} s"
        return self._disturb(call, holds, deed, words, prepare, services, most, pick=pick, seconds=seconds,
                             after=answers, shown=shown)

    def silence(
        self, call: Ask, holds: Callable[[Case, Any], object], *, pick: Pick, late: float = 0.0,
        prepare: Prepare | None = None,
    ) -> Explored:
        """From a step on, its service says nothing, to nobody: what is sent there waits, and nothing is closed.

        ``pick`` gets the steps and says at which: each costs as long as the server waits. ``call`` judges whether its
        answer comes in time. When it has it, the service speaks again and gets what was sent; then it ``holds``.
        With ``late`` the step itself is answered, so many seconds late, and the silence begins with the next one.
        """
        steps, _ = self._count(call, prepare)
        picked = {step.key for step in pick(steps)}

        def run(point: Point, case: Case) -> bool:
            one, quiet = UnderWay(call, case, self._wake), None
            reached = self._stands(one)
            if reached:
                one.wait(late)
                quiet = self._channel.call("fault.begin", kind="hold", service=point.step.service)["fault"]
                if late:
                    self._channel.call("explore.release")
            try:
                self._answers = (one.answer(),)
            finally:
                self._channel.call("explore.release")
                if quiet is not None:
                    self._channel.call("fault.heal", fault=quiet)
            self._look(holds, case)
            return reached

        points = [replace(point, after=bool(late)) for point in before_each(steps) if point.step.key in picked]
        words = f"heard the answer to its {{step}} only after {late:g} s, and then " if late else "heard "
        words += "nothing more from {service}"
        shown = "late-silence" if late else "silence"
        return self._try_each(points, steps, "hold", words, run, prepare, MOST, shown=shown)

    def end(self) -> None:
        """Nothing is held any more."""
        if self._learned:
            self._channel.call("explore.end")

    def _disturb(
        self, call: Ask, holds: Callable[[Case, Any], object], deed: str, words: str, prepare: Prepare | None,
        services: Collection[str], most: int, *, pick: Pick | None, seconds: float = 0.0, times: int = 1,
        after: bool = False, shown: str = "",
    ) -> Explored:
        """Something happens at each step in turn, or ``after`` it, and the server must live with it."""
        steps, behind = self._count(call, prepare)
        picked = {step.key for step in (steps if pick is None else pick(steps))}

        def run(_: Point, case: Case) -> bool:
            one = UnderWay(call, case, self._wake)
            reached = self._stands(one)
            if reached and deed == "late":
                self._waits(one)
                self._channel.call("explore.release")
            self._answers = (one.answer(forgive=True),)
            if behind or deed == "late":
                self._settle()
            self._look(holds, case)
            return reached

        points = [replace(one, after=after) for one in before_each(steps, services) if one.step.key in picked]
        return self._try_each(points, steps, deed, words, run, prepare, most, seconds=seconds, times=times, shown=shown)
