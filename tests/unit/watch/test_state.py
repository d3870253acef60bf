"""What watching does at each event, as a table: events in, the actions of the last one out."""

from __future__ import annotations

import pytest

from orchestrator.model import Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.watch.events import Began, Changed, Event, Finished, Gone, MilestoneJudged, Phase, Pressed, Stop
from orchestrator.watch.state import PATIENCE, Action, CancelRun, Quit, Start, WatchState, begin, step

ONE = "postgres/schema"


def saved(key: str, *paths: str, at: float = 100.0) -> Changed:
    return Changed(key, frozenset(paths or ["server.py"]), at)


def judged(verdict: Verdict) -> MilestoneJudged:
    return MilestoneJudged(MilestoneResult(ONE, "Tables", verdict, "next"), True, 2.0)


BEGAN = Began("a", ONE, "Tables")
DONE = Finished(1.0)
IDLE: list[Event] = [BEGAN, DONE]


def after(events: list[Event], *, alone: bool = False) -> tuple[WatchState, tuple[Action, ...]]:
    state, actions = begin("a", alone=alone)
    assert actions == (Start(""),)
    for event in events:
        state, actions = step(state, event)
    return state, actions


@pytest.mark.parametrize(("events", "actions"), [
    pytest.param([BEGAN], (), id="a run that begins asks for nothing"),
    pytest.param([BEGAN, Phase(ONE, "checks")], (), id="nor does a phase"),
    pytest.param(IDLE, (), id="after a run we wait"),
    pytest.param([*IDLE, saved("b")], (Start(ONE),), id="a save starts a run of the milestone that is watched"),
    pytest.param([*IDLE, saved("a")], (), id="a file that was touched and has the same content does not"),
    pytest.param([BEGAN, saved("b")], (CancelRun(),), id="a save during a run ends it"),
    pytest.param([BEGAN, saved("b"), saved("c")], (), id="a second save during it does not end it twice"),
    pytest.param([BEGAN, saved("b"), saved("c"), DONE], (Start(ONE),), id="one run starts over, when the old one has ended"),
    pytest.param([saved("b"), Began("b", ONE, "")], (), id="a run may begin with the content that ended the wait"),
    pytest.param([Began("b", ONE, ""), saved("b")], (), id="a save that the run has seen already does not end it"),
    pytest.param([*IDLE, Pressed("q")], (Quit(0),), id="q ends"),
    pytest.param([BEGAN, Pressed("q")], (CancelRun(),), id="q ends the run first"),
    pytest.param([BEGAN, Pressed("q"), DONE], (Quit(0),), id="and then the watch"),
    pytest.param([BEGAN, Pressed("q"), Pressed("q")], (), id="a second q does nothing more"),
    pytest.param([BEGAN, Pressed("q"), saved("b"), Pressed("n"), DONE], (Quit(0),), id="nothing starts after q"),
    pytest.param([BEGAN, saved("b"), Pressed("q"), DONE], (Quit(0),), id="q wins over a run that would start over"),
    pytest.param([*IDLE, Stop()], (Quit(130),), id="Ctrl-C ends"),
    pytest.param([BEGAN, Stop(), Stop(), DONE], (Quit(130),), id="Ctrl-C twice in a run ends in order"),
    pytest.param([*IDLE, Gone()], (Quit(3),), id="a folder that went away ends"),
    pytest.param([BEGAN, Gone(), DONE], (Quit(3),), id="also during a run"),
    pytest.param([*IDLE, Pressed("n")], (Start(ONE, ahead=True),), id="n goes on to another milestone"),
    pytest.param([BEGAN, Pressed("n")], (CancelRun(),), id="n during a run ends it"),
    pytest.param([BEGAN, Pressed("n"), DONE], (Start(ONE, ahead=True),), id="and goes on then"),
    pytest.param([BEGAN, Pressed("n"), saved("b"), DONE], (Start(ONE, ahead=True),), id="a save does not undo n"),
    pytest.param([BEGAN, saved("b"), Pressed("n"), DONE], (Start(ONE, ahead=True),), id="nor does n undo a save"),
    pytest.param([*IDLE, Pressed("r")], (Start(ONE),), id="r judges the same once more"),
    pytest.param([*IDLE, Pressed("x")], (), id="other keys do nothing"),
    pytest.param([judged(Verdict.PASS), *IDLE, saved("b")], (Start(ONE),), id="after a pass a save stays with it: n goes on"),
])
def test_each_event_has_its_actions(events: list[Event], actions: tuple[Action, ...]) -> None:
    """The action of the last event."""
    assert after(events)[1] == actions


