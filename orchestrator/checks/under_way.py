"""A request in a thread of its own, so that the check can act on the services while it is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from orchestrator.checks.server import NoAnswer, without_answer

SERVER_ERROR = 500


class UnderWay:
    """A request in a thread of its own. ``over`` is called there when it has its answer, or none."""

    def __init__(self, ask: Callable[[Any], Any], case: Any, over: Callable[[], None] = lambda: None) -> None:
        self.seconds = 0.0
        self._ask = ask
        self._case = case
        self._over = over
        self._answer: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="labs-explore", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is over within this time; without one, return when it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def answer(self, *, forgive: bool = False, late: bool = False) -> Any:
        """Wait for it. ``forgive``: none is a ``NoAnswer``; ``late``: so is one that says that something went wrong."""
        self._thread.join()
        if self._error is not None:
            if (forgive or late) and without_answer(self._error):
                return NoAnswer(str(self._error))
            raise self._error
        if late and getattr(self._answer, "status", 0) >= SERVER_ERROR:
            return NoAnswer(f"{self._answer.status} after {self.seconds:.1f} s")
        return self._answer

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._answer = self._ask(self._case)
        except Exception as error:
            self._error = error
        self.seconds = time.monotonic() - began
        self._over()
