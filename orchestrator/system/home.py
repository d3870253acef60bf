"""Where `labs` keeps its own files, and who it is.

The engine's objects carry everything that matters; what is here may be deleted at any time and is rebuilt from them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import EnvironmentFault
from orchestrator.system.files import read_json, write_json

MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")


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
    def warm_spaces(self) -> Path:
        """Which judge spaces go on running between commands, a file for each."""
        return self.state / "warm"

    @property
    def faults(self) -> Path:
        """What is broken on purpose in environments, a file for each."""
        return self.state / "faults"

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
    """Tells two installations on one engine apart. Derived, so that it survives the loss of every file.

    A machine without an id of its own (macOS, a dev container) is known by its name, which may change: there the first
    answer is noted in the home and stays.
    """
    machine = _machine_id()
    if machine:
        return _derived(home, machine)
    noted = home.state / "installation.json"
    known = read_json(noted)
    if isinstance(known, dict) and isinstance(known.get("id"), str) and re.fullmatch(r"[0-9a-f]{12}", known["id"]):
        return str(known["id"])
    made = _derived(home, os.uname().nodename)
    with contextlib.suppress(EnvironmentFault):  # where nothing can be written, what needs to be says so itself
        write_json(noted, {"v": 1, "id": made}, durable=True)
    return made


def _machine_id() -> str:
    for candidate in MACHINE_IDS:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found = Path(candidate).read_text(encoding="utf-8").strip()
            if found and found != "uninitialized":  # as images have it before their first boot
                return found
    return ""


def _derived(home: Home, machine: str) -> str:
    text = "\0".join((machine, user_id(), str(home.data)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
