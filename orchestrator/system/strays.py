"""The last net: processes that carry a run's id in their environment after their keeper was killed.

A keeper needs no such search. It is for what a server does to its own keeper, and for what a killed `labs` left where
even the keeper was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

VARIABLE = "LABS_RUN"


def strays(run_id: str) -> set[int]:
    """Living processes of this user with ``LABS_RUN=run_id``. Those that changed their environment are not seen."""
    mark = f"{VARIABLE}={run_id}"
    found = _by_proc(os.fsencode(mark)) if sys.platform == "linux" else _by_ps(mark)
    return found - {os.getpid()}


def end_strays(run_id: str, *, seconds: float = 5.0) -> bool:
    """SIGKILL them until none is left; whether that came true."""
    end = time.monotonic() + seconds
    while left := strays(run_id):
        if time.monotonic() >= end:
            return False
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return True


def _by_proc(mark: bytes) -> set[int]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        # Other users' environments cannot be read; a zombie's is empty.
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.add(int(process.name))
    return found


def _by_ps(mark: str) -> set[int]:
    answer = subprocess.run(["ps", "axeww", "-o", "pid=,stat=,command="], capture_output=True, text=True,
                            errors="replace", check=False)
    found = set()
    for line in answer.stdout.splitlines():
        pid, state, command = [*line.split(None, 2), "", "", ""][:3]
        if pid.isdigit() and not state.startswith("Z") and mark in command.split():
            found.add(int(pid))
    return found
