"""Files of ours: whole or not there, private unless said otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentFault
from orchestrator.system.files import MOST_JSON, read_json, write_json, write_whole


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle: the old content, and nothing beside it."""
    path = tmp_path / "x"
    write_whole(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new", durable=True)

    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x", b"old")]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_has_the_mode_that_was_asked_for(tmp_path: Path, mode: int) -> None:
    """Whatever the umask and the file that was there before."""
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o640)
    before = os.umask(0o077)
    try:
        write_whole(path, b"new", mode=mode)
    finally:
        os.umask(before)

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)


def test_a_link_is_replaced_and_what_it_names_is_left(tmp_path: Path) -> None:
    """Nobody gets us to write somewhere else."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "x").symlink_to("theirs")

    write_whole(tmp_path / "x", b"ours")

    assert ((tmp_path / "theirs").read_bytes(), (tmp_path / "x").is_symlink()) == (b"theirs", False)


def test_json_comes_back_and_what_is_none_is_as_good_as_lost(tmp_path: Path) -> None:
    """Its folder is made; a file that is torn or missing reads as nothing."""
    path = tmp_path / "made" / "x.json"
    write_json(path, {"name": "\u00fc"})
    (tmp_path / "torn").write_text("{")

    assert (read_json(path), path.stat().st_mode & 0o777) == ({"name": "\u00fc"}, 0o600)
    assert (read_json(tmp_path / "torn"), read_json(tmp_path / "none")) == (None, None)


def test_json_that_cannot_be_written_says_what_helps(tmp_path: Path) -> None:
    """A file where a folder must be."""
    (tmp_path / "file").write_text("")

    with pytest.raises(EnvironmentFault, match="cannot be written"):
        write_json(tmp_path / "file" / "x.json", {})


def test_what_is_no_file_of_ours_is_as_good_as_lost(tmp_path: Path) -> None:
    """Nobody waits for a FIFO or a device, and a folder or a tower of brackets is not our mistake."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "tower").write_text("[" * 1_000_000)
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(MOST_JSON + 1)

    assert [read_json(one) for one in sorted(tmp_path.iterdir())] == [None] * 5
