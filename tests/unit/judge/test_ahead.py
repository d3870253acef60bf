"""What is made ready between two runs is used by the next one, if it is still good."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support.wait import until

from orchestrator.judge import supervisor
from orchestrator.judge.child import Child
from orchestrator.judge.child_process import Spawned
from orchestrator.judge.request import RunRequest
from orchestrator.judge.venue import Venue
from orchestrator.model import Milestone, Owner, Verdict, Workspace
from orchestrator.report.result import CheckResult, MilestoneResult
from orchestrator.workspace.select import PlannedMilestone

CLEAN = """
    @check
    def test_words():
        if note("all"): raise Failure("failed", "dirty", note("all"))
        note("put dirt")
        if get("/words") != "dirt": raise Failure()
        return str(os.getpid())
"""


class Judging:
    """Runs at one venue."""

    def __init__(self, world: Any, venue: Venue) -> None:
        self.world, self.venue = world, venue

    @property
    def milestone(self) -> Milestone:
        one: Milestone = self.world.milestones[0]
        return one

    def run(self) -> MilestoneResult:
        (result,) = self._judge(self.milestone)
        return result

    def run_all(self) -> tuple[MilestoneResult, ...]:
        return self._judge(*self.world.milestones)

    def _judge(self, *milestones: Milestone) -> tuple[MilestoneResult, ...]:
        world = self.world
        workspace = Workspace(world.folder / "workspace", "shop", (), world.run_argv)
        planned = tuple(PlannedMilestone(milestone, "next") for milestone in milestones)
        request = RunRequest(world.lab(), workspace, planned, seed=7, cache=world.folder / "cache")
        return supervisor.judge(request, self.venue, engine_reason="test", listener=world.heard).milestones

    def prepare(self) -> int:
        """Make ready; the pid of the child that waits."""
        supervisor.prepare(self.venue, self.milestone)
        waiting = self.venue.ahead._waiting
        assert waiting is not None
        return waiting[2]._process.pid


@pytest.fixture
def judging(world: Any) -> Iterator[Judging]:
    world.milestone("notes/one", CLEAN)
    scratch = world.folder / "scratch"
    scratch.mkdir()
    owner = Owner("check-unit", "1", "i", "lease", os.getpid(), 1.0, "judge")
    with Venue(world.lab(), engine=world.engine, recipes=world.recipes, owner=owner, folder=scratch) as venue:
        yield Judging(world, venue)


def child_of(result: MilestoneResult) -> int:
    """The pid of the child that judged."""
    assert result.verdict is Verdict.PASS, result
    return int(result.checks[0].evidence[0])


def test_the_waiting_child_judges_the_next_run(judging: Judging) -> None:
    """Its imports are done already; the space was emptied once, and is empty."""
    judging.run()
    flushed = counted(judging.world.recipes["notes"])
    pid = judging.prepare()

    assert child_of(judging.run()) == pid
    assert flushed() == 1
    assert child_of(judging.run()) != pid
    assert flushed() == 2


def counted(recipe: Any) -> Callable[[], int]:
    """How often the service is emptied from now on."""
    real, times = recipe.fresh, list[float]()

    def fresh(*args: Any) -> None:
        times.append(time.monotonic())
        real(*args)

    recipe.fresh = fresh
    return lambda: len(times)


def killed(judging: Judging, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    waiting = judging.venue.ahead._waiting
    assert waiting is not None
    until(lambda: not waiting[2].alive())


def edited(judging: Judging, pid: int) -> None:
    path = judging.milestone.checks[0]
    path.write_text(path.read_text() + "# the lab's author was here\n")


def another_fixture(judging: Judging, pid: int) -> None:
    path = judging.world.lab().folder / "checks/fixtures/shop.py"
    path.parent.mkdir(parents=True)
    path.touch()


@pytest.mark.parametrize("spoil", [killed, edited, another_fixture])
def test_a_child_that_is_no_longer_good_is_ended_and_another_started(
    judging: Judging, spoil: Callable[[Judging, int], None]
) -> None:
    """It died, or has loaded checks that are others now."""
    judging.run()
    pid = judging.prepare()
    spoil(judging, pid)

    assert child_of(judging.run()) != pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_service_that_was_restarted_while_we_waited_is_emptied_again(judging: Judging) -> None:
    """What was made ready is not believed: the service is asked which run of it this is."""
    judging.run()
    judging.prepare()
    flushed = counted(judging.world.recipes["notes"])
    name = judging.world.engine.made[0].name
    judging.world.engine.stop(name)
    judging.world.engine.entries[name].words.append("somebody-elses")
    judging.world.engine.start(name)

    assert judging.run().verdict is Verdict.PASS
    assert flushed() == 1


def test_a_service_that_is_gone_is_made_again(judging: Judging) -> None:
    """Removed while nobody looked: another instance, and the verdict is the same."""
    judging.run()
    judging.prepare()
    judging.world.engine.remove(judging.world.engine.made[0].name, data=True)

    assert judging.run().verdict is Verdict.PASS
    assert len(judging.world.engine.made) == 2


def test_another_milestone_leaves_the_child_waiting(judging: Judging) -> None:
    """What passed before is judged in between with children of its own."""
    judging.world.milestone("notes/two", CLEAN)
    first, second = judging.world.milestones
    judging.world.milestones = [first]
    judging.run()
    pid = judging.prepare()
    judging.world.milestones = [second]
    judging.run()
    judging.world.milestones = [first]

    assert child_of(judging.run()) == pid


def test_the_next_milestones_child_starts_while_the_checks_of_this_one_run(judging: Judging) -> None:
    """It waits when its turn comes; after the last milestone nobody waits."""
    world, waited = judging.world, dict[str, int]()
    world.milestone("notes/two", CLEAN)
    heard, told = world.heard, world.heard.on_check

    def on_check(milestone: str, result: CheckResult) -> None:
        waiting = judging.venue.ahead._waiting
        waited[milestone] = waiting[2]._process.pid if waiting is not None else 0
        told(milestone, result)

    heard.on_check = on_check
    one, two = judging.run_all()

    assert child_of(one) not in waited.values()
    assert waited == {"notes/one": child_of(two), "notes/two": 0}


def test_the_end_of_the_venue_ends_the_waiting_child(world: Any) -> None:
    """Left without another run, nothing is left; and nothing is prepared where no service was started."""
    world.milestone("notes/one", CLEAN)
    owner = Owner("check-unit", "1", "i", "lease", os.getpid(), 1.0, "judge")
    with Venue(world.lab(), engine=world.engine, recipes=world.recipes, owner=owner, folder=world.folder) as venue:
        supervisor.prepare(venue, world.milestones[0])
        assert venue.ahead.take(world.milestones[0]) is None
        judging = Judging(world, venue)
        judging.run()
        pid = judging.prepare()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_alive_does_not_reap() -> None:
    """Asked twice after the child's end, the answer is the same, and ``close`` finds its group."""
    import sys
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        session = Child(partial(Spawned, lambda descriptor: ([sys.executable, "-c", "pass"], {})), folder=Path(folder), name="x")
        until(lambda: not session.alive())
        assert not session.alive()
        session.close()
