"""docs/map.md names every file of the house, in the words of today."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_map_is_of_today() -> None:
    """`make map` was run after a file came, went, or said something else of itself."""
    written = runpy.run_path(str(ROOT / "scripts/map.py"))["text"]()
    assert (ROOT / "docs/map.md").read_text(encoding="utf-8") == written


def test_every_file_says_what_it_is_about() -> None:
    """A file without a first line would be missing on the map."""
    first_line = runpy.run_path(str(ROOT / "scripts/map.py"))["first_line"]
    silent = [path.name for path in (ROOT / "orchestrator").rglob("*.py") if path.stat().st_size and not first_line(path)]
    assert silent == []
