"""Keeps other processes of the same user out of this one's memory, in which the admins' passwords are."""

from __future__ import annotations

import contextlib
import ctypes
import sys

PR_SET_DUMPABLE = 4


def seal() -> None:
    """Not to be traced, dumped or read through /proc from now on, its forked children either: where that can be had."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
