"""What is on the screen, at any size, on any terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from support.reports import failed, report

from orchestrator.errors import WorkspaceInvalid
from orchestrator.model import Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.system.text import columns, fit
from orchestrator.watch.events import Began, Changed, Event, Finished, MilestoneJudged, Noted, Phase, Pressed, RunFailed
from orchestrator.watch.show import Lines, Screen
from orchestrator.watch.view import IDLE, View, encoded, fold, painted, picture

FAIL = failed()
PASS = MilestoneResult("postgres/crud", "Buyers and events", Verdict.PASS, "next", phases={"checks": 0.5})
BROKEN = MilestoneResult("postgres/crud", "Buyers and events", Verdict.INVALID, "next", reason="build-failed",
                         message="`go build` failed (exit status 1)", server_log="main.go:5: undefined: \x1b[31mx\n")


def view_after(*events: Event) -> View:
    view = View("my-server")
    for event in events:
        view = fold(view, event)
    return view


def text(view: View, *, width: int = 100, height: int = 50, panel: tuple[str, ...] = ()) -> str:
    return "\n".join(picture(view, width=width, height=height, panel=panel).lines)


def test_a_verdict_and_how_fast_it_came() -> None:
    """The milestone in detail, the time from the save, the keys."""
    shown = text(view_after(Changed("k", frozenset(), 10.0), Began("k", "postgres/crud", ""), MilestoneJudged(FAIL, True, 10.8)))

    assert "FAIL      postgres/crud" in shown
    assert "reason    not-stored" in shown
    assert "0.8 s from the save to the verdict" in shown
    assert "q quit" in shown


def test_what_goes_on_is_said() -> None:
    """Status: the phase of the run, then that a save is waited for."""
    view = view_after(Began("k", "postgres/crud", ""), Phase("postgres/crud", "checks"))
    assert "postgres/crud: checks" in text(view)
    assert IDLE in text(fold(view, Finished(1.0)))


def test_a_server_that_cannot_be_built_keeps_the_verdict_in_view() -> None:
    """The last verdict, and under it what the build said, made harmless; the next verdict takes it away."""
    view = view_after(MilestoneJudged(FAIL, True, 1.0), MilestoneJudged(BROKEN, True, 2.0))
    shown = text(view)

    assert shown.index("not-stored") < shown.index("`go build` failed") < shown.index("undefined: \\x1b[31mx")
    assert "go build" not in text(fold(view, MilestoneJudged(PASS, True, 3.0)))


def test_a_broken_workspace_toml_keeps_the_verdict_in_view() -> None:
    """The error with its next command under the verdict."""
    error = WorkspaceInvalid("workspace.toml has a problem", [], hint="mend workspace.toml")
    shown = text(view_after(MilestoneJudged(FAIL, True, 1.0), RunFailed(error)))

    assert "not-stored" in shown
    assert "error: workspace.toml has a problem" in shown
    assert "next: mend workspace.toml" in shown


def test_a_pass_is_good_news_and_tells_what_became_of_the_others() -> None:
    """The passed ones are a count; one that no longer passes is a line. Then n is offered."""
    lost = MilestoneResult("postgres/schema", "Tables", Verdict.FAIL, "regression")
    kept = MilestoneResult("postgres/pool", "Pool", Verdict.PASS, "regression")
    shown = text(view_after(MilestoneJudged(PASS, True, 1.0), MilestoneJudged(kept, False, 2.0), MilestoneJudged(lost, False, 2.0), Finished(3.0)))

    assert "1 of 2 that passed before still pass" in shown
    assert "FAIL      postgres/schema" in shown
    assert "press n" in shown


def test_everything_has_passed() -> None:
    """No milestone is left to watch: said so, with what became of the passed ones."""
    kept = MilestoneResult("postgres/pool", "Pool", Verdict.PASS, "regression")
    shown = text(view_after(MilestoneJudged(PASS, True, 1.0), Began("k", "", ""), MilestoneJudged(kept, False, 2.0), Finished(3.0)))

    assert "Every milestone of this lab has passed." in shown
    assert "1 of 1" in shown


@pytest.mark.parametrize("panel", [(), ("your server's output:", *(f"line {n}" for n in range(500)), "x" * 5000)])
@pytest.mark.parametrize(("width", "height"), [(100, 50), (80, 24), (40, 24), (40, 8), (20, 6), (8, 6), (1, 1), (300, 100)])
@pytest.mark.parametrize("milestones", [[FAIL], [FAIL, BROKEN], [PASS], list(report().milestones)])
def test_it_fits_any_screen(width: int, height: int, panel: tuple[str, ...], milestones: list[MilestoneResult]) -> None:
    """Never more lines than the screen has, never a line that is wider; nothing that steers a terminal."""
    view = view_after(*(MilestoneJudged(one, True, 1.0) for one in milestones), Noted("a note"))
    lines = picture(view, width=width, height=height, panel=panel).lines

    assert len(lines) <= max(height, 6)
    assert max(columns(line) for line in lines) <= max(width, 8)
    assert all(line.isprintable() for line in lines)


TWICE = replace(FAIL, checks=(FAIL.checks[1], *(replace(FAIL.checks[0], title=f"Wrong {n}.", what=f"row {n} of it " * 60)
                                              for n in (1, 2))))


def test_several_failures_are_all_named_on_a_small_screen() -> None:
    """Before the details of the first one fill it; what passed comes last."""
    lines = picture(view_after(MilestoneJudged(TWICE, True, 1.0)), width=79, height=23).lines
    shown = "\n".join(lines)

    assert "2 checks failed:\n  - Wrong 1.\n  - Wrong 2.\n\n  FAIL  Wrong 1." in shown
    assert "-- lines 1 to " in shown
    assert "space down   b up" in shown


def test_a_screen_scrolls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Space by what is shown, arrows by a line, never past the end; a new verdict is shown from its beginning."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    out = io.StringIO()
    screen = Screen(out, keys=True, paint=lambda word, colour: word)
    view = view_after(MilestoneJudged(TWICE, True, 1.0))

    def after(event: Event) -> str:
        out.truncate(out.seek(0))
        screen.event(view, event, ())
        return out.getvalue()

    first = after(MilestoneJudged(TWICE, True, 1.0))
    assert "FAIL      postgres/crud" in first
    assert "-- lines 2 to " in after(Pressed("down"))
    assert "-- lines 1 to " in after(Pressed("up"))
    below = [after(Pressed(" ")) for _ in range(5)]
    assert "labs brief" in next(text for text in reversed(below) if text)
    assert below[-1] == "", "at the end nothing changes"
    assert "FAIL      postgres/crud" not in after(Pressed("b"))
    assert after(MilestoneJudged(TWICE, True, 2.0)) == first


def test_a_log_scrolls_back_from_its_end() -> None:
    log = tuple(f"line {n}" for n in range(500))
    view = view_after(MilestoneJudged(FAIL, True, 1.0))
    end = picture(view, width=80, height=24, panel=log)
    before = picture(view, width=80, height=24, panel=log, top=end.top - end.page)

    assert "line 499" in end.lines
    assert f"line {end.top - 1}" in before.lines
    assert "line 499" not in before.lines


def test_tabs_leave_nothing_of_the_picture_before() -> None:
    """A terminal only moves its cursor for a tab: what stood there would stay."""
    log = replace(BROKEN, server_log="a\tb\n")
    assert "  | a   b" in picture(view_after(MilestoneJudged(log, True, 1.0)), width=80, height=24).lines


def test_a_panel_shows_its_end() -> None:
    """Of a long log the last lines, below the verdict's first line."""
    shown = text(view_after(MilestoneJudged(FAIL, True, 1.0)), height=12, panel=tuple(f"line {n}" for n in range(500)))

    assert "line 499" in shown
    assert "line 1\n" not in shown
    assert "FAIL" in shown
    assert "not-stored" not in shown


