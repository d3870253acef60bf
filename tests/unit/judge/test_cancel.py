"""A run that another thread ends: nothing of it is left, and the venue is ready for the next run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.processes import processes_in

from orchestrator.judge import supervisor
from orchestrator.judge.request import RunRequest
from orchestrator.judge.venue import Venue
from orchestrator.model import Owner, Verdict, Workspace
from orchestrator.report.result import Report
from orchestrator.system.interrupt import Cancel
from orchestrator.workspace.select import PlannedMilestone

RIGHT = """
    @check
    def test_words():
        if note("all"): raise Failure("failed", "dirty", note("all"))
        note("put hello")
        if get("/words") != "hello": raise Failure()
"""


class Judging:
    """Runs at one venue, one after the other."""

    def __init__(self, world: Any, venue: Venue) -> None:
        self.world, self.venue = world, venue

    def run(self, cancel: Cancel) -> Report:
        world = self.world
        workspace = Workspace(world.folder / "workspace", "shop", world.build, world.run_argv)
        planned = tuple(PlannedMilestone(one, "asked") for one in world.milestones)
        request = RunRequest(world.lab(), workspace, planned, seed=7, cache=world.folder / "cache")
        return supervisor.judge(request, self.venue, engine_reason="test", listener=world.heard, cancel=cancel)


@pytest.fixture
def judging(world: Any) -> Iterator[Judging]:
    world.milestone("notes/one", RIGHT)
    scratch = world.folder / "scratch"
    scratch.mkdir()
    owner = Owner("check-unit", "1", "i", "lease", 1, 1.0, "judge")
    with Venue(world.lab(), engine=world.engine, recipes=world.recipes, owner=owner, folder=scratch) as venue:
        yield Judging(world, venue)


def ask_in(phase: str, seconds: float, world: Any) -> tuple[Cancel, list[float]]:
    """A wish to end that is said this long after the phase began; when it was said."""
    cancel, said = Cancel(), list[float]()

    def ask() -> None:
        said.append(time.monotonic())
        cancel.ask()

    def begin(_: str, name: str) -> None:
        if name == phase:
            threading.Timer(seconds, ask).start() if seconds else ask()

    world.heard.on_phase_do = begin
    return cancel, said


@pytest.mark.parametrize("seconds", [0.0, 0.3])
@pytest.mark.parametrize("phase", ["build", "space", "start", "checks", "end"])
def test_a_run_is_ended_in_each_phase_and_the_next_one_is_right(judging: Judging, phase: str, seconds: float) -> None:
    """No process is left of it; the very next run at the same venue passes, on the same instances."""
    world = judging.world
    script = world.folder / "checks" / "notes_one.child"
    source, run_argv = script.read_text(), world.run_argv
    if phase == "build":
        world.build = (("sleep", "30"),)
    if phase == "start":
        world.run_argv = ("sleep", "31")
        world.start_budget = 30.0
    if phase == "checks":
        script.write_text(source.replace('note("put hello")', 'note("put dirt"); time.sleep(32)'))
    cancel, said = ask_in(phase, 0.0 if phase in ("space", "end") else seconds, world)

    report = judging.run(cancel)

    assert time.monotonic() - said[0] < 3
    assert report.interrupted or phase == "end"
    assert processes_in(world.folder) == []

    world.build, world.run_argv = (), run_argv
    script.write_text(source)
    world.heard.on_phase_do = lambda milestone, name: None
    (result,) = judging.run(Cancel()).milestones

    assert result.verdict is Verdict.PASS, result
    assert len(world.engine.made) == 1
    assert processes_in(world.folder) == []


def test_a_run_is_ended_while_a_fault_holds(judging: Judging) -> None:
    """The fault is healed, the service is the same, the next run is right."""
    world = judging.world
    script = world.folder / "checks" / "notes_one.child"
    source = script.read_text()
    script.write_text(source.replace(
        'note("put hello")', 'call("fault.begin", kind="down", service="notes"); time.sleep(32)'))
    cancel, _ = ask_in("checks", 0.5, world)

    assert judging.run(cancel).interrupted

    script.write_text(source)
    world.heard.on_phase_do = lambda milestone, name: None
    (result,) = judging.run(Cancel()).milestones
    assert result.verdict is Verdict.PASS, result


def test_a_wish_from_before_the_run_ends_it_before_it_begins(judging: Judging) -> None:
    """Nothing of the server is started."""
    cancel = Cancel()
    cancel.ask()

    report = judging.run(cancel)

    assert report.interrupted
    assert [phase for _, phase in judging.world.heard.phases if phase not in ("build", "space")] == []
