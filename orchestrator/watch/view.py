"""What a person sees of a watch: folded from events, then laid out as lines. Pure; nothing here knows a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from orchestrator.model import Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.report.terminal import milestone_line, milestone_text
from orchestrator.system.tail import last_lines
from orchestrator.system.text import escape, fit
from orchestrator.watch.events import Began, Changed, Event, Finished, MilestoneJudged, Noted, Phase, RunFailed

BUILD = frozenset({"toolchain-missing", "build-failed", "build-timeout"})
"""Reasons for which there is no server to judge: the last verdict stays in view."""
IDLE = "waiting for a save"
AGAIN = "judging what was saved meanwhile"
KEYS = ("n next", "h hint", "t trace", "l log", "r again", "q quit")
LOG_LINES = 12
LEAST_HEIGHT, ROOMY = 6, 12
"""Lines of a screen: fewer are taken for these; from ``ROOMY`` on there is room for empty ones."""
Paint = Callable[[str, str], str]

COLOURS = (
    (re.compile(r"\s*(pass)\b"), "green"), (re.compile(r"\s*(FAIL|TIMEOUT|INVALID)\b"), "red"),
    (re.compile(r"\s*(ERROR|blocked|unjudged)\b"), "yellow"), (re.compile(r"\s*(brief|next|note):"), "cyan"),
    (re.compile(r"\s*(error):"), "red"),
)
PLAIN = str.maketrans({"·": "-", "…": "...", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "→": "->"})
"""For a terminal that knows ASCII only."""


@dataclass(frozen=True, slots=True)
class View:
    """What is known: the last verdict, what is wrong since then, what goes on now."""

    title: str
    status: str = IDLE
    result: MilestoneResult | None = None
    regression: tuple[MilestoneResult, ...] = ()
    problem: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    saved_at: float | None = None
    seconds: float | None = None
    """From the save to the verdict."""
    done: bool = False
    """Every milestone has passed, and nothing else is to be watched."""
    running: bool = False


def fold(view: View, event: Event) -> View:
    """The view after the event."""
    match event:
        case Changed(at=at):
            return replace(view, saved_at=at)
        case Began(milestone=milestone):
            return replace(view, running=True, status=f"judging {milestone or 'what passed before'}",
                           regression=(), done=not milestone, result=view.result if milestone else None)
        case Phase(milestone=milestone, name=name):
            return replace(view, status=f"{milestone}: {name}")
        case MilestoneJudged(result=result, watched=True, at=at):
            seconds = None if view.saved_at is None else max(0.0, at - view.saved_at)
            view = replace(view, seconds=seconds, saved_at=None)
            if result.verdict is Verdict.INVALID and result.reason in BUILD:
                return replace(view, problem=problem_of(result))
            return replace(view, result=result, problem=())
        case MilestoneJudged(result=result):
            return replace(view, regression=(*view.regression, result))
        case RunFailed(error=error):
            return replace(view, problem=(f"error: {error.message}", *(f"  {line}" for line in error.details),
                                          *((f"next: {error.hint}",) if error.hint else ())))
        case Noted(text=text):
            return view if text in view.notes else replace(view, notes=(*view.notes, text))
        case Finished():
            return replace(view, running=False, status=IDLE)
        case _:
            return view


def begun_over(view: View) -> View:
    """A run has ended, and the next one begins at once: nobody waits for a save."""
    return replace(view, running=True, status=AGAIN)


def problem_of(result: MilestoneResult) -> tuple[str, ...]:
    """Why there is no server to judge: what the tool said."""
    log = [f"  | {line}" for line in last_lines(result.server_log.splitlines(), LOG_LINES)]
    return tuple(f"INVALID  {result.message or result.reason}".splitlines()) + tuple(log)


def verdict_lines(view: View) -> list[str]:
    """The last verdict with all its details."""
    if view.result is not None:
        return milestone_text(view.result).splitlines()
    return ["Every milestone of this lab has passed."] if view.done else []


def screen_lines(view: View, *, width: int, room: int) -> list[str]:
    """``verdict_lines`` as lines of this width; if they need more than ``room``, the failed checks stand first.

    Of several failed checks all are named then, before the details of the first one fill the screen.
    """
    lines = _fitted(verdict_lines(view), width)
    if view.result is None or len(lines) <= room:
        return lines
    bad = [one for one in view.result.checks if one.verdict is not Verdict.PASS]
    good = [one for one in view.result.checks if one.verdict is Verdict.PASS]
    head, *rest = milestone_text(replace(view.result, checks=(*bad, *good))).splitlines()
    named = [f"{len(bad)} checks failed:", *(f"  - {one.title}" for one in bad), ""] if len(bad) > 1 else []
    return _fitted([head, *named, *rest], width)


def _fitted(texts: Iterable[str], width: int) -> list[str]:
    return [line for text in texts for line in fit(text, width)]


def after_lines(view: View) -> list[str]:
    """How fast the verdict came, what became of the milestones that passed before, what to do after a pass."""
    lines: list[str] = []
    if view.seconds is not None:
        lines += ["", f"{view.seconds:.1f} s from the save to the verdict"]
    if view.regression:
        lines += ["", *regression_lines(view)]
    if view.result is not None and view.result.verdict is Verdict.PASS and not view.running:
        lines += ["", "next: press n to go on to the next milestone"]
    return lines


def regression_lines(view: View) -> list[str]:
    """What became of the milestones that passed before: those that no longer do, a line each, and a count."""
    bad = [one for one in view.regression if one.verdict is not Verdict.PASS]
    count = len(view.regression) - len(bad)
    return [*(milestone_line(one) for one in bad),
            f"{count} of {len(view.regression)} that passed before still pass"]


@dataclass(frozen=True, slots=True)
class Picture:
    """The lines of a screen. Of what can be scrolled ``top`` is the first line shown, ``page`` how many are shown."""

    lines: list[str]
    top: int = 0
    page: int = 1


def picture(view: View, *, width: int, height: int, panel: Sequence[str] = (), keys: bool = True,
            top: int | None = None) -> Picture:
    """The whole screen: at most ``height`` lines of at most ``width`` columns, plain text.

    What can be scrolled (the panel, else the verdict) is shown from line ``top`` on, as far as there is one.
    Without ``top`` a verdict is shown from its beginning, a panel up to its end.
    """
    height = max(height, LEAST_HEIGHT)
    status, foot = fit(escape(f"labs watch: {view.title} · {view.status}"), width), fit("   ".join(KEYS), width)
    if height < ROOMY:
        status, foot = status[:1], foot[:1]
    else:
        status, foot = [*status[:2], ""], ["", *foot[:2]]
    foot = foot if keys else []
    room = max(1, height - len(status) - len(foot))
    shown = _fitted(map(escape, panel), width)
    if shown:
        # A panel is asked for: of the verdict its first line is enough.
        head = [*_fitted(verdict_lines(view)[:1], width)[:2], ""]
        part = scrolled(shown, max(1, room - len(head)), len(shown) if top is None else top, width, keys=keys)
        body = [*head, *part.lines]
    else:
        below = _fitted([*map(escape, view.problem), *(f"note: {escape(text)}" for text in view.notes)], width)
        below = below[: max(1, room * 2 // 3)]
        below = [*_fitted(after_lines(view), width), *([""] if below else []), *below]
        left = max(1, room - len(below))
        part = scrolled(screen_lines(view, width=width, room=left), left, top or 0, width, keys=keys)
        body = [*part.lines, *below]
    return replace(part, lines=[*status, *body[:room], *foot])


def scrolled(lines: list[str], room: int, top: int, width: int, *, keys: bool) -> Picture:
    """As many of the lines as there is room for; where that is not all, the last line says which and how to go on."""
    if len(lines) <= room:
        return Picture(lines, 0, room)
    page = max(1, room - 1)
    top = min(max(0, top), len(lines) - page)
    ways = "   space down   b up" if keys else ": labs check"
    said = f"-- lines {top + 1} to {top + page} of {len(lines)}{ways}"
    return Picture([*lines[top:top + page], *([said[:width]] if room > 1 else [])], top, page)


def painted(line: str, paint: Paint) -> str:
    """The line with its leading word of verdict in colour."""
    for pattern, colour in COLOURS:
        found = pattern.match(line)
        if found:
            return line[: found.start(1)] + paint(found.group(1), colour) + line[found.end(1):]
    return line


def encoded(text: str, encoding: str) -> str:
    """The text for a stream of this encoding: nothing that it cannot say."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(PLAIN).encode("ascii", "backslashreplace").decode()
    return text