@pytest.mark.parametrize(("line", "width", "expected"), [
    ("one two three", 8, ["one two", "three"]),
    ("    deep text here", 12, ["    deep", "    text", "    here"]),
    ("abcdefghijkl", 8, ["abcdefgh", "ijkl"]),
    ("漢字漢字漢字", 8, ["漢字漢字", "漢字"]),
    ("", 8, [""]),
    ("a   b", 8, ["a   b"]),
])
def test_lines_are_broken(line: str, width: int, expected: list[str]) -> None:
    """At spaces where there are some; wide characters count twice; the indent is kept."""
    assert fit(line, width) == expected


def test_colours_are_on_words_of_verdict_only() -> None:
    """Into a pipe or without colours the words stand alone."""
    paint = lambda word, colour: f"<{colour}:{word}>"  # noqa: E731

    assert painted("FAIL  postgres/crud", paint) == "<red:FAIL>  postgres/crud"
    assert painted("  pass  Rows are FAIL", paint) == "  <green:pass>  Rows are FAIL"
    assert painted("a line", paint) == "a line"


def test_a_terminal_without_utf_8() -> None:
    """What it cannot say is said in ASCII."""
    assert encoded("a · b … “c”", "ascii") == 'a - b ... "c"'
    assert encoded("漢", "ascii") == "\\u6f22"
    assert encoded("a · b", "utf-8") == "a · b"
    assert encoded("a", "no-such-encoding") == "a"


def test_lines_for_a_pipe_have_no_control_character() -> None:
    """Each verdict once, as plain lines; talk goes elsewhere."""
    out, talk = io.StringIO(), []
    show = Lines(out, talk.append)
    view = View("my-server")
    for event in [Began("k", "postgres/crud", ""), MilestoneJudged(FAIL, True, 1.0), Finished(1.0), MilestoneJudged(BROKEN, True, 2.0),
                  RunFailed(WorkspaceInvalid("workspace.toml has a problem", [])), Noted("a \x1b note"),
                  MilestoneJudged(PASS, True, 1.0), MilestoneJudged(PASS, False, 1.0), Finished(1.0)]:
        view = fold(view, event)
        show.event(view, event, ())

    written = out.getvalue()
    assert written.count("FAIL      postgres/crud") == 1
    assert "undefined: \\x1b[31mx" in written
    assert "1 of 1 that passed before still pass" in written
    assert all(c == "\n" or c.isprintable() for c in written + "".join(talk))
    assert talk[:2] == ["judging postgres/crud ...", IDLE]


def test_the_screen_is_drawn_only_when_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same picture is not written twice; another size is another picture."""
    out = io.StringIO()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    screen = Screen(out, keys=True, paint=lambda word, colour: word)
    view = view_after(MilestoneJudged(FAIL, True, 1.0))
    screen.event(view, Finished(1.0), ())
    first = len(out.getvalue())

    screen.event(view, Finished(1.0), ())
    assert len(out.getvalue()) == first

    monkeypatch.setenv("COLUMNS", "40")
    screen.event(view, Finished(1.0), ())
    assert len(out.getvalue()) > first
