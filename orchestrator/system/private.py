"""What of this process other programs of the same user may read."""

from __future__ import annotations

import contextlib
import ctypes
import sys

PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """From now on no program of the same user reads this process's memory, environment or open files, or traces it.

    Passwords are in there. Linux only, and not against root; the programs that it starts are as they always were.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
