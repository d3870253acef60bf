"""The same work on several things at once, in threads that never keep the process alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
TICK = 0.25
"""Seconds after which a wait looks up: a signal that another thread got does not end a wait."""


class Together(Generic[Item]):
    """``work(item)`` for each item, each in its own thread, begun now."""

    def __init__(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(work, item), name="labs-space", daemon=True) for item in items
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Until all are done; raises the first error there was. Ctrl-C gets through, the threads go on."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(TICK)
        if self._errors:
            raise self._errors[0]

    def settle(self, patience: float) -> bool:
        """Wait up to ``patience`` seconds and forget errors; whether all are done."""
        end = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, work: Callable[[Item], None], item: Item) -> None:
        try:
            work(item)
        except BaseException as error:
            self._errors.append(error)
