"""Work in threads that never keep the process alive, waited for so that Ctrl-C gets through and nothing is lost.

Python raises ``KeyboardInterrupt`` in the main thread only: what is made in another thread is made whole, and can be
undone, however the wait for it ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
TICK = 0.25
"""Seconds after which a wait looks up: a signal that another thread got does not end a wait."""
MAKE_BUDGET = 5.0
"""Seconds that an undoing waits for what is still being made."""


class Together(Generic[Item]):
    """``work(item)`` for each item, each in its own thread, from ``start`` on."""

    def __init__(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(work, item), name="labs-space", daemon=True) for item in items
        ]

    def start(self) -> None:
        """Begin all of it and return at once."""
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Until all are done; raises the first error there was. After Ctrl-C the threads go on: see ``settle``."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(TICK)
        if self._errors:
            raise self._errors[0]

    def settle(self, patience: float) -> bool:
        """Wait up to ``patience`` seconds and forget errors; whether nothing of it runs any more."""
        end = time.monotonic() + patience
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, work: Callable[[Item], None], item: Item) -> None:
        try:
            work(item)
        except BaseException as error:
            self._errors.append(error)


def made(stack: ExitStack, make: Callable[[], Made], undo: Callable[[Made], None]) -> Made:
    """What ``make`` makes; ``undo`` is on the stack before it begins, so that no interruption can lose it."""
    box: list[Made] = []
    job = Together(lambda _: box.append(make()), [None])

    def clean() -> None:
        job.settle(MAKE_BUDGET)
        for thing in box:
            undo(thing)

    stack.callback(clean)
    job.start()
    job.wait()
    return box[0]
