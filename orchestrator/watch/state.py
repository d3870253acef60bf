"""What watching does next: from a state and an event to a state and actions. Pure.

Never two runs at once: a change ends the run that is under way, and the next one starts when that has ended. A server
that writes into its own folder would so never get a verdict; a file that ends run after run is therefore taken for the
server's own, and its changes count again as soon as it changes while no server runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.model import Verdict
from orchestrator.watch.events import Began, Changed, Event, Finished, Gone, MilestoneJudged, Pressed, Stop

Panel = Literal["", "hint", "trace", "log"]
PANELS: dict[str, Panel] = {"h": "hint", "t": "trace", "l": "log"}
GONE_CODE = 3
TAIL = 0.5
"""Seconds after a run in which a change may still be the server's own: words of farewell in a log."""
PATIENCE = 4
"""Runs in a row that the same files end before they are taken for the server's own."""


@dataclass(frozen=True, slots=True)
class Start:
    """Judge now. ``milestone``: the watched one, ``""`` for the next; ``ahead``: the one after it instead."""

    milestone: str
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class CancelRun:
    """End the run that is under way."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Nothing runs any more: end with this exit code."""

    exit_code: int


Action = Start | CancelRun | Quit


@dataclass(frozen=True, slots=True)
class WatchState:
    """``key``: the newest content that is known; ``own``: files that the server itself writes while it runs."""

    key: str
    milestone: str = ""
    passed: bool = False
    alone: bool = False
    """Nobody can press a key: after a pass, the next save goes on to the next milestone."""
    panel: Panel = ""
    running: bool = False
    again: bool = False
    ahead: bool = False
    """With ``again``: when the cancelled run has ended, start over; with ``ahead`` at another milestone."""
    ending: int | None = None
    ended_at: float = 0.0
    streak: int = 0
    suspects: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()


Step = tuple[WatchState, tuple[Action, ...]]


def begin(key: str, *, alone: bool = False) -> Step:
    """The first run."""
    return WatchState(key, alone=alone, running=True), (Start(""),)


def step(state: WatchState, event: Event) -> Step:
    """What the event changes, and what is to be done about it."""
    match event:
        case Changed():
            return _changed(state, event)
        case Began(key=key, milestone=milestone):
            return replace(state, key=key, milestone=milestone, passed=False), ()
        case MilestoneJudged(result=result, watched=True):
            # What a hint or a trace said was about the verdict before.
            kept = state.panel if state.panel == "log" or result.verdict is Verdict.INVALID else ""
            return replace(state, panel=kept, passed=result.verdict is Verdict.PASS), ()
        case Finished(at=at):
            return _finished(replace(state, running=False, ended_at=at))
        case Pressed(key=key):
            return _pressed(state, key)
        case Stop(exit_code=code):
            return _end(state, code)
        case Gone():
            return _end(state, GONE_CODE)
        case _:
            return state, ()


def _changed(state: WatchState, event: Changed) -> Step:
    if event.key == state.key:
        return state, ()
    state = replace(state, key=event.key)
    if not state.running and event.at - state.ended_at > TAIL:
        # No server ran: it was a person, whatever was thought of these files before.
        return _run(replace(state, own=state.own - event.paths, streak=0, suspects=frozenset()))
    if event.paths and event.paths <= state.own:
        return state, ()
    same = event.paths & state.suspects
    state = replace(state, streak=state.streak + 1 if same else 1, suspects=same or event.paths)
    if state.streak >= PATIENCE:
        state = replace(state, own=state.own | state.suspects, streak=0, suspects=frozenset())
        if event.paths <= state.own:
            return state, ()
    return _run(state)


def _pressed(state: WatchState, key: str) -> Step:
    if state.ending is not None:
        return state, ()
    if key == "q":
        return _end(state, 0)
    if key in ("n", "r"):
        return _run(replace(state, streak=0, suspects=frozenset(), panel=""), ahead=key == "n")
    if key in PANELS:
        return replace(state, panel="" if state.panel == PANELS[key] else PANELS[key]), ()
    return state, ()


def _run(state: WatchState, *, ahead: bool = False) -> Step:
    """Judge what is there now; what is under way is ended first."""
    if state.ending is not None:
        return state, ()
    ahead = ahead or (state.alone and state.passed)
    if not state.running:
        return replace(state, running=True), (Start(state.milestone, ahead),)
    cancel = () if state.again else (CancelRun(),)
    return replace(state, again=True, ahead=state.ahead or ahead), cancel


def _finished(state: WatchState) -> Step:
    if state.ending is not None:
        return state, (Quit(state.ending),)
    if state.again:
        start = Start(state.milestone, state.ahead)
        return replace(state, running=True, again=False, ahead=False), (start,)
    return state, ()


def _end(state: WatchState, code: int) -> Step:
    if state.ending is not None:
        return state, ()
    state = replace(state, ending=code, again=False)
    return state, (CancelRun(),) if state.running else (Quit(code),)