def test_never_two_runs_at_once() -> None:
    """Whatever comes while a run is under way, no other starts before ``Finished``."""
    state, _ = begin("a")
    for event in [saved("b"), Pressed("n"), Pressed("r"), judged(Verdict.PASS), saved("c"), Pressed("h"), BEGAN, Stop()]:
        state, actions = step(state, event)
        assert not any(isinstance(action, Start) for action in actions)


def test_without_a_keyboard_a_save_after_a_pass_goes_on() -> None:
    """Nobody can press n: the next save is judged against the next milestone."""
    assert after([BEGAN, judged(Verdict.PASS), DONE, saved("b")], alone=True)[1] == (Start(ONE, ahead=True),)
    assert after([BEGAN, judged(Verdict.FAIL), DONE, saved("b")], alone=True)[1] == (Start(ONE),)


def test_panels_open_and_close() -> None:
    """A key opens its panel and closes it; a new verdict closes a hint, and leaves the log; q in between ends."""
    state, _ = after([*IDLE, Pressed("h")])
    assert state.panel == "hint"
    assert step(state, Pressed("h"))[0].panel == ""
    assert step(state, Pressed("t"))[0].panel == "trace"
    assert step(state, judged(Verdict.FAIL))[0].panel == ""
    log, _ = step(state, Pressed("l"))
    assert step(log, judged(Verdict.FAIL))[0].panel == "log"
    assert step(log, Pressed("q"))[1] == (Quit(0),)


def ended_by(path: str, times: int) -> tuple[WatchState, tuple[Action, ...]]:
    """So many runs, each ended by a change of this file."""
    events: list[Event] = []
    for number in range(times):
        events += [Began(f"k{number}", ONE, ""), saved(f"l{number}", path), DONE]
    return after(events[:-1])


def test_a_file_that_the_server_writes_does_not_end_runs_for_ever() -> None:
    """After a few runs in a row its changes count no more while a server runs; another file's still do."""
    assert ended_by("server.log", PATIENCE - 1)[1] == (CancelRun(),)
    state, actions = ended_by("server.log", PATIENCE)
    assert actions == ()
    assert state.own == {"server.log"}
    assert step(state, saved("x", "server.log"))[1] == ()
    assert step(state, saved("x", "server.py", "server.log"))[1] == (CancelRun(),)


def test_words_of_farewell_in_a_log_start_no_run() -> None:
    """A change just after a run, when the server ended, is as one during it; later it is a person's again."""
    state, _ = ended_by("server.log", PATIENCE)
    state, _ = step(state, Finished(200.0))
    assert step(state, saved("x", "server.log", at=200.2))[1] == ()

    state, actions = step(state, saved("y", "server.log", at=205.0))

    assert actions == (Start(ONE),)
    assert state.own == frozenset()


def test_different_files_saved_in_a_row_are_a_persons() -> None:
    """Many saves of different files during runs: each ends its run."""
    events: list[Event] = []
    for number in range(PATIENCE * 2):
        events += [Began(f"k{number}", ONE, ""), saved(f"l{number}", f"file{number}.py"), DONE]
    assert after(events[:-1])[1] == (CancelRun(),)
