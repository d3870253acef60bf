"""Files that `labs` writes among a learner's: known again by their names and by a mark, and no part of the server."""

from __future__ import annotations

import fnmatch
from pathlib import Path

MARK = "<!-- made by labs share -->"
"""Stands near the beginning of every file of a proof; a file without it is somebody else's."""
PROOF_FILES = ("PROOF.md", "badge.svg", "index.html")
BUNDLES = "labs-bundle-*.zip"


def is_ours(path: Path) -> bool:
    """Whether `labs share` or `labs bundle` wrote this file. A missing or unreadable one is not ours."""
    if fnmatch.fnmatchcase(path.name, BUNDLES):
        return True
    if path.name not in PROOF_FILES or path.is_symlink():
        return False
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(512)
    except OSError:
        return False
