"""While checks run: did this machine let the server work? Asked when an answer did not come in time.

The same control as that of a start (``targets/patience.py``): what its processes wanted of the processors, beside
what they had.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from orchestrator.system.demand import Demand, demand_below
from orchestrator.targets.looks import Looks, Tally

LOOK_EVERY = 0.2
KEPT = 300
"""Looks: one minute."""


class Starvation(Looks):
    """Looks at the server, whichever process it is just now.

    ``server``: the process below which it is; 0 while there is none, and that time does not count.
    """

    def __init__(self, server: Callable[[], int], *, clock: Callable[[], float] = time.monotonic,
                 look: Callable[[int], Demand] = demand_below, most: int | None = None) -> None:
        super().__init__(LOOK_EVERY, clock=clock, look=look, most=most)
        self._server = server
        self._kept: deque[tuple[float, float, int, float]] = deque(maxlen=KEPT)

    def lost(self, seconds: float) -> float:
        """Seconds of the last ``seconds`` in which it waited for others on this machine."""
        with self._lock:
            last, since = Tally(self._most), self._clock() - seconds
            for at, spent, wanting, used in self._kept:
                if at >= since:
                    last.add(spent, wanting, used)
            return min(last.lost, seconds)

    def total(self) -> float:
        """The same, of all the time since the beginning."""
        with self._lock:
            return self._tally.lost

    def note(self) -> None:
        """Look once; at another process than before only what it uses from now on counts."""
        server = self._server()
        if server != self._root:
            self.follow(server, anew=False)
        elif server:
            super().note()

    def _add(self, seconds: float, wanting: int, used: float) -> None:
        super()._add(seconds, wanting, used)
        self._kept.append((self._clock(), seconds, wanting, used))
