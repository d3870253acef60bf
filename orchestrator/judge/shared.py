"""A target, or a replica of it, as the calls of checks use it: one thread at a time, and nobody after the end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.judge.child import CallFailed
from orchestrator.judge.starts import Starts
from orchestrator.system.interrupt import TICK, Cancel
from orchestrator.system.together import Together

if TYPE_CHECKING:
    from orchestrator.attach.target import AttachedTarget
    from orchestrator.targets.process import Target

CALL_PATIENCE = 0.2
KILL_BUDGET = 5.0


class SharedTarget:
    """A target used by one thread at a time. ``wanted``: it should be running now."""

    def __init__(self, target: Target | AttachedTarget, starts: Starts) -> None:
        self.target = target
        self.wanted = True
        self._starts = starts
        self._lock = threading.RLock()
        self._ended = False
        self._starting: Together[None] | None = None

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """The only user of the target for a while. ``CallFailed`` after the end."""
        with self._lock:
            if self._ended:
                raise CallFailed("bug", "bug", "the server was to be used after the end")
            yield

    def start_first(self, cancel: Cancel) -> None:
        """Start it, in a thread of its own: Ctrl-C in the middle cannot lose a process. Raises ``TargetInvalid``.

        ``Cancelled``: it may still be starting; ``end`` makes it give up.
        """

        def start(_: None) -> None:
            with self.turn():
                self.target.start()

        job = Together(start, [None])
        job.start()
        while not job.settle(TICK):
            cancel.look()
        job.wait()

    def start(self) -> None:
        """Start it again, for a check. A server that does not come back is wrong, not invalid."""
        from orchestrator.targets.process import BUSY, TargetInvalid

        with self.turn():
            try:
                with self._starts.one():
                    self.target.start()
            except TargetInvalid as error:
                if error.reason == BUSY:
                    raise CallFailed("machine", BUSY, str(error), seen=error.log) from error
                advice = f"; {error.advice}" if error.advice else ""
                raise CallFailed(
                    "bug" if error.ours else "wrong", f"restart-{error.reason}",
                    f"your server did not start again: {error}{advice}",
                    expected="the server answers GET /health after it was started again", seen=error.log,
                ) from error
            self.wanted = True

    def start_beside(self) -> None:
        """Begin to start it; ``ready`` waits."""
        self._starting = Together(lambda _: self.start(), [None])
        self._starting.start()

    def ready(self) -> None:
        """Return when it has started, or raise what ``start`` raised."""
        if self._starting is not None:
            self._starting.wait()

    def stop(self, grace: float) -> int:
        while self._starting is not None and not self._starting.settle(TICK):
            pass  # a start that came after the stop would be nobody's
        with self.turn():
            self.wanted = False
            return self.target.stop(grace)

    def kill(self) -> None:
        with self.turn():
            self.wanted = False
            self.target.kill()

    def end(self) -> None:
        """Whoever uses the target now gives it up, and nobody uses it again: it is the caller's alone."""
        self._ended = True
        end = time.monotonic() + KILL_BUDGET
        while not self._lock.acquire(timeout=CALL_PATIENCE):
            # Somebody still waits for a start that nobody needs any more: this makes it fail.
            self.target.kill()
            if time.monotonic() >= end:
                return
        self._lock.release()
