"""A small process that waits until the time of a warm space, or of a fault, is over; then it becomes a command.

Any command sweeps and heals. It ends by itself when the file that says until when it waits is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from orchestrator.system.processes import started_at

PROGRAM = """
import json, os, sys, time
path = sys.argv[1]
while True:
    try:
        with open(path) as file:
            left = json.load(file)["until"] - time.time()
    except (OSError, ValueError, KeyError):
        sys.exit()
    if left <= 0:
        os.execv(sys.executable, [sys.executable, "-m", "orchestrator", "status", "--json"])
    time.sleep(min(left, 10))
"""
"""Short sleeps: a laptop that was asleep goes by the clock, and a space that went is noticed. Any command sweeps."""


def ensure(path: Path, pid: int, started: float) -> tuple[int, float]:
    """The waiter of this file: that process, if it still is there, or a new one; its pid and when it started."""
    if pid:
        with contextlib.suppress(OSError):  # if it was started by us and has ended, it is there until we ask
            os.waitpid(pid, os.WNOHANG)
        if started_at(pid) == started:
            return pid, started
    # -S and -E: it needs nothing but the standard library until it becomes a command.
    process = subprocess.Popen([sys.executable, "-S", "-E", "-c", PROGRAM, str(path)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
    process.returncode = 0  # nobody waits for it: it outlives us
    return process.pid, started_at(process.pid) or 0.0


def end(pid: int, started: float) -> None:
    """End it, if it still is that process, and not this one: it may have become the command that we are."""
    if pid and pid != os.getpid() and started_at(pid) == started:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
