"""``labs`` alone, ``brief``, ``hint``: where a learner stands and what helps. No engine is asked for any of it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from support.reports import failed, report
from support.workspace import make_workspace

from orchestrator.catalog.labs import find_lab
from orchestrator.cli import brief_command, hint_command, home_command
from orchestrator.cli.main import labs
from orchestrator.model import Hint, Milestone, Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.roles import stand_ins
from orchestrator.workspace.hints import next_hint
from orchestrator.workspace.progress import record_progress
from orchestrator.workspace.standing import brief_of, goal, standing

LAB = find_lab("databases")
CORE, DEEPER = ([one.id for one in LAB.milestones if one.level == level and one.track not in stand_ins(LAB)]
                for level in ("core", "deeper"))
"""What a server is for whose workspace names no tracks."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """We are in a workspace of the lab ``databases`` in which nothing was judged."""
    folder = make_workspace(tmp_path / "server")
    monkeypatch.chdir(folder)
    return folder


def passed(*milestones: str) -> list[MilestoneResult]:
    return [MilestoneResult(name, name, Verdict.PASS, "regression") for name in milestones]


def test_a_newcomer_is_told_what_to_do_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert home_command.show() == 0
    text = capsys.readouterr().out
    for command in ("labs list", "labs start databases", "labs init databases --language python my-server"):
        assert command in text


def test_where_a_learner_stands(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Track by track; the next milestone and its goal; what went wrong; the commands that help."""
    record_progress(workspace, report(*passed("postgres/schema"), failed("postgres/crud")), "abc")
    home_command.show()
    text = capsys.readouterr().out

    assert f"1 of {len(CORE)} core milestones passed, 0 of {len(DEEPER)} deeper ones" in text
    assert re.search(r"^ +PostgreSQL +1 of 8 ", text, re.MULTILINE)
    assert "next: postgres/crud" in text
    assert "last time: FAIL not-stored" in text
    assert "labs trace" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_where_a_learner_stands_as_json(workspace: Path) -> None:
    """Bare `labs` has `--json` as every command has it; before a command it means that command's."""
    record_progress(workspace, report(*passed("postgres/schema"), failed("postgres/crud")), "abc")
    bare = CliRunner().invoke(labs, ["--json"])
    before, after = (CliRunner().invoke(labs, words).stdout for words in (["--json", "brief"], ["brief", "--json"]))

    answer = json.loads(bare.stdout)
    assert (bare.exit_code, answer["command"], answer["status"]) == (0, "", "success")
    assert answer["data"]["next"]["id"] == "postgres/crud"
    assert answer["data"]["last"] == {"verdict": "fail", "reason": "not-stored"}
    postgres, *others = answer["data"]["tracks"]
    assert (postgres["id"], postgres["passed"], postgres["total"]) == ("postgres", 1, 8)
    assert ("redis", 0, 7) in [(one["id"], one["passed"], one["total"]) for one in others]
    assert json.loads(before) == json.loads(after)


