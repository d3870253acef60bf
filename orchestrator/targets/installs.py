"""Build commands that only install packages: done again when their own files changed, not at each change of the source.

A virtual environment, ``pip install -r`` and ``npm ci`` take seconds and read nothing of the server's source. Each is
known by its exact form and by the files that it reads; whatever may read more is run at each build, as every other
command is. What was installed must still be as the command left it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import EnvironmentFault
from orchestrator.system.files import read_json, write_json

ARCHIVE = re.compile(r"\.(whl|zip|tar|tgz|t[bx]z|gz|bz2|xz)\b", re.IGNORECASE)
"""A package's name that may be a file beside the requirements."""
SCRIPTS = frozenset({"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare",
                     "dependencies"})
"""Scripts of a package.json that npm runs when it installs: they may read anything."""
LINE = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w, .-]*\])?\s*([=<>!~;].*)?\\?|--hash=\S+\s*\\?", re.ASCII)
"""A line of requirements that names a package of the registry, or goes on with its hash."""
MOST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Install:
    """One such command: the files that it reads, and what shows that its work is untouched. Relative, globs allowed."""

    reads: tuple[str, ...]
    makes: tuple[str, ...]


def install_of(command: Sequence[str], folder: Path) -> Install | None:
    """What the command installs from, if it only installs; ``None`` for every other command."""
    match tuple(command):
        case (_, "-m", "venv", place) if _inside(place):
            return Install((), (f"{place}/pyvenv.cfg",))
        case (program, "-m", "pip", "install", *words) if program.endswith(("/bin/python", "/bin/python3")):
            return _pip(program, words, folder)
        case ("npm", "ci", *words) if all(word.startswith("-") for word in words):
            return _npm(folder)
        case _:
            return None


class Installed:
    """What the last builds of a folder installed, kept in ``record``. Used by one build at a time."""

    def __init__(self, folder: Path, record: Path) -> None:
        self._folder = folder
        self._record = record
        known = read_json(record)
        self._known: dict[str, str] = known if isinstance(known, dict) else {}

    def done(self, command: Sequence[str]) -> bool:
        """Whether the command would install what is there already."""
        state = self._state(command)
        return state is not None and self._known.get(_name(command)) == state

    def forget(self, command: Sequence[str]) -> None:
        """The command is about to run: until it has succeeded, nothing is known of it."""
        if self._known.pop(_name(command), None) is not None:
            self._write()

    def note(self, command: Sequence[str]) -> None:
        """The command has just succeeded."""
        state = self._state(command)
        if state is not None:
            self._known[_name(command)] = state
            self._write()

    def _write(self) -> None:
        # Where nothing can be written we install each time; that is slow, not wrong.
        with contextlib.suppress(EnvironmentFault):
            write_json(self._record, self._known)

    def _state(self, command: Sequence[str]) -> str | None:
        """The files read, the tool and what is installed, as one hash; ``None`` if any of it cannot be told."""
        install = install_of(command, self._folder)
        if install is None:
            return None
        digest = hashlib.blake2b(digest_size=16)
        try:
            tool = self._folder / command[0] if "/" in command[0] else Path(shutil.which(command[0]) or "")
            status = tool.stat()
            digest.update(f"{tool}\0{status.st_mtime_ns}\0{status.st_size}\0".encode("utf-8", "surrogateescape"))
            for name in install.reads:
                digest.update(name.encode() + b"\0" + hashlib.blake2b((self._folder / name).read_bytes()).digest())
            for pattern in install.makes:
                places = sorted(self._folder.glob(pattern))
                if not places:
                    return None
                for place in places:
                    digest.update(f"{place.name}\0{place.stat().st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
        except OSError:
            return None
        return digest.hexdigest()


def _name(command: Sequence[str]) -> str:
    return hashlib.blake2b(os.fsencode("\0".join(command)), digest_size=12).hexdigest()


def _inside(place: str) -> bool:
    """A plain folder of the workspace: no option, no way out of it, no pattern."""
    return bool(re.fullmatch(r"[\w.][\w./-]*", place)) and not place.startswith("/") and ".." not in place.split("/")


def _pip(program: str, words: Sequence[str], folder: Path) -> Install | None:
    """``-r FILE`` and switches, nothing else; every line of the file a package of the registry."""
    environment = program.rpartition("/bin/")[0]
    files: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word in ("-r", "--requirement") and waiting:
            files.append(waiting.pop(0))
        elif word not in ("-q", "--quiet", "--require-hashes", "--no-deps", "--disable-pip-version-check", "-U",
                          "--no-input", "--no-cache-dir"):
            return None
    if not files or not _inside(environment) or not all(_inside(name) and _plain(folder / name) for name in files):
        return None
    return Install(tuple(files), (f"{environment}/pyvenv.cfg", f"{environment}/lib/python*/site-packages"))


def _plain(file: Path) -> bool:
    try:
        text = file.read_bytes()[:MOST].decode("utf-8")
    except (OSError, ValueError):
        return False
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    return all(not line or line.startswith("#") or (LINE.fullmatch(line) and not ARCHIVE.search(line))
               for line in lines)


def _npm(folder: Path) -> Install | None:
    """A package without scripts of its own at installing, none of whose packages is a folder beside it."""
    try:
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        lock = (folder / "package-lock.json").read_text(encoding="utf-8")
        scripts = package.get("scripts") or {}
        if SCRIPTS & scripts.keys() or "workspaces" in package or '"link": true' in lock or '"file:' in lock:
            return None
    except (OSError, ValueError, AttributeError):
        return None
    reads = ("package.json", "package-lock.json", *((".npmrc",) if (folder / ".npmrc").is_file() else ()))
    return Install(reads, ("node_modules/.package-lock.json",))
