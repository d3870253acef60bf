"""A run that ends in its middle, by Ctrl-C or an error of ours: nothing of it is left, and what is known is told."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.processes import processes_in

from orchestrator.model import Verdict

PRESSES: list[threading.Timer] = []
"""Presses of Ctrl-C that may still be under way."""


@pytest.fixture(autouse=True)
def no_press_is_left(as_in_the_command: None) -> Iterator[None]:
    """When a test ends, so do its presses of Ctrl-C."""
    yield
    while PRESSES:
        press = PRESSES.pop()
        press.cancel()  # one that was to start when the first one struck would strike in another test
        if press.is_alive():
            press.join()


CAUGHT_UNAWARES = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""A press may strike between the opening of a file and the moment at which Python knows its name. It is closed when it is
forgotten, which Python says as if nobody had meant to close it."""


def interrupt_after(seconds: float) -> None:
    """What pressing Ctrl-C twice does, a little later: a tenth of a second on, the first is being cleaned up."""
    for moment in (seconds, seconds + 0.1):
        press = threading.Timer(moment, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        PRESSES.append(press)  # before: the first press may strike while the second one is being started
        press.start()


@CAUGHT_UNAWARES
def test_ctrl_c_ends_everything_and_reports_what_is_known(world: Any) -> None:
    """Interrupted in the second milestone: the first one's verdict stays, all is gone in seconds."""
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", "@check\ndef test_sleeps(): time.sleep(60)\n")
    world.milestone("notes/three", world.RIGHT)
    began: list[float] = []

    def interrupt(milestone: str, phase: str) -> None:
        if (milestone, phase) == ("notes/two", "checks"):
            began.append(time.monotonic() + 0.5)
            interrupt_after(0.5)

    world.heard.on_phase_do = interrupt

    report = world.judge()

    assert time.monotonic() - began[0] < 7
    assert (report.interrupted, report.exit_code) == (True, 130)
    assert [result.verdict for result in report.milestones] == [Verdict.PASS, Verdict.ERROR, Verdict.ERROR]
    assert [result.reason for result in report.milestones[1:]] == ["interrupted"] * 2
    assert processes_in(world.folder) == []


@CAUGHT_UNAWARES
@pytest.mark.parametrize("phase", ["build", "space", "start", "checks", "end"])
def test_ctrl_c_at_any_phase_leaves_nothing(world: Any, phase: str) -> None:
    """Whatever is under way: every instance and process is gone when the report is there."""
    world.build = (("sleep", "30"),) if phase == "build" else ()
    world.milestone("notes/one", world.RIGHT)
    world.heard.on_phase_do = lambda _, name: interrupt_after(0.3 if phase == "build" else 0.02) if name == phase else None

    report = world.judge()

    assert report.interrupted
    assert world.engine.entries == {}
    assert processes_in(world.folder) == []


@CAUGHT_UNAWARES
def test_ctrl_c_while_a_check_waits_for_a_restart(world: Any) -> None:
    """A server that takes a minute to start again does not keep us."""
    source = (world.folder / "workspace" / "server.py").read_text()
    slow = "import os, time\nif os.path.exists('again'): time.sleep(60)\nopen('again', 'w').close()\n"
    (world.folder / "workspace" / "server.py").write_text(slow + source)
    world.start_budget = 60.0
    world.milestone("notes/one", "@check\ndef test_restart(): call('server.restart')\n")
    world.heard.on_phase_do = lambda _, name: interrupt_after(1.0) if name == "checks" else None
    began = time.monotonic()

    report = world.judge()

    assert report.interrupted
    assert time.monotonic() - began < 9
    assert processes_in(world.folder) == []


def test_an_error_of_ours_in_the_middle_leaves_nothing(world: Any) -> None:
    """An exception at any moment, here from the listener, goes through, and everything has ended."""
    world.milestone("notes/one", world.RIGHT)

    def fail(milestone: str, phase: str) -> None:
        if phase == "checks":
            raise RuntimeError("the terminal is gone")

    world.heard.on_phase_do = fail

    with pytest.raises(RuntimeError, match="terminal"):
        world.judge()
    assert world.engine.entries == {}
    assert processes_in(world.folder) == []
