"""The loop in the main thread: takes events one by one, asks the state machine, acts, shows. Nothing else acts."""

from __future__ import annotations

import contextlib
import queue
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

from orchestrator.report.result import Report
from orchestrator.system.interrupt import SIGNALS
from orchestrator.watch.events import Event, Finished, Noted, Redraw, Stop
from orchestrator.watch.keys import Keys
from orchestrator.watch.run import Runner
from orchestrator.watch.show import Show
from orchestrator.watch.state import CancelRun, Panel, Quit, Start, WatchState, begin, step
from orchestrator.watch.view import View, begun_over, fold

TICK = 0.25
"""Seconds after which a wait looks up: a signal that another thread got does not end a wait."""
OWN = "{} changes while your server runs, so a change of it alone starts no run; r judges again"

Panels = Mapping[Panel, Callable[[], Sequence[str]]]
Post = Callable[[Event], None]


class Loop:
    """One watch, from its first run until somebody ends it."""

    def __init__(self, *, key: str, view: View, runner: Runner, keys: Keys, show: Show, panels: Panels,
                 events: queue.SimpleQueue[Event]) -> None:
        self._view = view
        self._runner = runner
        self._keys = keys
        self._show = show
        self._panels = panels
        self._events = events
        self._key = key
        self.report: Report | None = None
        """Of the last run that came to its end."""
        self.runs = 0
        self.milestone = ""
        """The one that is watched now; empty before the first run."""
        self._opened: tuple[str, Sequence[str]] = ("", ())

    def run(self) -> int:
        """Watch until the end; the exit code."""
        state, actions = begin(self._key, alone=not self._keys.there)
        event: Event = Redraw()
        while True:
            self._view = fold(self._view, event)
            if isinstance(event, Finished) and state.running:
                self._view = begun_over(self._view)
            if isinstance(event, Finished) and event.report is not None:
                self.report, self.runs = event.report, self.runs + 1
            if isinstance(event, Redraw) and event.resumed:
                self._keys.take()
                self._show.again()
            self._show.event(self._view, event, self._panel(state))
            for action in actions:
                match action:
                    case Start(milestone=milestone, ahead=ahead):
                        self._runner.start(milestone, ahead=ahead)
                    case CancelRun():
                        self._runner.cancel()
                    case Quit(exit_code=code):
                        return code
            event = self._next(state)
            before = state.own
            state, actions = step(state, event)
            for path in sorted(state.own - before):
                self._events.put(Noted(OWN.format(path)))

    def _next(self, state: WatchState) -> Event:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=TICK)
            if state.panel == "log":
                return Redraw()

    def _panel(self, state: WatchState) -> Sequence[str]:
        """A panel's lines. Only the log goes on while it is open; a hint is asked for once each time it is opened."""
        self.milestone = state.milestone
        if not state.panel:
            self._opened = ("", ())
        elif state.panel == "log" or self._opened[0] != state.panel:
            self._opened = (state.panel, self._panels[state.panel]())
        return self._opened[1]


@contextlib.contextmanager
def signals_to(post: Post) -> Iterator[None]:
    """While the block runs, signals are events: nothing is interrupted in the middle, the loop ends in order.

    A signal that whoever started us ignores (``nohup``) stays ignored. Main thread only.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        post(Stop())

    def resized(_signal: int, _frame: FrameType | None) -> None:
        post(Redraw())

    def resumed(_signal: int, _frame: FrameType | None) -> None:
        post(Redraw(resumed=True))

    wanted = {number: stop for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    wanted |= {signal.SIGWINCH: resized, signal.SIGCONT: resumed}
    before = {number: signal.getsignal(number) for number in wanted}
    try:
        for number, handler in wanted.items():
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)

