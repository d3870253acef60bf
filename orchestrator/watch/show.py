"""Two ways to show a watch: one screen that is drawn anew, and plain lines where nobody redraws anything."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from orchestrator.system.text import escape
from orchestrator.watch.events import Began, Event, Finished, MilestoneJudged, Noted, Pressed, RunFailed
from orchestrator.watch.view import (
    IDLE,
    Paint,
    Picture,
    View,
    after_lines,
    encoded,
    painted,
    picture,
    problem_of,
    regression_lines,
    verdict_lines,
)

STEPS = {" ": 1, "down": 1, "b": -1, "up": -1}
"""Keys that scroll and which way: the arrows by a line, the others by what a screen shows."""


class Show(Protocol):
    """What a watch says, and where."""

    def event(self, view: View, event: Event, panel: Sequence[str], /) -> None:
        """Something has happened, and this is the view after it."""

    def again(self) -> None:
        """The terminal is ours again after a pause, and whatever is on it is not ours."""


class Screen:
    """Draws on a terminal. The last picture stays when it is closed."""

    def __init__(self, stream: TextIO, *, keys: bool, paint: Paint) -> None:
        self._stream = stream
        self._keys = keys
        self._paint = paint
        self._encoding = terminal_encoding(stream)
        self._last = ""
        self._top: int | None = None
        """The line from which a person wants to read; ``None``: nobody has scrolled."""
        self._shown = Picture([])
        self._write("\x1b[2J")

    def event(self, view: View, event: Event, panel: Sequence[str]) -> None:
        """Draw, if the picture is another. Each line is cleared as it is written, so nothing flickers."""
        size = shutil.get_terminal_size()
        match event:
            case Pressed(key=key) if key in STEPS:
                self._top = self._shown.top + STEPS[key] * (1 if len(key) > 1 else self._shown.page)
            case Pressed() | Began() | MilestoneJudged(watched=True):
                self._top = None  # something else is shown
            case _:
                pass
        # A line as wide as the terminal would wrap on some.
        self._shown = picture(view, width=max(8, size.columns - 1), height=size.lines - 1, panel=panel,
                              keys=self._keys, top=self._top)
        self._top = None if self._top is None else self._shown.top
        lines = self._shown.lines
        text = "".join(f"{painted(encoded(line, self._encoding), self._paint)}\x1b[K\n" for line in lines)
        if text != self._last:
            self._last = text
            self._write(f"\x1b[H{text}\x1b[J")

    def again(self) -> None:
        """Draw everything at the next event."""
        self._last = ""
        self._write("\x1b[2J")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Lines:
    """Writes each verdict once, with no control character; talk goes to ``talk``."""

    def __init__(self, stream: TextIO, talk: Callable[[str], None]) -> None:
        self._stream = stream
        self._talk = talk
        self._noted: set[str] = set()

    def event(self, view: View, event: Event, _panel: Sequence[str]) -> None:
        """Say what is worth a line."""
        match event:
            case Began(milestone=milestone):
                self._talk(f"judging {milestone or 'what passed before'} ...")
            case MilestoneJudged(result=result, watched=True):
                lines = problem_of(result) if view.problem else verdict_lines(view)
                self._say([*lines, *after_lines(view), ""])
            case RunFailed():
                self._say([*view.problem, ""])
            case Noted(text=text) if text not in self._noted:
                self._noted.add(text)
                self._talk(f"note: {escape(text)}")
            case Finished():
                if view.regression:
                    self._say([*regression_lines(view), ""])
                if not view.running:
                    self._talk(IDLE)
            case _:
                pass

    def again(self) -> None:
        """Lines stay where they are."""

    def _say(self, lines: Sequence[str]) -> None:
        encoding = self._stream.encoding or "ascii"
        self._stream.write("".join(f"{encoded(escape(line), encoding)}\n" for line in lines))
        self._stream.flush()


def can_draw(stream: TextIO) -> bool:
    """Whether the stream is a terminal that knows how to be drawn on."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")


def terminal_encoding(stream: TextIO) -> str:
    """What the terminal understands: Python writes UTF-8 also where the locale says that nobody reads it."""
    known = stream.encoding or "ascii"
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = os.environ.get(name)
        if value:
            return known if "utf" in value.lower() else "ascii"
    return "ascii" if sys.platform == "linux" else known
