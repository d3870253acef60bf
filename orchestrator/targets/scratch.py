"""Removing a folder in which a stranger's program has written."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path


def remove_tree(folder: Path) -> bool:
    """Remove it with everything in it; whether it is gone. Links are removed, never followed.

    A tree may be deeper than Python recurses and longer than a path may be, and its folders may forbid us to look.
    So folders are moved up until nothing lies deeper than one level.
    """
    if not _is_folder(folder):
        _try(folder.unlink)
    numbers = itertools.count()
    progress = True
    while progress and (names := _names(folder)):
        progress = False
        for path in (folder / name for name in names):
            if not _is_folder(path):
                progress |= _try(path.unlink)
                continue
            for child in (path / name for name in _names(path)):
                if _is_folder(child):
                    _allow(child)
                    up = folder / f".up-{os.getpid()}-{next(numbers)}"
                    progress |= _try(functools.partial(child.rename, up))
                else:
                    progress |= _try(child.unlink)
            progress |= _try(path.rmdir)
    _try(folder.rmdir)
    return not os.path.lexists(folder)


def _try(act: Callable[[], object]) -> bool:
    """Whether it could be done. What cannot be removed stays, and is told in the end."""
    try:
        act()
    except OSError:
        return False
    return True


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _names(folder: Path) -> list[str]:
    _allow(folder)
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all we need
    except OSError:
        return []


def _allow(folder: Path) -> None:
    """We own it, so we may look into it, whatever its mode says."""
    with contextlib.suppress(OSError):
        if folder.lstat().st_mode & 0o700 != 0o700:
            folder.chmod(0o700)
