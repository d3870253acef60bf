"""What every engine of ours that keeps instances in folders needs: names, removal, and whose a folder is.

::

    <name>/instance.json   the whole InstanceSpec: written first, synced to disk, before anything else exists
           spare.json      the same once more, read if the first is damaged

Everything is written to a new file and renamed, so a reader sees the old or the new one, whole. Reading never raises
for content: a file that is damaged is as good as none.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.engines.spec_json import decode, encode
from orchestrator.errors import EnvironmentFault
from orchestrator.model import InstanceSpec
from orchestrator.system.files import read_json, write_json
from orchestrator.system.locks import locked

GONE = ".gone-"
"""Begins the name of a folder that is being removed: whatever is left of it is worth nothing."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def is_name(name: str) -> bool:
    """Whether an instance's folder can be called so."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """The name, if an instance can have it; ``engine-failed``."""
    if not is_name(name):
        raise EnvironmentFault(f"{name!r} cannot be the name of an instance", code="engine-failed")
    return name


@contextlib.contextmanager
def locked_if_there(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that need not be there: then nothing is locked, and it reads as empty."""
    with contextlib.ExitStack() as stack:
        while folder.exists():
            with contextlib.suppress(FileNotFoundError):  # removed, perhaps made anew, while we waited: look again
                stack.enter_context(locked(folder))
                break
        yield


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it. A service that is just ending may still write: tried again for a second."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(0.02)
    shutil.rmtree(folder)


def remove_at_once(folder: Path) -> None:
    """Out of sight first: cut off half-way, its spec could be gone and its data still there."""
    gone = folder.with_name(f"{GONE}{folder.name}-{time.monotonic_ns()}")
    folder.rename(gone)
    remove_tree(gone)


def folders_in(*places: Path) -> list[Path]:
    """The folders that may be instances; what is left of removed ones goes."""
    entries: list[Path] = []
    for place in places:
        with contextlib.suppress(FileNotFoundError):
            entries += sorted(place.iterdir())
    for entry in entries:
        if entry.name.startswith(GONE):
            remove_tree(entry)
    return [entry for entry in entries if is_name(entry.name)]


def discard_empty(folder: SpecFolder) -> None:
    """A command was killed after making the folder and before saying what it is for: nothing was started."""
    with contextlib.suppress(OSError), locked(folder.path):
        if folder.spec() is None and all(entry.name.startswith(".") for entry in folder.path.iterdir()):
            remove_tree(folder.path)


class SpecFolder:
    """A folder that says whose it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The instance's name is the folder's."""
        return self.path.name

    def spec(self) -> InstanceSpec | None:
        """What the instance is, or ``None`` if that is missing or damaged."""
        for name in ("instance.json", "spare.json"):
            with contextlib.suppress(ValueError):
                spec = decode(read_json(self.path / name))
                if spec.name == self.name:
                    return spec
        return None

    def write_spec(self, spec: InstanceSpec) -> None:
        """Put the spec on the disk."""
        for name in ("instance.json", "spare.json"):
            write_json(self.path / name, encode(spec), durable=True)

    def refuse_foreign(self, spec: InstanceSpec, *, there: bool) -> None:
        """``exists`` if the folder holds somebody else's data, or an instance that is ``there``."""
        found = self.spec()
        foreign = found is not None and (found.owner.user, found.owner.installation) != (
            spec.owner.user, spec.owner.installation)
        if foreign or there:
            raise EnvironmentFault(f"there is already an instance {spec.name}", code="exists", hint="labs status")


def matches(spec: InstanceSpec, *, user: str, installation: str, environment: str | None, lease: str | None) -> bool:
    """Whether it is one of those that ``Engine.list`` was asked for."""
    owner = spec.owner
    return ((owner.user, owner.installation) == (user, installation)
            and environment in (None, owner.environment) and lease in (None, owner.lease))
