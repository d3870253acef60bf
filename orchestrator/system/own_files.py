"""Files that `labs` writes among a learner's: known again by their names and by a mark, and no part of the server."""

from __future__ import annotations

import fnmatch
from pathlib import Path

MARK = "<!-- made by labs share -->"
"""Stands near the beginning of every file of a proof; a file without it is somebody else's."""
PAGE_MARK = "<!-- made by labs -->"
"""The same of every other page of ours, whatever its name: ``labs trace --html``, ``labs check --format html=``."""
PROOF_FILES = ("PROOF.md", "badge.svg", "index.html")
BUNDLES = "labs-bundle-*.zip"


def is_ours(path: Path) -> bool:
    """Whether `labs` wrote this file: a proof, a bundle, a page. A missing or unreadable one is not ours."""
    if fnmatch.fnmatchcase(path.name, BUNDLES):
        return True
    marks = [MARK] * (path.name in PROOF_FILES) + [PAGE_MARK] * (path.suffix == ".html")
    # Nothing else is opened: a pipe of such a name would hold us for ever.
    if not marks or path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(512)
    except OSError:
        return False
    return any(mark.encode() in beginning for mark in marks)
