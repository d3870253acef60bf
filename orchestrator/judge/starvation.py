"""While checks run: did this machine let the server work? Asked when an answer did not come in time.

The same control as that of a start (``targets/patience.py``): what its processes wanted of the processors, beside
what they had.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from orchestrator.system.demand import Demand, demand_below, processors
from orchestrator.targets.patience import Tally

LOOK_EVERY = 0.2
KEPT = 300
"""Looks: one minute."""


class Starvation:
    """Looks at the server and all that it has started, in a thread of its own, until ``stop``.

    ``root``: the process below which they are just now; 0 while there is none.
    """

    def __init__(
        self, root: Callable[[], int], *, clock: Callable[[], float] = time.monotonic,
        look: Callable[[int], Demand] = demand_below, most: int | None = None,
    ) -> None:
        self._clock = clock
        self._look = look
        self._most = processors() if most is None else most
        self._looks: deque[tuple[float, float, int, float]] = deque(maxlen=KEPT)
        self._all = Tally(self._most)
        self._root, self._below = root, 0
        self._looked, self._used = clock(), 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="labs-starvation", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """No more looks. Harmless twice, and before ``start``."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def lost(self, seconds: float) -> float:
        """Seconds of the last ``seconds`` in which they waited for others on this machine."""
        with self._lock:
            last, since = Tally(self._most), self._clock() - seconds
            for at, spent, wanting, used in self._looks:
                if at >= since:
                    last.add(spent, wanting, used)
            return min(last.lost, seconds)

    def total(self) -> float:
        """The same, of all the time since the beginning."""
        with self._lock:
            return self._all.lost

    def note(self) -> None:
        """Look once."""
        root = self._root()
        seen, now = self._look(root) if root else Demand(0, 0.0), self._clock()
        with self._lock:
            look = now - self._looked, seen.wanting, seen.used - self._used
            same, self._below = root == self._below, root
            self._looked, self._used = now, seen.used
            if root and same:
                self._looks.append((now, *look))
                self._all.add(*look)

    def _go_on(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            self.note()
