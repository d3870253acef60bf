"""Removing what a stranger's program left: deep, forbidden, linked."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.targets.scratch import remove_tree


def test_a_tree_deeper_than_a_path_may_be_is_removed(tmp_path: Path) -> None:
    """Eleven hundred levels of long names: more than Python recurses, more than PATH_MAX holds."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("deep" * 10, dir_fd=here)
        below = os.open("deep" * 10, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)

    assert remove_tree(folder)
    assert not folder.exists()


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    """What they point to is not ours."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "scratch"
    (folder / "in").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    (folder / "in" / "link").symlink_to(outside)

    assert remove_tree(folder)
    assert (outside / "precious").read_text() == "x"


def test_odd_names_and_forbidden_folders_are_removed(tmp_path: Path) -> None:
    """New lines, bytes that are no UTF-8, folders that nobody may read, and a name that we would use ourselves."""
    folder = tmp_path / "scratch"
    (folder / "no\nentry" / "below").mkdir(parents=True)
    (folder / "no\nentry" / "below" / "file").write_text("x")
    (folder / "no\nentry").chmod(0)
    (folder / f".up-{os.getpid()}-0" / "x" / "y").mkdir(parents=True)
    (folder / os.fsdecode(b"\xff\xfe")).write_text("x")
    folder.chmod(0o500)

    assert remove_tree(folder)


def test_nothing_to_remove_is_fine(tmp_path: Path) -> None:
    """Closing twice is harmless."""
    assert remove_tree(tmp_path / "never-there")
