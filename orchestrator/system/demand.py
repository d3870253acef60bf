"""What a tree of processes wants of the machine just now, and what it has had of it so far.

The difference says how busy the machine is for them: who sleeps wants nothing, who runs has what it wants, and who
waits for its turn wants it and has nothing. Linux says it of every thread, ``ps`` elsewhere of every process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

LINUX = sys.platform == "linux"
LOOK_EVERY = 0.1 if LINUX else 0.5
"""Seconds between two looks that cost next to nothing: one takes about 1 ms from ``/proc``, 20 ms with ``ps``."""
WANTING = frozenset("RDU")
"""States: runs or waits for a processor; waits for the disk (``D`` on Linux, ``U`` on macOS)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """``wanting``: threads that run, or that wait for a processor or the disk. ``used``: processor seconds so far.

    Those that have ended count for ``used``, as far as the system has them added to their parents'.
    """

    wanting: int
    used: float


def demand_below(root: int) -> Demand:
    """Of all living descendants of a process, without itself."""
    return _from_proc(root) if LINUX else from_ps(root)


def processors() -> int:
    """How many this process and what it starts may use at the same time. A quota is none of their number."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _from_proc(root: int) -> Demand:
    wanting, ticks = 0, 0
    waiting, seen = [root], {root}
    while waiting:
        pid = waiting.pop()
        fields = _stat(f"/proc/{pid}/stat")
        if not fields:
            continue
        ticks += sum(map(int, fields[13:15] if pid == root else fields[11:15]))
        for task in _tasks(pid):
            if pid != root:
                wanting += _stat(f"{task}/stat")[:1] in ([b"R"], [b"D"])
            for child in _words(f"{task}/children"):
                if int(child) not in seen:
                    seen.add(int(child))
                    waiting.append(int(child))
    return Demand(wanting, ticks / os.sysconf("SC_CLK_TCK"))


def _tasks(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from [f"/proc/{pid}/task/{name}" for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208 - names only


def _stat(path: str) -> list[bytes]:
    """The fields from the state on; none of a process that is gone. The name before them may hold anything."""
    with contextlib.suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - read for every thread, ten times a second
        return file.read().rpartition(b")")[2].split()
    return []


def _words(path: str) -> list[bytes]:
    with contextlib.suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - as above
        return file.read().split()
    return []


def from_ps(root: int) -> Demand:
    """As ``demand_below``, for a system without ``/proc``. Of what has ended nothing is known."""
    with subprocess.Popen(["ps", "-axo", "pid=,ppid=,state=,time="], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, errors="replace") as ps:
        text, _ = ps.communicate()
    return read_ps(text, root, without=ps.pid)


def read_ps(text: str, root: int, *, without: int = 0) -> Demand:
    """From ``ps``'s lines (pid, parent, state, time); ``without`` is its own pid.

    >>> read_ps("7 1 Ss 0:01.00\\n8 7 R+ 1:02.50\\n9 8 S 0:00.25\\n10 7 R 0:00.00", 7, without=10)
    Demand(wanting=1, used=62.75)
    """
    rows: dict[int, tuple[int, str, float]] = {}
    for line in text.splitlines():
        words = line.split()
        with contextlib.suppress(ValueError, IndexError):
            rows[int(words[0])] = int(words[1]), words[2], _seconds(words[3])
    rows.pop(without, None)
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in rows.items():
        children.setdefault(parent, []).append(pid)
    below: set[int] = set()
    waiting = [root]
    while waiting:
        new = set(children.get(waiting.pop(), ())) - below - {root}
        below |= new
        waiting += new
    return Demand(sum(rows[pid][1][:1] in WANTING for pid in below), sum(rows[pid][2] for pid in below))


def _seconds(time: str) -> float:
    """``1-02:03:04``, ``12:34.56``: days, hours and minutes before the seconds."""
    days, _, rest = time.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86_400 * int(days or 0)
