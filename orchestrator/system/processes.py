"""Processes of this machine: who they are, what descends from them, and signals to whole trees.

A pid alone is never trusted, since the kernel gives it to somebody else later. A process is its pid *and* its start
time, within one boot of the machine. Signals go through a pidfd where the kernel has them, so not even the moment
between looking and signalling is left.

Process groups are not enough: every child of PostgreSQL calls ``setsid``. A tree is therefore a process, all that
descends from it, and all in its session (those whose parent has died, but which stayed in the session).
"""

from __future__ import annotations

import calendar
import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform == "linux"
POLL = 0.005
"""Seconds between two looks at processes that are ending; a look costs less than 1 ms."""
SETTLE = 5.0
"""Seconds within which the kernel stops or ends processes that got SIGSTOP or SIGKILL."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever: ``started`` is opaque (clock ticks since boot on Linux, a UTC date elsewhere).

    It is on the disk of environments that outlive an update: another form of it would make their services strangers.
    """

    pid: int
    started: str
    boot: str

    def __str__(self) -> str:
        return f"{self.pid}:{self.started}"


@dataclass(frozen=True, slots=True)
class Process:
    """A living process as the system shows it. ``session`` is its process group where sessions are not shown."""

    pid: int
    parent: int
    session: int
    state: str
    started: str

    @property
    def frozen(self) -> bool:
        """Stopped by a signal."""
        return self.state in ("T", "t")


