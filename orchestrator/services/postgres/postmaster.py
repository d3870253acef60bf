"""What a killed PostgreSQL leaves behind: the file with its pid, and a piece of the system's shared memory.

Both are known from ``postmaster.pid`` in its data.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

from orchestrator.services.base import LastRun

NAME = "postmaster.pid"
SHARED_MEMORY_LINE = 6
"""``key id`` of its System V segment, in decimal; from PostgreSQL's ``pidfile.h``."""
IPC_RMID = 0


def forget_dead(data: Path, last: LastRun | None) -> None:
    """Remove a ``postmaster.pid`` that names somebody else by now; call it only when the service does not run.

    PostgreSQL refuses to start while a process of its user has the pid in that file, though after a reboot that can
    be anybody. We know better, but only of the process that we started ourselves; without a record of that, the file
    may well be right.
    """
    path = data / NAME
    with contextlib.suppress(OSError, ValueError):
        pid = int(path.read_text(encoding="utf-8").split("\n", 1)[0])
        if last is not None and (not last.this_boot or last.pid == pid) and _in_use(pid):
            path.unlink()


def release_shared_memory(data: Path, last: LastRun | None) -> None:
    """Give the killed service's segment back to the system; call it only when no process of the service is left.

    It is tiny, but nobody else ever frees it, and there are few: 32 on macOS, 4096 on Linux. When they are used up, no
    PostgreSQL of the machine starts any more. (The large memory is freed by the kernel.) A service that ended in good
    order has freed its own, and the file is gone.
    """
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        lines = (data / NAME).read_text(encoding="utf-8").splitlines()
        pid, (key, segment) = abs(int(lines[0])), map(int, lines[SHARED_MEMORY_LINE].split())
        if last is not None and last.this_boot and _is_segment_of(pid, key, segment):
            ctypes.CDLL(None).shmctl(segment, IPC_RMID, None)


def _is_segment_of(pid: int, key: int, segment: int) -> bool:
    """Whether the segment is what the file says. The file is the service's own, so as root we believe the kernel."""
    if sys.platform == "linux":
        with Path("/proc/sysvipc/shm").open(encoding="ascii") as table:
            next(table)
            rows = (line.split() for line in table)
            # Columns: key shmid perms size cpid lpid nattch ...
            return any((int(row[0]), int(row[1]), int(row[4]), row[6]) == (key, segment, pid, "0") for row in rows)
    return os.geteuid() != 0 and ctypes.CDLL(None).shmget(key, ctypes.c_size_t(0), 0) == segment


def _in_use(pid: int) -> bool:
    """Whether PostgreSQL takes the pid for alive: it asks by signal 0, which a zombie not yet reaped answers, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
