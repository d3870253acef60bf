"""What the loop says while runs begin, end and begin over."""

from __future__ import annotations

import io
import queue
from types import SimpleNamespace

from orchestrator.watch.events import Began, Changed, Event, Finished, Stop
from orchestrator.watch.loop import Loop
from orchestrator.watch.show import Lines
from orchestrator.watch.view import IDLE, View

BEGAN = "judging postgres/crud ..."


class Runner:
    """Starts nothing; what each run would post is put into the queue when it is started or ended."""

    def __init__(self, events: queue.SimpleQueue[Event], runs: list[list[Event]]) -> None:
        self._events = events
        self._runs = runs

    def start(self, milestone: str, *, ahead: bool) -> None:
        for event in self._runs.pop(0):
            self._events.put(event)

    def cancel(self) -> None:
        self._events.put(Finished(1.0))


def said(runs: list[list[Event]]) -> list[str]:
    """What is told beside the verdicts, until the end."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    talk: list[str] = []
    loop = Loop(key="a", view=View("my-server"), runner=Runner(events, runs), keys=SimpleNamespace(there=False),
                show=Lines(io.StringIO(), talk.append), events=events, panels={})
    assert loop.run() == 130
    return talk


def test_nobody_waits_for_a_save_while_a_run_begins_over() -> None:
    """A save in the middle of a run ends it, and the next one begins at once: who reads the lines counts verdicts by it."""
    saved = Changed("b", frozenset({"server.py"}), 1.0)

    talk = said([[Began("a", "postgres/crud", ""), saved], [Began("b", "postgres/crud", ""), Finished(2.0), Stop()]])

    assert talk == [BEGAN, BEGAN, IDLE]
