"""A place in the machine's memory for instances whose data nobody keeps: judge instances.

PostgreSQL makes and removes a thousand small files for each of them and some hundred for each fresh database. A file
system on a disk takes a second for what memory does in a tenth, and nothing of it has to outlive a reboot.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from pathlib import Path

from orchestrator.engines.embedded.places import make_folder

SHARED = Path("/dev/shm")  # noqa: S108 - it is looked at before it is used
LEAST_FREE = 2**30
"""Bytes that the file system must have. A judge PostgreSQL takes 200 MB; containers have 64 MB, which will not do."""
LEAST_AVAILABLE = 3 * 2**30
"""Bytes of memory that no program of the machine uses."""


class MemoryPlace:
    """The folder in memory of the instances that are wanted at ``wanted`` on the disk, there or not.

    Below a folder of this user's, since everybody can write to the one that they all share. What somebody else put
    there is not looked at.
    """

    def __init__(self, wanted: Path, shared: Path = SHARED) -> None:
        key = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:12]
        self._top = shared / f"backend-labs-{os.geteuid()}"
        self.folder = self._top / f"instances-{key}"

    def there(self) -> bool:
        """Whether the folder is there, and ours."""
        return self._ours() and self.folder.is_dir()

    def open(self, mode: int) -> bool:
        """Make the folder, with this mode; ``False`` if this machine has no such memory, or too little to spare."""
        shared = self._top.parent
        if not in_memory(shared) or not spacious(_free(shared), _available()):
            return False
        if os.path.lexists(self._top) and not self._ours():
            return False
        with contextlib.suppress(OSError):
            make_folder(self.folder, mode)
        return self.there()

    def _ours(self) -> bool:
        """No link and not another user's. Ours stays ours: in a folder like ``/tmp`` only the owner can replace it."""
        try:
            status = self._top.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def spacious(free: int, available: int) -> bool:
    """Whether a judge instance in memory disturbs nobody; bytes free in the file system and in the machine."""
    return free >= LEAST_FREE and available >= LEAST_AVAILABLE


def in_memory(folder: Path) -> bool:
    """Whether a file system in memory is mounted there. Linux only."""
    if sys.platform != "linux":
        return False
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return [str(folder), "tmpfs"] in (line.split(" ")[1:3] for line in mounts)


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _available() -> int:
    """Bytes of memory that could be given to a program at once; 0 where that cannot be seen."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0
