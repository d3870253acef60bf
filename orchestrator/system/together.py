"""Work in threads that never keep the process alive, waited for so that Ctrl-C gets through and nothing is lost.

Python raises ``KeyboardInterrupt`` in the main thread only: what is made in another thread is made whole, and can be
undone, however the wait for it ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
TICK = 0.25
"""Seconds after which a wait looks up: a signal that another thread got does not end a wait."""
MAKE_BUDGET = 5.0
"""Seconds that an undoing waits for what is still being made."""
UNDO_BUDGET = 30.0
"""Seconds that an interrupted undoing may go on; each has budgets of its own, far below."""


class Together(Generic[Item]):
    """``work(item)`` for each item, each in its own thread, from ``start`` on."""

    def __init__(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()
        self._working = 0
        self._awaited = 0
        """Threads that will work, or do, and have not finished."""
        self._given_up = False
        self._threads = [
            threading.Thread(target=self._run, args=(work, item), name="labs-together", daemon=True) for item in items
        ]

    def start(self) -> None:
        """Begin all of it and return at once. Interrupted: what has not begun by then never begins."""
        try:
            self._awaited = len(self._threads)
            for thread in self._threads:
                thread.start()
        except BaseException:
            # An interruption can fall between the birth of a thread and its first step, where nobody can join it.
            with self._changed:
                self._given_up = True
                self._awaited = self._working
            raise

    def wait(self) -> None:
        """Until all are done; raises the first error there was. After Ctrl-C the threads go on: see ``settle``."""
        while not self.settle(TICK):
            pass
        if self._errors:
            raise self._errors[0]

    def settle(self, patience: float) -> bool:
        """Wait up to ``patience`` seconds and forget errors; whether nothing of it runs any more."""
        with self._changed:
            return self._changed.wait_for(lambda: self._awaited == 0, patience)

    def _run(self, work: Callable[[Item], None], item: Item) -> None:
        with self._changed:
            if self._given_up:
                return
            self._working += 1
        try:
            work(item)
        except BaseException as error:
            self._errors.append(error)
        finally:
            with self._changed:
                self._working -= 1
                self._awaited -= 1
                self._changed.notify_all()


def surely(undo: Callable[[], None]) -> None:
    """Undo something whole, also when Ctrl-C comes meanwhile; the interruption goes on afterwards."""
    begun = threading.Event()

    def work(_: None) -> None:
        begun.set()
        undo()

    job = Together(work, [None])
    try:
        job.start()
        job.wait()
    except KeyboardInterrupt:
        job.settle(UNDO_BUDGET)
        if not begun.is_set():
            undo()
        raise


def made(stack: ExitStack, make: Callable[[], Made], undo: Callable[[Made], None]) -> Made:
    """What ``make`` makes; ``undo`` is on the stack before it begins, so that no interruption can lose it."""
    box: list[Made] = []
    job = Together(lambda _: box.append(make()), [None])

    def clean() -> None:
        job.settle(MAKE_BUDGET)
        for thing in box:
            undo(thing)

    stack.callback(surely, clean)
    job.start()
    job.wait()
    return box[0]
