"""A processor that is busy: programs that compete for it, and code that makes a program need it. Linux."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMPETITORS = 15


def needs(seconds: float, cpu: int) -> str:
    """Python code that works for so many processor seconds on that processor alone."""
    return (f"import os, time\nos.sched_setaffinity(0, {{{cpu}}})\n"
            f"while time.process_time() < {seconds}: pass\n")


@contextmanager
def busy_processor() -> Iterator[int]:
    """The number of a processor on which fifteen others work, each in a session of its own: so each has its fair share."""
    cpu = max(os.sched_getaffinity(0))
    # Forked, not started one by one: fifteen interpreters on one processor need their time to start, too.
    # Each ends when its parent does, which ends when we do, however we end. A number and its line's end are one
    # write: with PYTHONUNBUFFERED a print makes two, and the end of one line came between those of another.
    code = (f"import os, sys\nos.sched_setaffinity(0, {{{cpu}}})\nparent = os.getpid()\n"
            f"for _ in range({COMPETITORS}):\n    if os.fork() == 0:\n"
            "        os.setsid()\n        os.write(1, b'%d\\n' % os.getpid())\n"
            "        while os.getppid() == parent: pass\n        os._exit(0)\nsys.stdin.read()")
    pids: list[int] = []
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as first:
        try:
            assert first.stdout is not None
            pids += [int(first.stdout.readline()) for _ in range(COMPETITORS)]
            yield cpu
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            first.kill()
