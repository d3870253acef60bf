"""How long checks waited for the server to start again: time that its own budget counts, not the milestone's."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

QUICK = 1.0
"""Seconds of each start that the milestone's budget has room for. Only what is beyond them is given in addition: a
check that starts a quick server for ever must end."""
MOST = 600.0
"""Seconds that a milestone is given in addition at most, for the same reason."""


class Starts:
    """The starts of a target and its replicas in one attempt. Used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way = 0
        self._began = 0.0
        self._slow = 0.0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """A start. Several at the same time are one: the checks wait for all of them."""
        with self._lock:
            if self._under_way == 0:
                self._began = self._clock()
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                if self._under_way == 0:
                    self._slow += self._beyond()

    def slow(self) -> float:
        """Seconds beyond quick starts so far, of one that is under way, too."""
        with self._lock:
            return min(self._slow + (self._beyond() if self._under_way else 0.0), MOST)

    def _beyond(self) -> float:
        return max(0.0, self._clock() - self._began - QUICK)