@functools.cache
def boot_id() -> str:
    """A value that changes when the machine starts again; pids of another boot mean nothing."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True,
                                timeout=3, check=True)
        return answer.stdout.strip()
    return "unknown"


def parse_stat(text: str) -> Process | None:
    """``/proc/PID/stat`` as a process; ``None`` for one that has ended and only waits to be reaped.

    The name in brackets may hold blanks and brackets itself, so fields are counted from the last bracket.
    """
    pid = int(text.split(" ", 1)[0])
    fields = text[text.rindex(")") + 2:].split()
    state, parent, session, started = fields[0], int(fields[1]), int(fields[3]), fields[19]
    return None if state in ("Z", "X") else Process(pid, parent, session, state, started)


def look(pids: Collection[int] | None = None) -> dict[int, Process]:
    """The living processes with these pids, or all of the machine. Those that ended are left out.

    From ``/proc`` on Linux, where psutil takes three times as long: whole trees are looked at every millisecond.
    """
    if not LINUX:
        return _look_with_psutil(pids)
    if pids is None:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - Path objects cost ten times
    return {process.pid: process for process in map(_read_stat, pids) if process is not None}


def _look_with_psutil(pids: Collection[int] | None) -> dict[int, Process]:
    """As ``look``, on a system without ``/proc``."""
    import psutil

    found = {}
    for pid in psutil.pids() if pids is None else pids:
        if pid == 0:
            continue  # the kernel's own on macOS; to the system calls for groups and signals, 0 is ourselves
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            process = psutil.Process(pid)
            with process.oneshot():
                status, parent = process.status(), process.ppid()
                # As the kernel noted it. The public ``create_time`` moves when somebody sets the clock.
                seconds: float = process._proc.create_time(monotonic=True)  # type: ignore[attr-defined]
            if status not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                state = "T" if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP) else "S"
                found[pid] = Process(pid, parent, os.getpgid(pid), state, date_of(seconds))
    return found


def date_of(seconds: float) -> str:
    """Seconds since 1970 as ``ps -o lstart`` writes them in UTC: what stands on the disk of macOS since the beginning.

    >>> date_of(1764378129.75)
    'Sat Nov 29 01:02:09 2025'
    """
    return time.asctime(time.gmtime(int(seconds)))


def _read_stat(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123 - as below
            return parse_stat(stat.read())
    except (FileNotFoundError, ProcessLookupError):
        return None


def identify(pid: int) -> Identity | None:
    """Who has this pid now."""
    process = look([pid]).get(pid)
    return None if process is None else Identity(pid, process.started, boot_id())


def started_at(pid: int) -> float | None:
    """When the process started, as a number for labels; ``None`` if it is gone.

    Seconds: since boot on Linux, since 1970 elsewhere.
    """
    process = look([pid]).get(pid)
    if process is None:
        return None
    if LINUX:
        return int(process.started) / os.sysconf("SC_CLK_TCK")
    return float(calendar.timegm(time.strptime(process.started)))


def find(identity: Identity, processes: Mapping[int, Process]) -> Process | None:
    """The process itself among these, or ``None`` if it has ended, even if another one has its pid now."""
    process = processes.get(identity.pid)
    if process is None or identity.boot != boot_id() or process.started != identity.started:
        return None
    return process


def tree(root: Identity, processes: Mapping[int, Process]) -> list[Process]:
    """The process with all its living descendants, and what is left of its session when it has ended itself.

    Empty if the machine was restarted since, or if somebody else has the pid now: then nothing is known to be ours.
    """
    if root.boot != boot_id() or (root.pid in processes and find(root, processes) is None):
        return []
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    members = {pid: process for pid, process in processes.items() if root.pid in (pid, process.session)}
    waiting = list(members.values())
    while waiting:
        for child in children.get(waiting.pop().pid, ()):
            if child.pid not in members:
                members[child.pid] = child
                waiting.append(child)
    return list(members.values())


def send(process: Process, number: int) -> None:
    """Signal exactly this process; nothing happens if it has ended. Raises ``PermissionError`` if it is not ours."""
    with contextlib.suppress(ProcessLookupError):
        try:
            handle = os.pidfd_open(process.pid) if sys.platform == "linux" else None
        except OSError as error:
            if isinstance(error, ProcessLookupError):
                raise
            handle = None  # a kernel or sandbox without pidfds
        try:
            now = look([process.pid]).get(process.pid)
            if now is None or now.started != process.started:
                return
            if sys.platform == "linux" and handle is not None:
                signal.pidfd_send_signal(handle, number)
            else:
                os.kill(process.pid, number)
        finally:
            if handle is not None:
                os.close(handle)


def freeze(root: Identity) -> bool:
    """SIGSTOP to the whole tree, again until a look shows nobody running. ``False`` if that was not reached.

    The first process goes first, so that it makes no more children; others may have made some meanwhile.
    """
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        running = [process for process in tree(root, look()) if not process.frozen]
        if not running:
            return True
        for process in sorted(running, key=lambda process: process.pid != root.pid):
            send(process, signal.SIGSTOP)
        time.sleep(POLL / 5)
    return False


def thaw(root: Identity) -> bool:
    """SIGCONT to the whole tree, again until a look shows nobody stopped. ``False`` if that was not reached."""
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        stopped = [process for process in tree(root, look()) if process.frozen]
        if not stopped:
            return True
        for process in stopped:
            send(process, signal.SIGCONT)
        time.sleep(POLL / 5)
    return False


def destroy(root: Identity) -> bool:
    """SIGKILL to the whole tree. ``True`` when nobody is left.

    Everybody is frozen first: a tree killed one by one could go on making children behind our back.
    """
    freeze(root)
    condemned = {process.pid: process for process in tree(root, look())}
    deadline = time.monotonic() + SETTLE
    while condemned:
        for process in condemned.values():
            send(process, signal.SIGKILL)
        left = wait_gone(condemned.values(), until=min(time.monotonic() + 0.5, deadline))
        if left and time.monotonic() >= deadline:
            return False
        condemned = {process.pid: process for process in (*left, *tree(root, look()))}
    return True


def wait_gone(processes: Iterable[Process], *, until: float) -> list[Process]:
    """Wait for the end of these processes, up to a ``time.monotonic()``. Those that are left."""
    left = list(processes)
    while True:
        now = look([process.pid for process in left])
        left = [process for process in left if process.pid in now and now[process.pid].started == process.started]
        if not left or time.monotonic() >= until:
            return left
        time.sleep(POLL)
