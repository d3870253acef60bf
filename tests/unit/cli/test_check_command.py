"""What ``labs check`` does with its options; the judging itself is tested elsewhere."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.reports import failed, report

from orchestrator.cli import check_command
from orchestrator.cli.check_command import cli, wish, write_formats


@pytest.mark.parametrize(("word", "name", "file"), [
    ("json", "json", None), ("junit=report.xml", "junit", Path("report.xml")), ("html=a=b", "html", Path("a=b")),
])
def test_a_format_and_its_file(word: str, name: str, file: Path | None) -> None:
    assert wish(word) == (name, file)


@pytest.mark.parametrize(("word", "said"), [("juint", "did you mean junit"), ("pdf=x", "terminal, json"), ("json=", "json")])
def test_a_format_that_there_is_not(word: str, said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        wish(word)


def test_several_formats_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on the screen, the others in files; the summary goes where GitHub wants it, after what is there."""
    (tmp_path / "summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))

    text, errors = write_formats(report(), [("github", None), ("junit", tmp_path / "a.xml"), ("html", tmp_path / "a.html")])

    assert errors == ()
    assert text.startswith("::error title=postgres/crud")
    assert "<testsuites" in (tmp_path / "a.xml").read_text()
    assert "<!doctype html>" in (tmp_path / "a.html").read_text()
    assert (tmp_path / "summary.md").read_text().startswith("before\n## databases: 1 of 7")


def test_a_file_that_cannot_be_written_takes_nothing_from_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed run exits 1 as ever; a run that passed exits 3, since what was asked for is not there."""
    for one, code in ((report(failed()), 1), (report(report().milestones[0]), 3)):
        monkeypatch.setattr(check_command, "judged", lambda *args, one=one, **options: one)
        done = CliRunner().invoke(cli, ["--format", "terminal", "--format", f"json={tmp_path}/no/such/folder.json"])

        assert done.exit_code == code, done.output
        assert "[report-unwritable]" in done.output
        assert "of 1 passed" in done.output


def test_the_screen_takes_one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_command, "judged", lambda *_, **__: pytest.fail("nothing may be judged"))

    done = CliRunner().invoke(cli, ["--format", "json", "--format", "junit"], standalone_mode=False)

    assert isinstance(done.exception, click.UsageError)
