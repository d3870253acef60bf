"""Whose turn it is: the milestones of a run, given to one judge after the other or to several side by side.

A milestone's turn comes when what it needs is decided; of several, side by side, that of the one for which most others
wait. What the learner works on has the machine for itself, and so has whatever was not right beside others: a neighbour
may have been in its way, and nobody is blamed for that. So judging side by side can make no verdict worse, only come to
it sooner.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model import Milestone, Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.system.interrupt import TICK, Cancel
from orchestrator.workspace.select import PlannedMilestone

MOST_JUDGES = 2
"""By itself. Most of a lab's milestones need others: a third judge would wait more than it judged."""
BESIDE_OTHERS = ("asked", "regression", "need")
"""Roles of milestones that may be judged side by side: nobody waits for one of them alone."""
FOR_GOOD = (Verdict.PASS, Verdict.BLOCKED, Verdict.UNJUDGED)
"""Verdicts that no neighbour can have made worse."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A milestone to judge now. ``alone``: nothing else is judged meanwhile; ``following``: probably the next one."""

    plan: PlannedMilestone
    alone: bool
    following: Milestone | None


class Turns:
    """``planned`` in their order, for so many ``judges``, each in a thread of its own.

    A judge takes a turn, and gives it back with ``decide``, until there is none, or leaves.
    """

    def __init__(self, planned: Sequence[PlannedMilestone], judges: int = 1) -> None:
        self.planned = tuple(planned)
        self._results: dict[str, MilestoneResult] = {}
        self._judges = judges
        self._waiting = list(planned)
        self._again: list[PlannedMilestone] = []
        self._under_way: list[Turn] = []
        self._waiters = _waiters(planned)
        self._changed = threading.Condition()

    def take(self, cancel: Cancel) -> Turn | None:
        """The next turn, as soon as there is one; ``None``: all are decided, or under way for good."""
        with self._changed:
            while self._waiting or self._again or self._under_way:
                cancel.look()
                turn = self._next()
                if turn is not None:
                    self._under_way.append(turn)
                    return turn
                self._changed.wait(TICK)
        return None

    def decide(self, turn: Turn, result: MilestoneResult) -> bool:
        """Whether this is the milestone's result; else it will be judged again, alone."""
        with self._changed:
            self._under_way.remove(turn)
            final = turn.alone or result.verdict in FOR_GOOD
            if final:
                self._results[result.id] = result
            else:
                self._again.append(turn.plan)
            self._changed.notify_all()
        return final

    def leave(self, turn: Turn) -> None:
        """One judge less: the turn is somebody else's."""
        with self._changed:
            self._judges -= 1
            self._under_way.remove(turn)
            self._waiting.insert(0, turn.plan)
            self._changed.notify_all()

    def decided(self) -> Mapping[str, MilestoneResult]:
        """Milestone id -> its result, of those that have one."""
        with self._changed:
            return dict(self._results)

    def _next(self) -> Turn | None:
        if any(turn.alone for turn in self._under_way):
            return None
        ready = [plan for plan in self._waiting if self._needs_decided(plan)]
        if ready and self._judges > 1 and ready[0].role in BESIDE_OTHERS:
            beside = [plan for plan in ready if plan.role in BESIDE_OTHERS]
            return self._turn(sorted(beside, key=lambda plan: -self._waiters[plan.milestone.id]), alone=False)
        if self._under_way:
            return None
        if ready:
            return self._turn(ready, alone=True)
        return Turn(self._again.pop(0), True, None) if self._again else None

    def _turn(self, ready: Sequence[PlannedMilestone], *, alone: bool) -> Turn:
        self._waiting.remove(ready[0])
        following = next(iter(self._waiting if alone else ready[1:]), None)
        return Turn(ready[0], alone, following.milestone if following is not None else None)

    def _needs_decided(self, plan: PlannedMilestone) -> bool:
        """Of its needs, those that are judged in this run at all."""
        open_ones = {one.milestone.id for one in (*self._waiting, *self._again)} | {
            turn.plan.milestone.id for turn in self._under_way}
        return not any(need in open_ones for need in plan.milestone.needs)


def _waiters(planned: Sequence[PlannedMilestone]) -> dict[str, int]:
    """Milestone id -> how many others of these need it, directly or not."""
    needing: dict[str, set[str]] = {plan.milestone.id: set() for plan in planned}
    for plan in reversed(planned):  # what needs a milestone stands behind it
        one = plan.milestone
        for need in one.needs:
            if need in needing:
                needing[need] |= {one.id} | needing[one.id]
    return {name: len(others) for name, others in needing.items()}
