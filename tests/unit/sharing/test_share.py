"""`labs share`: three files of its own, made from the last report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from support.reports import failed, report
from support.workspaces import answer, invoke, judged, workspace

from orchestrator.catalog.labs import find_lab
from orchestrator.roles import stand_ins
from orchestrator.sharing.share import write
from orchestrator.system.own_files import PROOF_FILES
from orchestrator.workspace.content import content_key, source_files

LAB = find_lab("databases")
EVERY = sum(one.track not in stand_ins(LAB) for one in LAB.milestones)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A judged workspace; we are in it."""
    folder = tmp_path / "server"
    judged(folder, report())
    monkeypatch.chdir(folder)
    return folder


def test_three_files_are_made_and_made_again(folder: Path) -> None:
    data = answer("share")["data"]
    (folder / "proof/badge.svg").write_text((folder / "proof/badge.svg").read_text() + " ")

    assert sorted(path.name for path in (folder / "proof").iterdir()) == sorted(PROOF_FILES)
    assert (data["passed"], data["milestones"]) == (1, EVERY)
    assert answer("share")["exit_code"] == 0
    assert (folder / "proof/badge.svg").read_text().endswith("</svg>\n")
    assert (folder / "proof/index.html").stat().st_mode & 0o777 == 0o644
    assert f"databases: 1 of {EVERY}" in invoke("share").stdout


def test_no_secret_of_a_service_is_shown(folder: Path) -> None:
    """Also in the words that only that service has for it."""
    passed = report().milestones[0]
    seen = (dataclasses.replace(passed.checks[0], evidence=("Redis has requirepass hunter2",)),)
    judged(folder, report(dataclasses.replace(passed, checks=seen)))
    assert answer("share")["exit_code"] == 0

    shown = "".join((folder / "proof" / name).read_text() for name in PROOF_FILES)
    assert "requirepass [removed]" in shown
    assert "hunter2" not in shown


def test_a_partial_run_is_said(folder: Path) -> None:
    done = invoke("share", "elsewhere")

    assert "not judged" in done.stderr
    assert "labs check --all" in done.stderr
    assert (folder / "elsewhere/PROOF.md").is_file()
    assert not (folder / "proof").exists()


def test_what_passed_before_counts_while_the_servers_files_are_the_same(folder: Path) -> None:
    """The last run judged one milestone, and failed it: the badge is not 0 of all."""
    content = content_key(workspace(folder))
    judged(folder, report(failed()))

    data = answer("share")["data"]

    proof = (folder / "proof/PROOF.md").read_text()
    assert (data["passed"], data["milestones"]) == (1, EVERY)
    assert "passed in an earlier run" in proof
    assert f"(content {content})" in proof
    assert f"1/{EVERY}" in (folder / "proof/badge.svg").read_text()
    assert any(f"{EVERY - 2} of {EVERY}" in note for note in data["notes"])


@pytest.mark.parametrize("change", ["files", "checks", "failed"])
def test_what_passed_before_another_change_does_not_count(folder: Path, change: str) -> None:
    """Other files, other checks, or a failure since: it is not judged, and the page says what happened."""
    judged(folder, report(failed()))
    if change == "files":
        (folder / "server.py").write_text("print('other')\n")
    elif change == "checks":
        progress = folder / ".labs/progress.json"
        entries = json.loads(progress.read_text())
        entries["passed"]["postgres/schema"]["checks"] = "of an older lab"
        progress.write_text(json.dumps(entries))
    else:
        judged(folder, report(failed("postgres/schema")))
        judged(folder, report(failed()))

    data = answer("share")["data"]

    assert data["passed"] == 0
    assert any("have changed since" in note for note in data["notes"]) is (change != "failed")


@pytest.mark.parametrize("name", PROOF_FILES)
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_file_of_somebody_else_stays(folder: Path, name: str, kind: str) -> None:
    """And then none of the others is written."""
    (folder / "proof").mkdir()
    (folder / "mine").write_text("mine")
    path = folder / "proof" / name
    if kind == "file":
        path.write_text("mine")
    elif kind == "link":
        path.symlink_to("../mine")
    else:
        path.mkdir()

    refused = answer("share")

    assert (refused["exit_code"], refused["errors"][0]["code"]) == (2, "would-overwrite")
    assert [one.name for one in (folder / "proof").iterdir()] == [name]
    assert (folder / "mine").read_text() == "mine"


def test_other_files_in_the_folder_stay(folder: Path) -> None:
    (folder / "proof").mkdir()
    (folder / "proof/notes.md").write_text("mine")

    assert answer("share")["exit_code"] == 0
    assert (folder / "proof/notes.md").read_text() == "mine"


def test_without_a_report_the_way_to_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)

    refused = answer("share")["errors"][0]

    assert (refused["code"], refused["hint"]) == ("no-report", "labs check --all")


def test_its_own_files_change_nothing_and_a_change_of_the_server_is_said(folder: Path) -> None:
    """A proof is no source: what passed stays proved, and the next page does not call the server changed."""
    made = workspace(folder)
    before = content_key(made)
    answer("share")

    assert content_key(made) == before
    assert not any(name.startswith("proof") for name in source_files(made))
    assert not any("changed" in note for note in answer("share")["data"]["notes"])

    (folder / "server.py").write_text("print('other')\n")
    assert any("changed" in note for note in answer("share")["data"]["notes"])
    assert "have changed" in (folder / "proof/PROOF.md").read_text()


def test_an_index_page_of_the_learner_is_source(folder: Path) -> None:
    """Only the mark makes a file ours, not its name."""
    made = workspace(folder)
    before = content_key(made)
    (folder / "index.html").write_text("<p>mine")

    assert content_key(made) != before


def test_secrets_in_evidence_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = report().milestones[0]
    check = dataclasses.replace(first.checks[0], evidence=("read redis://:hunter2@h",))
    judged(tmp_path, report(dataclasses.replace(first, checks=(check,))))
    monkeypatch.chdir(tmp_path)

    answer("share")

    for name in PROOF_FILES:
        assert "hunter2" not in (tmp_path / "proof" / name).read_text()
    assert "redis://:[removed]@h" in (tmp_path / "proof/PROOF.md").read_text()


def test_a_place_where_nothing_can_be_written_is_said(folder: Path) -> None:
    (folder / "file").write_text("in the way")

    assert answer("share", "file")["errors"][0]["code"] == "share-unwritable"


def test_half_a_file_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, {"PROOF.md": "x"})

    assert list(tmp_path.iterdir()) == []


def test_only_the_tracks_that_a_server_is_for_are_shown(folder: Path) -> None:
    """Its workspace.toml names them."""
    toml = folder / "workspace.toml"
    toml.write_text(toml.read_text() + 'tracks = ["postgres"]\n')

    assert 1 < answer("share")["data"]["milestones"] < EVERY
