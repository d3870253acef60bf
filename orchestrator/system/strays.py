"""The last net: processes that carry a run's id in their environment after their keeper was killed.

A keeper needs no such search. It is for what a server does to its own keeper, and for what a killed `labs` left where
even the keeper was killed.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

VARIABLE = "LABS_RUN"


def strays(run_id: str) -> list[psutil.Process]:
    """Living processes of this user with ``LABS_RUN=run_id``. Those that changed their environment are not seen."""
    import psutil

    found = []
    for pid in psutil.pids():
        # Other users' environments cannot be read; a zombie has none.
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.environ().get(VARIABLE) == run_id and pid != os.getpid():
                found.append(process)
    return found


def end_strays(run_id: str, *, seconds: float = 5.0) -> bool:
    """SIGKILL them until none is left; whether that came true."""
    import psutil

    end = time.monotonic() + seconds
    while left := strays(run_id):
        if time.monotonic() >= end:
            return False
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.01)
    return True
