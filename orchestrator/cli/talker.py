"""How far a run of checks is, on standard error: one line each, and on a terminal a line that lives.

What the learner works on is shown whole as soon as it is judged, where the report goes; ``told`` says what that was.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from orchestrator.cli.outcome import paint, say

if TYPE_CHECKING:
    from orchestrator.report.result import CheckResult, MilestoneResult
    from orchestrator.report.timeline import Timeline
    from orchestrator.workspace.select import PlannedMilestone

TICK = 1.0
PHASES = {"build": "building your server", "space": "preparing the services", "start": "starting your server",
          "checks": "checking", "end": "stopping your server"}


class Talker:
    """A ``Listener`` that says what it hears; a context manager, during which the clock of its live line runs.

    ``show`` prints a milestone with all its details at once; without it each milestone is one line.
    """

    def __init__(self, show: Callable[[MilestoneResult], None] | None = None) -> None:
        self._show = show
        self._began = time.monotonic()
        self._ids: list[str] = []
        self._judged = 0
        self._doing = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._terminal = sys.stderr.isatty()
        self.told: set[str] = set()
        """Milestones that were shown whole."""

    def __enter__(self) -> Talker:
        if self._terminal:
            self._clock = threading.Thread(target=self._tick, name="labs-clock", daemon=True)
            self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._terminal:
            self._clock.join()
            with self._lock:
                self._wipe()

    def on_plan(self, planned: Sequence[PlannedMilestone]) -> None:
        """What will be judged, in its order."""
        self._ids = [one.milestone.id for one in planned]
        again = sum(one.role == "regression" for one in planned)
        if not planned:
            return
        first, others = planned[0], len(planned) - 1
        if others and planned[-1].role == "regression":
            which = f"{others} that passed before" if others <= again else f"{others} more"
            say(f"judging {first.milestone.id} first, then {which} (labs check --only leaves them out)")
        else:
            say(f"judging {first.milestone.id}" + (f" and {others} more" if others else ""))

    def on_phase(self, milestone: str, phase: str) -> None:
        """A phase of a milestone's attempt begins (``build``, ``space``, ``start``, ``checks``)."""
        with self._lock:
            self._doing = f"{milestone}: {PHASES.get(phase, phase)}"
            self._draw()

    def on_check(self, milestone: str, result: CheckResult) -> None:
        """A check has finished; the report will show it."""

    def on_timeline(self, timeline: Timeline) -> None:
        """What was recorded of an attempt; `labs trace` will show it."""

    def on_milestone(self, result: MilestoneResult) -> None:
        """A milestone has its verdict."""
        from orchestrator.model import Verdict
        from orchestrator.report.terminal import milestone_line

        with self._lock:
            self._wipe()
            self._judged += 1
            if self._show is not None and (result.role in ("next", "asked") or result.verdict is not Verdict.PASS):
                self.told.add(result.id)
                self._show(result)
            else:
                say(milestone_line(result, paint) + (f"  ({self._count()})" if len(self._ids) > 1 else ""))
            self._draw()

    def _count(self) -> str:
        """``3 of 12, 20 s``."""
        return f"{self._judged} of {len(self._ids)}, {time.monotonic() - self._began:.0f} s"

    def _tick(self) -> None:
        while not self._ended.wait(TICK):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if self._terminal and self._doing and self._judged < max(1, len(self._ids)):
            seconds = f"{time.monotonic() - self._began:.0f} s"
            sys.stderr.write(f"\r\x1b[2K{self._doing} ... ({self._count() if len(self._ids) > 1 else seconds})")
            sys.stderr.flush()

    def _wipe(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
