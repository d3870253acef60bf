"""What the lab's folder holds: links, sizes, names. Nothing is read but names and sizes."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from orchestrator.lint.finding import Finding

SIZE_LIMIT = 5 * 1024 * 1024
LEFT_OUT = frozenset({"__pycache__", ".git", ".venv", "node_modules", ".pytest_cache", ".ruff_cache", ".mypy_cache"})
"""Folders that tools make, no part of a lab."""
FOLDERS = ("briefs", "checks", "solutions", "starter")
"""What a lab's folder has. Others may be there, but not under a name that is nearly one of these."""
NAMED = ("briefs", "checks", "checks/fixtures", "starter", "solutions/accepted", "solutions/wrong",
         "solutions/variants")
"""Folders whose entries are said in commands, ids and ``lab.toml``."""
NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*|README\.md|\..*")


def findings(lab: Path) -> Iterator[Finding]:
    """Everything below the lab's folder. Links are not followed."""
    problems: list[OSError] = []
    for folder, folders, files in os.walk(lab, onerror=problems.append):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        here = Path(folder).relative_to(lab)
        yield from _collisions(here, [*folders, *files])
        for name in sorted([*folders, *files]):
            yield from _one(lab, here / name)
    for error in problems:
        name = os.path.relpath(error.filename or lab, lab)
        yield Finding(name, None, "cannot-read", f"cannot be read: {error.strerror}", "make it readable")
    yield from _nearly(lab)


def _one(lab: Path, name: Path) -> Iterator[Finding]:
    shown, path = name.as_posix(), lab / name
    try:
        status = path.lstat()
    except OSError as error:
        yield Finding(shown, None, "cannot-read", f"cannot be read: {error.strerror}", "make it readable")
        return
    if stat.S_ISLNK(status.st_mode):
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(lab))
        what = "is a link" if inside else f"is a link out of the lab, to {path.readlink()}"
        yield Finding(shown, None, "link", f"{what}; labs travel as plain files", "put the file itself there")
    elif not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        yield Finding(shown, None, "not-a-file", "is neither a file nor a folder", "delete it")
    elif stat.S_ISREG(status.st_mode) and status.st_size > SIZE_LIMIT:
        yield Finding(shown, None, "file-too-large", f"has {status.st_size / 1024 / 1024:.0f} MB; "
                      f"{SIZE_LIMIT // 1024 // 1024} are the most", "make such data when it is needed")
    if name.parent.as_posix() in NAMED and not NAME.fullmatch(name.name):
        yield Finding(shown, None, "bad-name", f"{name.name!r} is awkward to say in commands and paths",
                      "use lower-case letters, digits and dashes (in check files: underscores)")
    elif re.search(r"[\s\\:*?\"<>|]|[^ -~]", name.name) and not name.name.isidentifier():
        yield Finding(shown, None, "bad-name", f"{name.name!r} cannot be written everywhere",
                      "use letters, digits, dots, dashes and underscores")


def _collisions(folder: Path, names: list[str]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield Finding((folder / name).as_posix(), None, "case-collision",
                          f"{name} and {other} are one file on macOS and Windows", "rename one of them")


def _nearly(lab: Path) -> Iterator[Finding]:
    for entry in sorted(lab.glob("*")):
        # Closer than for a word that must be one of these: a folder may have a name of its own.
        near = difflib.get_close_matches(entry.name, FOLDERS, n=1, cutoff=0.75)
        if near and entry.name not in FOLDERS and entry.is_dir():
            yield Finding(entry.name, None, "nearly-named", f"is a folder that nothing reads; did you mean {near[0]}?",
                          "rename or delete it")
