"""Ctrl-C, SIGTERM and SIGHUP: the first one interrupts, and what then cleans up is not interrupted again."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_once() -> None:
    """From now on the first of the signals raises ``KeyboardInterrupt``; further ones do nothing.

    People press Ctrl-C twice, and a second one in the middle of the cleaning would leave things behind. Cleaning ends
    by itself in seconds. A signal that whoever started us ignores (``nohup``) stays ignored. Main thread only.
    """
    heard = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal heard
        if not heard:
            heard = True
            raise KeyboardInterrupt

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
