"""Looking again and again at what a tree of processes wants of this machine and what it gets, and adding that up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from orchestrator.system.demand import Demand, demand_below, processors

STALL = 1.0
"""Seconds. Who looks does so much oftener; if it could not, the machine did not let even us run."""


class Tally:
    """Adds up what was wanted and what was had. ``most``: processors that could have been had at the same time.

    Wishes beyond that are the target's own: a build with more threads than processors is not kept waiting by others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._looked = self._stalled = self._wanted = self._width = self._had = 0.0

    def add(self, seconds: float, wanting: int, used: float) -> None:
        """``used`` processor seconds in the last ``seconds``, at whose end so many threads wanted one."""
        if seconds > STALL:
            self._stalled += seconds
            return
        wanted = min(wanting, self._most)
        self._looked += seconds
        self._wanted += wanted * seconds
        self._width += max(1, wanted) * seconds
        self._had += used

    @property
    def lost(self) -> float:
        """Seconds in which the target would have been further without others.

        If it had half of what it wanted all the time, that is half of the time, with one thread or with many.
        """
        if self._width == 0:
            return self._stalled
        missed = max(0.0, self._wanted - self._had) / self._width
        return self._stalled + missed * self._looked


class Looks:
    """Looks below one process every so many seconds, in a thread of its own, from ``start`` to ``stop``."""

    def __init__(self, every: float, *, clock: Callable[[], float] = time.monotonic,
                 look: Callable[[int], Demand] = demand_below, most: int | None = None) -> None:
        self._every = every
        self._clock = clock
        self._look = look
        self._most = processors() if most is None else most
        self._tally = Tally(self._most)
        self._root = 0
        self._used = 0.0
        self._looked = clock()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="labs-looks", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """No more looks. Harmless twice, and before ``start``."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def follow(self, root: int, *, anew: bool = True) -> None:
        """From now on what happens below the process ``root`` counts; 0: there is none.

        ``anew``: all of it begins now. Else what was used there before is left out.
        """
        with self._lock:
            self._used = 0.0 if anew or not root else self._look(root).used
            self._root, self._looked = root, self._clock()

    def note(self) -> None:
        """Look once."""
        with self._lock:
            now = self._clock()
            seen = self._look(self._root) if self._root else Demand(0, self._used)
            self._add(now - self._looked, seen.wanting, seen.used - self._used)
            self._used, self._looked = seen.used, now

    def _add(self, seconds: float, wanting: int, used: float) -> None:
        self._tally.add(seconds, wanting, used)

    def _go_on(self) -> None:
        # Not in step with anything that is done again and again there.
        while not self._over.wait(self._every * random.uniform(0.7, 1.3)):  # noqa: S311 - no secret
            self.note()