def test_the_standing_moves_with_the_folder(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    record_progress(workspace, report(*passed("postgres/schema")), "abc")
    home_command.show()
    before = capsys.readouterr().out
    shutil.copytree(workspace, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    home_command.show()

    assert capsys.readouterr().out == before


def test_what_failed_again_does_not_count_as_passed(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_progress(workspace, report(*passed("postgres/schema", "postgres/crud")), "abc")
    record_progress(workspace, report(failed("postgres/crud")), "def")
    home_command.show()

    assert f"1 of {len(CORE)} core" in capsys.readouterr().out


def test_the_core_is_the_lab(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said to be done then; what goes deeper is offered behind it, and asked for by no word before."""
    record_progress(workspace, report(*passed(*CORE, DEEPER[0])), "abc")
    home_command.show()

    text = capsys.readouterr().out
    assert f"done: all {len(CORE)} core milestones passed, and 1 of {len(DEEPER)} deeper ones" in text
    assert f"next, going deeper: {DEEPER[1]}" in text


def test_everything_passed(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_progress(workspace, report(*passed(*CORE, *DEEPER)), "abc")
    home_command.show()

    every = len(CORE) + len(DEEPER)
    assert f"{every} of {every} milestones passed" in capsys.readouterr().out


def test_the_lab_says_where_its_reader_stands(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of this lab `labs info` marks what has passed; elsewhere it marks nothing."""
    record_progress(workspace, report(*passed("postgres/schema")), "abc")
    here = CliRunner().invoke(labs, ["info", "databases"]).stdout
    monkeypatch.chdir(workspace.parent)
    elsewhere = CliRunner().invoke(labs, ["info", "databases"]).stdout

    assert re.search(r"^ x  postgres/schema .*\n    postgres/crud ", here, re.MULTILINE)
    assert " x " not in elsewhere
    assert re.search(r"^  redis +\S+ +about 10 MB of memory$", elsewhere, re.MULTILINE)
    assert re.search(r"^  sqlite +\S+ +a file, no process$", elsewhere, re.MULTILINE)
    assert "\n  sales: in postgres, or in mysql   labs check postgres --on mysql\n" in elsewhere


def test_milestones_that_the_lab_has_no_more_do_not_count() -> None:
    now = standing(find_lab("databases"), {"postgres/schema", "postgres/gone"}, None, [])

    assert (now.passed, now.last, now.runs) == (1, None, 0)


@pytest.mark.parametrize(("brief", "said"), [
    ("# Title\n\nOne goal\nof two lines.\n\n## Build\n", "One goal of two lines."), ("", ""), ("# Only\n", ""),
    ("# T\n\n" + "word " * 200, "word " * 79 + "..."),
])
def test_a_goal_is_the_first_paragraph(brief: str, said: str) -> None:
    assert goal(brief).replace(" ...", "...") == said.replace(" ...", "...")


def run(module: object, *arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(module.cli, [*arguments, "--json"])  # type: ignore[attr-defined]
    answer: dict[str, object] = json.loads(done.stdout)
    assert answer["exit_code"] == done.exit_code
    return answer


def test_a_brief_does_not_steer_the_terminal(tmp_path: Path) -> None:
    """An author's text is read before anybody trusts the lab."""
    (tmp_path / "brief.md").write_text("# Stay\x1b[2J\n\n\ttext\u202e\u00a0\n")
    milestone: Any = SimpleNamespace(brief=tmp_path / "brief.md")

    assert brief_of(milestone) == "# Stay\\x1b[2J\n\n\ttext\\x202e\u00a0\n"


def test_a_brief_is_that_of_the_next_milestone_or_of_the_one_named(workspace: Path) -> None:
    assert run(brief_command)["data"]["id"] == "postgres/schema"  # type: ignore[index]
    record_progress(workspace, report(*passed("postgres/schema")), "abc")
    assert run(brief_command)["data"]["id"] == "postgres/crud"  # type: ignore[index]
    assert run(brief_command, "redis/hold")["data"]["needs"] == ["postgres/crud"]  # type: ignore[index]
    text = CliRunner().invoke(brief_command.cli, ["redis/hold"]).stdout
    assert text.startswith("# A seat is held")
    assert text.endswith("labs check redis/hold\n")


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["redis/hodl"], "unknown-milestone", "redis/hold"), (["--lab", "databasse"], "unknown-lab", "databases"),
])
def test_a_brief_that_there_is_not(workspace: Path, arguments: list[str], code: str, said: str) -> None:
    answer = run(brief_command, *arguments)

    assert answer["exit_code"] == 2
    assert answer["errors"][0]["code"] == code  # type: ignore[index]
    assert said in answer["errors"][0]["message"]  # type: ignore[index]


def test_hints_come_one_by_one_those_of_the_reason_first(workspace: Path) -> None:
    """Each once, remembered in the workspace; at the end it says so and names what else helps."""
    milestone = find_lab("databases").milestone("postgres/crud")
    record_progress(workspace, report(*passed("postgres/schema"), failed("postgres/crud")), "abc")
    said = [run(hint_command)["data"]["hint"] for _ in range(3)]  # type: ignore[index]

    bound = next(hint.text for hint in milestone.hints if hint.reason == "not-stored")
    general = next(hint.text for hint in milestone.hints if hint.reason is None)
    assert said == [bound, general, None]
    assert "labs trace postgres/crud" in CliRunner().invoke(hint_command.cli, []).stdout


def test_without_a_report_a_general_hint(workspace: Path) -> None:
    text = CliRunner().invoke(hint_command.cli, []).stdout

    assert text.startswith("postgres/schema\n\ngeneral hint 1 of 1\n")
    assert "This is a general hint. After a failed check you get one for that failure: labs check" in text
    assert "That was the only hint." in CliRunner().invoke(hint_command.cli, []).stdout


def test_a_hint_that_was_shown_is_shown_again_above_the_next(workspace: Path) -> None:
    """Nothing that a learner has paid for is lost, and a general hint does not count as one for the failure."""
    record_progress(workspace, report(*passed("postgres/schema"), failed("postgres/crud")), "abc")
    first, second, third = (CliRunner().invoke(hint_command.cli, []).stdout for _ in range(3))

    assert "\nhint 1 of 1 for not-stored\n" in first
    assert "\nlabs hint   1 more hint\n" in first
    assert "\nhint 1 of 1 for not-stored, shown before\n" in second
    assert second.index("for not-stored, shown before") < second.index("\ngeneral hint 1 of 1\n")
    assert "Is the transaction committed?" in first
    assert "Is the transaction committed?" in second
    assert "general hint 1 of 1, shown before" in third
    assert "Those were all 2 hints." in third


def test_every_failed_check_has_its_hints(workspace: Path) -> None:
    """Not only the first one's reason."""
    one = failed("postgres/crud")
    other = dataclasses.replace(one.checks[0], id="postgres/crud/test_pages", reason="page-skips")
    both = dataclasses.replace(one, checks=(*one.checks, other))
    record_progress(workspace, report(*passed("postgres/schema"), both), "abc")
    texts = [CliRunner().invoke(hint_command.cli, []).stdout for _ in range(2)]

    assert texts[0].startswith("postgres/crud: not-stored, page-skips\n")
    assert "\nhint 1 of 1 for page-skips\n" in texts[1]


def test_a_hint_is_for_what_failed_also_where_another_milestone_is_next(workspace: Path) -> None:
    """As after `labs check postgres --on mysql`, or a track that one has asked for; the others that failed are named."""
    record_progress(workspace, report(failed("mysql/crud"), failed("postgres/crud")), "abc")
    first = CliRunner().invoke(hint_command.cli, []).stdout
    named = CliRunner().invoke(hint_command.cli, ["postgres/crud"]).stdout

    assert first.startswith("mysql/crud: not-stored\n")
    assert first.endswith("\nlabs hint postgres/crud   it failed, too\n")
    assert named.startswith("postgres/crud: not-stored\n")
    assert named.endswith("\nlabs hint postgres/crud   1 more hint\n")


def test_a_hint_that_nobody_could_read_is_not_used_up(workspace: Path) -> None:
    """The reader of our output has gone away before it was written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        subprocess.run([sys.executable, "-m", "orchestrator", "hint"], stdout=writing, check=False)
    finally:
        os.close(writing)

    assert "general hint 1 of 1\n" in CliRunner().invoke(hint_command.cli, []).stdout


def test_a_milestone_that_passed_gets_no_hint(workspace: Path) -> None:
    record_progress(workspace, report(*passed("postgres/schema")), "abc")

    assert run(hint_command, "postgres/schema")["data"]["hint"] is None  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "[]", '{"shown": 7}', '{"shown": {"postgres/schema": 7}}'])
def test_a_torn_memory_of_hints_is_an_empty_one(workspace: Path, text: str) -> None:
    (workspace / ".labs").mkdir()
    (workspace / ".labs/hints.json").write_text(text)

    assert run(hint_command)["data"]["hint"]  # type: ignore[index]


def test_hints_in_a_folder_that_cannot_be_written(workspace: Path) -> None:
    (workspace / ".labs").write_text("a file in the way")

    assert run(hint_command)["data"]["hint"] == run(hint_command)["data"]["hint"]  # type: ignore[index]


@pytest.mark.parametrize(("reasons", "shown", "text", "number", "of", "left"), [
    (["lost"], (), "bound 1", 1, 2, 3), (["lost"], ("bound 1",), "bound 2", 2, 2, 2),
    (["lost"], ("bound 1", "bound 2"), "any", 1, 2, 1), ([], (), "any", 1, 2, 1), (["other"], ("any",), "more", 2, 2, 0),
    (["lost"], ("any",), "bound 1", 1, 2, 2), (["lost", "elsewhere"], ("bound 1", "bound 2"), "else", 1, 1, 2),
    (["elsewhere", "lost", "elsewhere"], (), "else", 1, 1, 4),
])
def test_the_next_hint(reasons: list[str], shown: tuple[str, ...], text: str, number: int, of: int, left: int) -> None:
    found = next_hint(hinted(), reasons, shown)

    assert found.new is not None
    assert (found.new.hint.text, found.new.number, found.new.of, found.left) == (text, number, of, left)
    assert {one.hint.text for one in found.earlier} == set(shown)


def test_there_is_no_next_hint_when_all_were_shown() -> None:
    found = next_hint(hinted(), ["other"], ("any", "more", "bound 1"))

    assert (found.new, found.left, [one.hint.text for one in found.earlier]) == (None, 0, ["any", "more"])


def hinted() -> Milestone:
    hints = (Hint("any"), Hint("bound 1", "lost"), Hint("bound 2", "lost"), Hint("more"), Hint("else", "elsewhere"))
    return dataclasses.replace(find_lab("databases").milestones[0], hints=hints)
