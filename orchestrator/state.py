"""Where `labs` keeps its own files, who it is, and how it writes a file so that a crash cannot tear it.

The engine's objects carry everything that matters; what is here may be deleted at any time and is rebuilt from them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFault


@dataclass(frozen=True, slots=True)
class Home:
    """One installation's folders: ``data`` (embedded services, image table), ``state`` (leases, locks), ``cache``."""

    data: Path
    state: Path
    cache: Path

    @property
    def leases(self) -> Path:
        return self.state / "leases"

    @property
    def locks(self) -> Path:
        return self.state / "locks"

    @property
    def runs(self) -> Path:
        """Scratch folders of check runs, one per lease, removed with it."""
        return self.state / "runs"

    @property
    def kept_spaces(self) -> Path:
        """Which judge spaces outlive their run, a file for each workspace."""
        return self.state / "kept"

    @property
    def instances(self) -> Path:
        """Folders of the embedded engine's instances."""
        return self.data / "embedded"

    @property
    def image_table(self) -> Path:
        return self.data / "images.json"


def find_home(environ: Mapping[str, str] = os.environ) -> Home:
    """``LABS_HOME`` if set, else the platform's folders. Touches nothing."""
    override = environ.get("LABS_HOME")
    if override:
        root = Path(override).expanduser().absolute()
        return Home(root / "data", root / "state", root / "cache")
    import platformdirs

    name = "backend-labs"
    return Home(
        Path(platformdirs.user_data_dir(name)),
        Path(platformdirs.user_state_dir(name)),
        Path(platformdirs.user_cache_dir(name)),
    )


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


def user_id() -> str:
    """The user's uid as text: objects of other users are never touched."""
    return str(os.getuid())


def installation_id(home: Home) -> str:
    """Tells two installations on one engine apart. Derived, so that it survives the loss of every file."""
    machine = ""
    for candidate in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            machine = Path(candidate).read_text(encoding="utf-8").strip()
        except OSError:
            continue
        break
    text = "\0".join((machine or os.uname().nodename, user_id(), str(home.data)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Replace ``path`` by this JSON at once: a reader sees the old or the new file, never a torn one. Mode 0600."""
    make_folder(path.parent)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2, ensure_ascii=False)
                file.write("\n")
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def read_json(path: Path) -> Any:
    """The JSON in ``path``, or ``None`` if there is no file or it is not JSON: such a file is as good as lost."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
