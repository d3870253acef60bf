"""The learner's history, in the learner's folder."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from support.reports import failed, report

from orchestrator.catalog.labs import find_lab
from orchestrator.model import Verdict
from orchestrator.workspace.progress import (
    RUNS_KEPT,
    read_passed,
    read_progress,
    read_report,
    read_runs,
    record_progress,
)


def test_what_passed_is_remembered_with_its_content(tmp_path: Path) -> None:
    """And stays in the regression set when it fails, with its content forgotten."""
    assert record_progress(tmp_path, report(), "abc")
    assert read_progress(tmp_path) == {"postgres/schema": "abc"}

    record_progress(tmp_path, report(dataclasses.replace(report().milestones[0], verdict=Verdict.FAIL)), "def")
    assert read_progress(tmp_path) == {"postgres/schema": ""}


def test_every_run_is_remembered_and_the_last_report_whole(tmp_path: Path) -> None:
    record_progress(tmp_path, report(), "abc")
    record_progress(tmp_path, report(failed()), "abc")

    assert [run["verdicts"] for run in read_runs(tmp_path)][1] == {"postgres/crud": "fail"}
    assert "redis/counters" not in read_runs(tmp_path)[0]["verdicts"]
    assert read_report(tmp_path) == report(failed())


def test_old_runs_go(tmp_path: Path) -> None:
    for _ in range(3):
        record_progress(tmp_path, report(failed()), "abc")
    path = tmp_path / ".labs/progress.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "runs": value["runs"] * RUNS_KEPT}))

    record_progress(tmp_path, report(), "abc")

    assert len(read_runs(tmp_path)) == RUNS_KEPT
    assert len(read_runs(tmp_path)[-1]["verdicts"]) > 1


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"passed": 3, "runs": {}}', '{"passed": {"a": 1}, "runs": [1]}'])
def test_a_torn_history_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / ".labs").mkdir()
    for name in ("progress.json", "report.json"):
        (tmp_path / ".labs" / name).write_text(text)

    assert (read_progress(tmp_path), read_runs(tmp_path), read_report(tmp_path)) == ({}, [], None)
    assert record_progress(tmp_path, report(), "abc")
    assert read_progress(tmp_path) == {"postgres/schema": "abc"}


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / ".labs").write_text("a file in the way")

    assert not record_progress(tmp_path, report(), "abc")


def test_git_leaves_the_history_out(tmp_path: Path) -> None:
    """`git add -A` in a starter takes the learner's files; who wants the history in git empties our `.gitignore`."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "server.py").touch()
    record_progress(tmp_path, report(), "key")

    def untracked() -> list[str]:
        said = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, check=True, capture_output=True,
                              text=True).stdout
        return [line.split()[-1] for line in said.splitlines()]

    assert untracked() == ["server.py"]
    (tmp_path / ".labs" / ".gitignore").write_text("")
    record_progress(tmp_path, report(), "key")
    assert ".labs/progress.json" in untracked()


def test_a_milestone_whose_checks_have_changed_is_not_passed(tmp_path: Path) -> None:
    """After an update of the lab it is to be passed again; one whose checks stayed is not."""
    lab = find_lab("databases")
    copy = dataclasses.replace(lab, folder=tmp_path / "lab", milestones=tuple(
        dataclasses.replace(one, checks=(tmp_path / "lab" / one.checks[0].name,)) for one in lab.milestones))
    copy.folder.mkdir()
    copy.milestones[0].checks[0].write_text("one")
    record_progress(tmp_path, report(), "abc", copy)
    before = read_passed(tmp_path, copy)
    copy.milestones[1].checks[0].write_text("another milestone's")
    other = read_passed(tmp_path, copy)
    copy.milestones[0].checks[0].write_text("two")

    assert before == other == {"postgres/schema"}
    assert read_passed(tmp_path, copy) == set()
    assert read_progress(tmp_path, copy) == {"postgres/schema": ""}
    assert read_passed(tmp_path) == {"postgres/schema"}


@pytest.mark.parametrize("name", ["checks/conftest.py", "checks/fixtures/shop.py", "openapi.yaml", "storage.md"])
def test_what_all_checks_share_is_part_of_each(tmp_path: Path, name: str) -> None:
    """Another fixture may be another verdict, whichever milestone's."""
    lab = dataclasses.replace(find_lab("databases"), folder=tmp_path / "lab")
    shared = lab.folder / name
    shared.parent.mkdir(parents=True)
    shared.write_text("one")
    record_progress(tmp_path, report(), "abc", lab)
    before = read_passed(tmp_path, lab)
    shared.write_text("two")

    assert before == {"postgres/schema"}
    assert read_passed(tmp_path, lab) == set()
