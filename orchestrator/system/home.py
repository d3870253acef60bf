"""Where `labs` keeps its own files, and who it is.

The engine's objects carry everything that matters; what is here may be deleted at any time and is rebuilt from them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
    def files(self) -> Path:
        """Folders of instances that are files, one folder for each engine beside which they are used."""
        return self.data / "files"

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
