"""Ctrl-C, SIGTERM and SIGHUP: the first one interrupts, and what then cleans up is not interrupted again.

A run that is not in the main thread cannot be interrupted so: it is asked to end, and looks where it waits.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK = 0.05
"""Seconds after which a wait looks up: whether its run is to end, whether a signal came that another thread got."""


class Cancelled(KeyboardInterrupt):
    """The run is to end now; for everything that it has to undo, the same as Ctrl-C."""


class Cancel:
    """The wish that a run ends: said in one thread, raised in the run's own, and only where it looks."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """The run is to end. Harmless twice, and after its end."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def look(self) -> None:
        """Raise ``Cancelled`` if the run is to end."""
        if self._asked.is_set():
            raise Cancelled


NEVER = Cancel()
"""For runs that nobody cancels."""


def interrupt_once() -> None:
    """From now on the first of the signals raises ``KeyboardInterrupt``; further ones do nothing.

    People press Ctrl-C twice, and a second one in the middle of the cleaning would leave things behind. Cleaning ends
    by itself in seconds. A signal that whoever started us ignores (``nohup``) stays ignored. Main thread only.

    A signal may come while Python runs a finalizer or a weak reference's callback (each import ends in one): what is
    raised there goes nowhere but to ``sys.unraisablehook``. Then it is raised again a tick later, by a timer.
    """
    heard = False
    tell_others = sys.unraisablehook

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal heard
        if not heard:
            heard = True
            raise KeyboardInterrupt

    def again_if_lost(lost: sys.UnraisableHookArgs) -> None:
        nonlocal heard
        if lost.exc_type is KeyboardInterrupt:
            heard = False
            signal.setitimer(signal.ITIMER_REAL, TICK)
        else:
            tell_others(lost)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    signal.signal(signal.SIGALRM, interrupt)
    sys.unraisablehook = again_if_lost
