"""Where services may keep their files, and whom they run as.

An ordinary user's services run as that user, anywhere. Root's services run as ``nobody``, who must be able to walk
down to their folders: below a home of mode 0700 that is impossible, and `labs` makes its own folders so. Root's files
therefore go to ``ROOT_PLACE``, unless somebody has made the wanted folder such that it can be walked to.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engines.embedded.launch import ServiceUser
from orchestrator.errors import EnvironmentFault

ROOT_PLACE = Path("/var/db/backend-labs" if sys.platform == "darwin" else "/var/lib/backend-labs")
"""Only root can write to its parent, so nobody can put a link in the way."""
PRIVATE, PASSABLE, READABLE = 0o700, 0o711, 0o755
"""Modes of folders: ours alone; ours, but a service that is somebody else can walk through; readable by all."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who owns a folder and its permission bits."""

    uid: int
    mode: int


def passable(folders: Iterable[Access]) -> bool:
    """Whether another user can walk down these folders, and only root can move what is in them."""
    return all(
        folder.uid == 0 and folder.mode & stat.S_IXOTH
        and (not folder.mode & (stat.S_IWGRP | stat.S_IWOTH) or folder.mode & stat.S_ISVTX)
        for folder in folders)


def choose_place(wanted: Path, parents: Sequence[Access] | None, *, root: bool, elsewhere: Path) -> Path:
    """Where to keep what was wanted at ``wanted``. ``parents`` are its folders from the top, itself included.

    ``None``: it is not there. Then it will not do for root, whatever its parents are like now: `labs` may make some
    of them later, and the answer must be the same then.
    """
    return wanted if not root or (parents is not None and passable(parents)) else elsewhere


def access_down_to(path: Path) -> list[Access] | None:
    """The folders from the file system's root down to ``path``, links followed; ``None`` if one is missing."""
    found = []
    for folder in (*reversed(path.resolve().parents), path.resolve()):
        try:
            status = folder.stat()
        except OSError:
            return None
        found.append(Access(status.st_uid, stat.S_IMODE(status.st_mode)))
    return found


def instances_place(wanted: Path) -> Path:
    """The folder of the instances: another one for each wanted one, so that installations stay apart."""
    key = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:12]
    return choose_place(wanted, access_down_to(wanted), root=is_root(), elsewhere=ROOT_PLACE / f"instances-{key}")


def cache_place(wanted: Path) -> Path:
    """The folder of what can be made again. Its entries are named by content, so all of root's wishes can share one."""
    return choose_place(wanted, access_down_to(wanted), root=is_root(), elsewhere=ROOT_PLACE / "cache")


def is_root() -> bool:
    """Whether we run as root."""
    return os.geteuid() == 0


def service_user() -> ServiceUser | None:
    """Whom services run as: ``None`` is ourselves, ``nobody`` if we are root. Its group is looked up: it has no one
    name on all systems. A uid without an entry in the user table would not do: ``initdb`` refuses it."""
    if not is_root():
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EnvironmentFault(
            "services do not run as root, and this machine has no user `nobody` to run them as",
            code="engine-failed", hint="run labs as an ordinary user, or use --engine docker") from None
    return ServiceUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def our_mode(user: ServiceUser | None) -> int:
    """The mode of a folder of ours through which a service that runs as this user gets to its files."""
    return PRIVATE if user is None else PASSABLE


def make_folder(path: Path, mode: int) -> None:
    """Make a folder of ours, and those of its parents that are missing, with this mode.

    Modes are set outright: a umask of 077 would shut ``nobody`` out, one of 000 would let everybody in.
    """
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=PRIVATE)
        except FileExistsError:
            continue  # made by another labs at the same time
        folder.chmod(mode)


def make_service_folder(path: Path, user: ServiceUser | None) -> None:
    """Make a folder that belongs to the service alone."""
    path.mkdir(mode=PRIVATE)
    path.chmod(PRIVATE)
    if user is not None:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
