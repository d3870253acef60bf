"""Absolute deadlines for sockets: one thread that shuts a connection down when its time is over.

A time-out per read does not end a server that sends one byte a second; this does.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
import threading
import time


class Deadline:
    """One connection's end. ``over`` tells afterwards whether the watchdog ended it."""

    def __init__(self, when: float) -> None:
        self.when = when
        self.over = False
        self._socket: socket.socket | None = None
        self._armed = True
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """Seconds until it, at least a millisecond: 0 would mean non-blocking."""
        return max(0.001, self.when - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """The connection that is to end; at once if it is time already."""
        with self._lock:
            self._socket = connection
            if self.over:
                self._shut()

    def disarm(self) -> None:
        """Nothing is to be ended any more: ``over`` stays as it is."""
        with self._lock:
            self._armed = False
            self._socket = None

    def strike(self) -> None:
        """Its time is over."""
        with self._lock:
            self.over = self.over or self._armed
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """Strikes deadlines in time order."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="labs-watchdog", daemon=True).start()

    def start(self, seconds: float) -> Deadline:
        """A deadline in ``seconds`` from now."""
        deadline = Deadline(time.monotonic() + seconds)
        with self._changed:
            heapq.heappush(self._heap, (deadline.when, next(self._numbers), deadline))
            self._changed.notify()
        return deadline

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap or self._heap[0][0] > time.monotonic():
                    self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                deadline = heapq.heappop(self._heap)[2]
            deadline.strike()
