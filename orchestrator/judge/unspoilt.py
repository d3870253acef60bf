"""Whether what judges is what it was before anything of the learner's ran: the files of labs and of the lab."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from orchestrator.checks.shared_code import common_files

PACKAGE = Path(__file__).parents[1]
OF_A_LAB = ("lab.toml", "checks/*.py")
"""Beside the files on which each milestone depends."""

Mark = tuple[int, int, int, int]


class Unspoilt:
    """Remembers the files when it is made. A file that was only touched is the same; its content counts."""

    def __init__(self, lab: Path, package: Path = PACKAGE) -> None:
        self._lab, self._package = lab, package
        self._known = {path: (_mark(path), _hash(path)) for path in self._files()}

    def changed(self) -> str:
        """The first file that is another one, new or gone since; empty: none. Reads only what was touched."""
        now = set(self._files())
        for path in sorted(now ^ self._known.keys()):
            return str(path)
        for path, (mark, digest) in self._known.items():
            if _mark(path) != mark and _hash(path) != digest:
                return str(path)
        return ""

    def _files(self) -> Iterator[Path]:
        yield from self._package.rglob("*.py")
        yield from common_files(self._lab)
        for pattern in OF_A_LAB:
            yield from self._lab.glob(pattern)


def _mark(path: Path) -> Mark:
    """Changes with every write: nobody but root sets the time of a file's last change."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _hash(path: Path) -> bytes:
    try:
        return hashlib.blake2b(path.read_bytes()).digest()
    except OSError:
        return b""
