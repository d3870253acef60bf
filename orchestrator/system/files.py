"""Files of ours: private folders, and files that a crash cannot tear."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFault

MOST_JSON = 128 * 1024 * 1024
"""Bytes. What we write ourselves is far smaller."""


def make_folder(folder: Path) -> Path:
    """Make a private folder (0700) with its parents; ``EnvironmentFault`` with one line of cause if it cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def unwritable(path: Path, error: OSError) -> EnvironmentFault:
    """The error for a file of ours that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentFault(f"the disk is full: {path} cannot be written", code="disk-full", hint="labs clean")
    return EnvironmentFault(
        f"{path} cannot be written: {error.strerror or error}",
        code="home-unwritable",
        hint="LABS_HOME=/a/folder/you/can/write labs doctor",
    )


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace ``path`` at once: a reader sees the old or the new file, never a torn one. ``OSError``: nothing changed.

    A link at ``path`` is replaced, not followed. ``durable``: the new content is there after a power cut, too.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Replace ``path`` by this JSON, whole, private (0600); ``EnvironmentFault`` if it cannot be written."""
    make_folder(path.parent)
    try:
        write_whole(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(), durable=durable)
    except OSError as error:
        raise unwritable(path, error) from error


def read_json(path: Path) -> Any:
    """The JSON in ``path``, or ``None`` if there is no regular file or it is not JSON: it is as good as lost.

    Never waits for what has no end: a FIFO, a device, a file of more than ``MOST_JSON`` bytes are none either.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) or about.st_size > MOST_JSON:
                return None
            return json.loads(file.read(MOST_JSON))
    except (OSError, ValueError, RecursionError):
        return None


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
