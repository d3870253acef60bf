"""A learner's case: judged are the files that were judged, or nothing is."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import pytest
from support.reports import failed, report
from support.workspaces import answer, judged

from orchestrator.errors import UsageError
from orchestrator.verify.dispute import read_bundle

SECRET = 'import os\nPASSWORD = "hunter2"\nprint(PASSWORD)\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A judged workspace; we are in it."""
    folder = tmp_path / "server"
    judged(folder, report(dataclasses.replace(failed(), message="redis://:hunter2@h")))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("name", "text", "said"), [
    ("server.py", SECRET, "server.py: line 2"),
    (".env", "PASSWORD=hunter2\n", ".env: made to hold secrets, or too much"),
])
def test_a_server_whose_secrets_were_taken_out_is_no_case(folder: Path, name: str, text: str, said: str) -> None:
    """It would be another server than the one that was judged; the lines and files are named, and what helps."""
    (folder / name).write_text(text)
    shown = answer("bundle", "case.zip", "--source")

    with pytest.raises(UsageError) as caught:
        read_bundle(folder / "case.zip")

    assert shown["exit_code"] == 0
    assert (caught.value.code, caught.value.details) == ("case-redacted", (said,))
    assert "labs bundle --as-is" in (caught.value.hint or "")


def test_a_bundle_of_the_files_as_they_are_is_a_case(folder: Path) -> None:
    """All of them and unchanged, with what was taken out elsewhere, also where a file is no text."""
    files = {"server.py": SECRET.encode(), ".env": b"PASSWORD=hunter2\n", "picture.bin": b"\xff\xfe\x00"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert answer("bundle", "case.zip", "--as-is")["exit_code"] == 0

    case = read_bundle(folder / "case.zip")

    assert {name: case.files[name] for name in files} == files
    assert (case.milestone, case.seed) == ("postgres/crud", 7)
    with zipfile.ZipFile(folder / "case.zip") as archive:
        assert "hunter2" not in archive.read("report.txt").decode()
        assert json.loads(archive.read("about.json"))["source"] == {"left_out": [], "changed": []}


def test_a_server_without_secrets_is_a_case_either_way(folder: Path) -> None:
    assert answer("bundle", "case.zip", "--source")["exit_code"] == 0

    assert read_bundle(folder / "case.zip").files["server.py"] == (folder / "server.py").read_bytes()
