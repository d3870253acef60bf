"""Locks on files and folders (``flock``), against threads and processes alike: they end with us, however we end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.system.interrupt import TICK


def try_lock(descriptor: int) -> bool:
    """Whether the lock of an open file is ours now; it stays so until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_lock(descriptor: int, *, until: float, look: Callable[[], None] = lambda: None) -> bool:
    """As ``try_lock``, tried again up to a ``time.monotonic()``, with a ``look`` between that may raise."""
    while not try_lock(descriptor):
        if time.monotonic() >= until:
            return False
        look()
        time.sleep(TICK)
    return True


@contextlib.contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, waiting for it as long as it takes.

    Raises ``FileNotFoundError`` if the folder is not there, or was removed while we waited.
    """
    with contextlib.ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, descriptor)
        held = descriptor if _takes_locks(descriptor) else _beside(folder)
        if held != descriptor:
            stack.callback(os.close, held)
        fcntl.flock(held, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        if not os.path.samestat(os.fstat(descriptor), folder.stat()):
            raise FileNotFoundError(f"{folder} was replaced")
        yield


def _takes_locks(descriptor: int) -> bool:
    """Whether a folder can be locked here. NFS locks for itself alone only what is open for writing: no folder is."""
    try:
        try_lock(descriptor)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return False
    return True


def _beside(folder: Path) -> int:
    """The open file that is locked in the folder's place. It stays: a lock on a file that somebody removes is none."""
    return os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
