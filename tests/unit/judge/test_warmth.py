"""What one run leaves running, the next one takes over: only if it still is what was left, and always as new."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.environments import warm
from orchestrator.errors import EnvironmentFault
from orchestrator.faults.proxy import Proxy
from orchestrator.judge.turns import MOST_JUDGES
from orchestrator.judge.warmth import Warmth
from orchestrator.machine import memory
from orchestrator.model import Verdict
from orchestrator.ownership import kept_spaces, leases, waiter, warm_spaces
from orchestrator.ownership.kept_spaces import KeptSpace
from orchestrator.ownership.warm_spaces import WarmSpace
from orchestrator.system.home import Home

WRONG = '@check\ndef test_words(): note("put old"); raise Failure("failed", "not-stored", "the words")\n'
EMPTY = """
    @check
    def test_nothing_is_left():
        if note("all"): raise Failure("failed", "not-empty", note("all"))
        note("put old")
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data", tmp_path / "state", tmp_path / "cache")


@pytest.fixture(autouse=True)
def waiters(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files for which somebody waits; no process is started."""
    asked: list[Path] = []

    def ensure(path: Path, pid: int, started: float) -> tuple[int, float]:
        asked.append(path)
        return 0, 0.0

    monkeypatch.setattr(waiter, "ensure", ensure)
    return asked


@pytest.fixture(autouse=True)
def tidy(world: Any, home: Home) -> Iterator[None]:
    """What the last run left goes at the end."""
    yield
    warm.end_all(home, world.engine)
    for name in [*world.engine.entries]:
        world.engine.remove(name, data=True)


@pytest.fixture
def runs(world: Any, home: Home) -> Any:
    """Judge once more, as `labs check` would; the report."""

    numbers = itertools.count(1)

    def once(judges: int = 1) -> Any:
        failed = [*kept_spaces.spaces(home).values()]
        world.warmth = Warmth(home, world.engine, "shop", failed)
        world.owner = dataclasses.replace(world.owner, environment=f"check-{next(numbers)}")

        def keep(result: Any, environment: str, marks: Any) -> None:
            kept_spaces.remember(home, KeptSpace(
                environment, "memory", str(world.folder), "shop", result.id, result.reason, 7, result.port, time.time(),
                {name: one.recipe for name, one in marks.items()},
                {name: one.incarnation for name, one in marks.items()}))

        world.keep = keep
        return world.judge(judges)

    return once


def verdicts(report: Any) -> list[Verdict]:
    return [one.verdict for one in report.milestones]


def test_the_next_run_has_the_services_of_the_last_one_emptied(world: Any, home: Home, runs: Any) -> None:
    """Nothing is made anew; what the service is stands in its report, too."""
    world.milestone("notes/one", EMPTY)

    first, second = runs(), runs()

    assert verdicts(first) == verdicts(second) == [Verdict.PASS], (first, second)
    assert len(world.engine.made) == 1
    assert second.products == first.products != {}
    (space,) = warm_spaces.spaces(home)
    assert 590 < space.seconds_left <= 600


def test_somebody_waits_for_its_end(home: Home, runs: Any, world: Any, waiters: list[Path]) -> None:
    """For the file that says until when it stays."""
    world.milestone("notes/one", EMPTY)
    runs()

    (space,) = warm_spaces.spaces(home)
    assert set(waiters) == {warm_spaces.path_of(home, space.environment)}


def test_the_space_of_a_failure_is_the_next_runs(world: Any, home: Home, runs: Any) -> None:
    """It waits for that run only; nobody can look into it afterwards, as always."""
    world.milestone("notes/one", WRONG)
    runs()
    ((environment, kept),) = kept_spaces.spaces(home).items()
    assert warm_spaces.spaces(home) == [], "it is kept, whatever the clock says"
    world.milestones.clear()
    world.milestone("notes/one", EMPTY)

    report = runs()

    assert verdicts(report) == [Verdict.PASS], report
    assert len(world.engine.made) == 1
    assert kept_spaces.spaces(home) == {}
    assert [space.environment for space in warm_spaces.spaces(home)] == [environment]
    assert kept.incarnations


def test_a_failure_in_it_is_kept_like_any_other(world: Any, home: Home, runs: Any) -> None:
    """The one after it takes it over again."""
    world.milestone("notes/one", WRONG)
    for _ in range(3):
        assert verdicts(runs()) == [Verdict.FAIL]
        assert len(kept_spaces.spaces(home)) == 1
        assert warm_spaces.spaces(home) == []
    assert len(world.engine.made) == 1


def test_what_somebody_works_in_is_left_to_them(world: Any, home: Home, runs: Any) -> None:
    """A `labs run` in the failed space: the check has services of its own."""
    world.milestone("notes/one", WRONG)
    runs()
    (environment,) = kept_spaces.spaces(home)

    with leases.lock(home, environment, wait=0):
        runs()

    assert len(world.engine.made) == 2
    assert environment in {one.spec.owner.environment for one in world.engine.entries.values()}


def restarted(world: Any) -> None:
    (name,) = world.engine.entries
    world.engine.stop(name)
    world.engine.start(name)


def other_settings(world: Any) -> None:
    world.recipes["notes"].compose_text = "services: {notes: {image: another}}"


def gone(world: Any) -> None:
    (name,) = world.engine.entries
    world.engine.remove(name, data=True)


def paused(world: Any) -> None:
    (name,) = world.engine.entries
    world.engine.pause(name)


@pytest.mark.parametrize("change", [restarted, other_settings, gone, paused])
def test_what_is_not_as_it_was_left_is_made_anew(world: Any, home: Home, runs: Any, change: Any) -> None:
    """And what is there of it goes."""
    world.milestone("notes/one", EMPTY)
    runs()
    change(world)

    assert verdicts(runs()) == [Verdict.PASS]
    assert len(world.engine.made) == 2
    assert len(world.engine.entries) == 1
    assert len(warm_spaces.spaces(home)) == 1


def test_what_cannot_be_emptied_is_made_anew(world: Any, runs: Any) -> None:
    """Somebody became more than it is, say."""
    world.milestone("notes/one", EMPTY)
    runs()
    world.recipes["notes"].broken_fresh = 1

    assert verdicts(runs()) == [Verdict.PASS]
    assert len(world.engine.made) == 2
    assert len(world.engine.entries) == 1


def test_where_a_port_of_a_link_was_taken_meanwhile_it_is_made_anew(
    world: Any, home: Home, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service may have told clients its link's address, which cannot be another one then."""
    world.milestone("notes/one", EMPTY)
    runs()
    opened = Proxy.open

    def busy(self: Proxy, *args: Any, ports: Any = None, **options: Any) -> Any:
        if ports:
            raise EnvironmentFault("taken by another program", code="port-busy")
        return opened(self, *args, ports=ports, **options)

    monkeypatch.setattr(Proxy, "open", busy)

    assert verdicts(runs()) == [Verdict.PASS]
    assert len(world.engine.made) == 2
    assert len(world.engine.entries) == len(warm_spaces.spaces(home)) == 1


def test_a_run_that_is_interrupted_leaves_nothing(world: Any, home: Home, runs: Any) -> None:
    """Neither new services nor those that it had taken over."""
    world.milestone("notes/one", EMPTY)

    def interrupt(milestone: str, phase: str) -> None:
        if phase == "space":
            raise KeyboardInterrupt

    for _ in range(2):
        world.heard.on_phase_do = interrupt
        assert runs().interrupted
        assert world.engine.entries == {}
        assert warm_spaces.spaces(home) == []
        world.heard.on_phase_do = lambda milestone, phase: None
        runs()


def test_judges_side_by_side_leave_one_space_each(world: Any, home: Home, runs: Any) -> None:
    """And take them over again."""
    slow = EMPTY.replace('note("put old")', 'note("put old"); time.sleep(0.3)')
    for name in ("one", "two", "three"):
        world.milestone(f"notes/{name}", slow)

    first = runs(judges=2)
    made = len(world.engine.made)
    second = runs(judges=2)

    assert verdicts(first) == verdicts(second) == [Verdict.PASS] * 3
    assert made == len(world.engine.made) == len(warm_spaces.spaces(home)) == 2


def test_no_more_stay_than_are_used(world: Any, home: Home, runs: Any) -> None:
    """Of those that several commands at the same time leave the oldest go."""
    world.milestone("notes/one", EMPTY)
    with ExitStack() as others:
        for _ in range(MOST_JUDGES):
            runs()
            (newest, *_) = warm_spaces.spaces(home)
            others.enter_context(leases.lock(home, newest.environment, wait=0))
        runs()
        assert len(warm_spaces.spaces(home)) == MOST_JUDGES + 1, "nobody's services are taken away"
    runs()

    assert len(warm_spaces.spaces(home)) == len(world.engine.entries) == MOST_JUDGES


def test_where_memory_is_short_they_go_first(world: Any, home: Home, runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of another lab, say: nobody is refused for services that nobody uses."""
    world.milestone("notes/one", EMPTY)
    runs()
    (space,) = warm_spaces.spaces(home)
    warm_spaces.remember(home, dataclasses.replace(space, lab="another"))
    monkeypatch.setattr(memory, "free_memory", lambda address="": 500 if world.engine.entries else 1500)

    assert verdicts(runs()) == [Verdict.PASS]
    assert [one.lab for one in warm_spaces.spaces(home)] == ["shop"]


def test_two_commands_never_have_the_same(world: Any, home: Home, runs: Any) -> None:
    """Whoever comes second finds nothing."""
    world.milestone("notes/one", EMPTY)
    runs()
    found: list[Any] = []
    asking = [threading.Thread(target=lambda: found.append(Warmth(home, world.engine, "shop").take(world.recipes)))
              for _ in range(2)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()

    assert [one is None for one in found].count(False) <= 1
    for one in found:
        if one is not None:
            one.lock.close()
    assert len(warm_spaces.spaces(home)) == 1


def test_a_torn_file_is_no_space(home: Home) -> None:
    """Its instances are the sweep's."""
    warm_spaces.remember(home, WarmSpace("check-a", "memory", "shop", time.time() + 60, {}, {}))
    warm_spaces.path_of(home, "check-a").write_text('{"v": 1, "environm', encoding="utf-8")

    assert warm_spaces.spaces(home) == []
    warm_spaces.forget_over(home)
    assert not warm_spaces.path_of(home, "check-a").exists()
