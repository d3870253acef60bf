"""How long a start or a build may take: its budget in seconds in which the machine let it work.

While the target works, what its processes want of the machine is compared with what they get (``system/demand.py``).
Time in which they stood in a queue behind others does not count; time in which they slept, or worked, does. So a
server that is slow of itself is ended when its budget is over, on any machine, and one that the machine keeps waiting
is given more, ``LONGEST`` times its budget at most. Then nothing is known of it, and nothing said against it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from orchestrator.system.demand import LOOK_EVERY, Demand, demand_below
from orchestrator.targets.looks import STALL, Looks
from orchestrator.workspace.budgets import Budget

LONGEST = 5
"""After so many times its budget a wait ends, however busy the machine is."""
NOT_BUSY = 0.1
"""A smaller part of the time than this is what a quiet machine takes, too."""


class Patience(Enum):
    """What to do with one that is not done."""

    WAIT = "its time is not over"
    SLOW = "it had its time"
    STARVED = "the machine did not let it work"


def decide(budget: float, passed: float, lost: float) -> Patience:
    """``passed`` seconds since the beginning, ``lost`` of them to others on this machine.

    >>> decide(20, 19.9, 0), decide(20, 20, 0), decide(20, 30, 11), decide(20, 30, 10), decide(20, 100, 85)
    (<Patience.WAIT: 'its time is not over'>, <Patience.SLOW: 'it had its time'>, \
<Patience.WAIT: 'its time is not over'>, <Patience.SLOW: 'it had its time'>, \
<Patience.STARVED: 'the machine did not let it work'>)
    """
    if passed - lost >= budget:
        return Patience.SLOW
    return Patience.STARVED if passed >= budget * LONGEST else Patience.WAIT


class Waiting(Looks):
    """A wait under way, from now on; a context manager. ``follow`` says for whom, ``ask`` what to do.

    It looks in a thread of its own: looks that came whenever we have just asked the server something would find it at
    work each time, however long it sleeps between.
    """

    def __init__(self, budget: Budget, *, clock: Callable[[], float] = time.monotonic,
                 look: Callable[[int], Demand] = demand_below, most: int | None = None) -> None:
        super().__init__(min(max(LOOK_EVERY, budget.seconds / 500), STALL / 2), clock=clock, look=look, most=most)
        self.budget = budget
        self._began = self._looked

    def __enter__(self) -> Waiting:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def end(self) -> float:
        """When it is over in any case, as ``time.monotonic()``."""
        return self._began + self.budget.seconds * LONGEST

    def ask(self) -> Patience:
        """What to do now."""
        if self._clock() - self._looked > STALL:
            self.note()  # we have been stopped, and are here before the thread is
        # Whether the time since the last look was lost is not known yet: on a busy machine the thread is late, too.
        with self._lock:
            return decide(self.budget.seconds, self._looked - self._began, self._tally.lost)

    @property
    def passed(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._began

    @property
    def lost(self) -> float:
        """Seconds of them in which the machine was busy with others."""
        return min(self._tally.lost, self.passed)

    # --- words -------------------------------------------------------------------------------------------------

    def within(self) -> str:
        """After "did not ...": the budget, the time that was given, and how busy the machine was.

        ``within its start_budget of 20 s; the machine did not slow it down``.
        """
        budget = f"within its {self.budget.key} of {self.budget.seconds:g} s"
        if self.lost < self.passed * NOT_BUSY:
            return f"{budget}; the machine did not slow it down"
        return f"{budget}; it was given {_shown(self.passed)} s, because it {self._busy()}"

    def starved(self, what: str) -> str:
        """Why nothing can be said of ``what``."""
        return (f"this machine is too busy to judge {what}: in {_shown(self.passed)} s it {self._busy()} "
                f"({self.budget.key} is {self.budget.seconds:g} s)")

    def _busy(self) -> str:
        return f"waited {_shown(self.lost)} s for a processor or the disk"


def _shown(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


def more_time(budget: Budget, otherwise: str) -> str:
    """The next step for one that needs longer than its budget; ``otherwise`` where no longer one is allowed."""
    if budget.seconds >= budget.most:
        return otherwise
    longer = min(budget.seconds * 2, budget.most)
    return f"set {budget.key} = {longer:g} in workspace.toml (at most {budget.most:g}), then labs check"


LATER = "labs check   (when this machine has less to do)"
"""The next step for one that was not let work."""
