"""Services that go on running after a check: used by the next one, seen, ended; gone by themselves, whoever was killed."""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from pathlib import Path

import pytest
from support.cli import Labs
from support.wait import until

from orchestrator.engines.choose import choose
from orchestrator.ownership import warm_spaces
from orchestrator.ownership.warm_spaces import WarmSpace
from orchestrator.system.home import find_home, installation_id, user_id
from orchestrator.system.processes import started_at

pytestmark = pytest.mark.e2e

ONE = ("check", "postgres/schema", "--only")


def left(labs: Labs) -> WarmSpace:
    (space,) = warm_spaces.spaces(find_home(labs.environment))
    return space


def judge_instances(labs: Labs) -> dict[str, str]:
    """Name -> which run of it this is, of all judge instances."""
    home = find_home(labs.environment)
    choice = choose(labs.engine, home=home)
    try:
        return {one.spec.name: one.incarnation
                for one in choice.engine.list(user=user_id(), installation=installation_id(home))
                if one.spec.owner.purpose == "judge"}
    finally:
        choice.engine.close()


def waits(space: WarmSpace) -> bool:
    """Whether somebody waits for its end."""
    return started_at(space.waiter) == space.waiter_started


def test_the_next_check_has_them_until_labs_stop(fresh_labs: Labs, shop: Path) -> None:
    """The very same; `status` says what runs, and for whom."""
    labs = fresh_labs
    assert "pass      postgres/schema" in labs.ok(*ONE, cwd=shop)
    first = judge_instances(labs)
    assert list(first)
    labs.ok(*ONE, cwd=shop)

    assert judge_instances(labs) == first
    assert "warm: MongoDB, PostgreSQL and Redis, for the next labs check of databases" in labs.ok("status")
    (told,) = labs.json("status")["data"]["warm"]
    services = ["mongodb", "postgres", "redis"]
    assert (told["lab"], told["services"], told["seconds_left"] > 500) == ("databases", services, True)
    space = left(labs)
    assert waits(space)

    assert "the next labs check" in labs.ok("stop")
    assert judge_instances(labs) == {}
    assert "warm" not in labs.ok("status")
    until(lambda: not waits(space), seconds=5)


def test_clean_names_them_and_takes_them(fresh_labs: Labs, shop: Path) -> None:
    """Like everything that it takes."""
    labs = fresh_labs
    labs.ok(*ONE, cwd=shop)

    asked = labs.run("clean")
    assert (asked.returncode, "what runs on for the next labs check" in asked.stderr) == (2, True), asked
    assert judge_instances(labs) != {}
    labs.ok("clean", "--yes")
    assert judge_instances(labs) == {}


def test_in_ci_nothing_stays(fresh_labs: Labs, shop: Path) -> None:
    """Nobody comes back there."""
    dataclasses.replace(fresh_labs, extra={"CI": "true"}).ok(*ONE, cwd=shop)

    assert judge_instances(fresh_labs) == {}


def test_when_their_time_is_over_they_end_by_themselves(fresh_labs: Labs, shop: Path) -> None:
    """Without another command of anybody's."""
    labs = fresh_labs
    labs.ok(*ONE, cwd=shop)
    home, space = find_home(labs.environment), left(labs)
    warm_spaces.remember(home, dataclasses.replace(space, until=time.time()))

    until(lambda: judge_instances(labs) == {}, seconds=40)
    until(lambda: not waits(space), seconds=10)
    assert list(home.warm_spaces.iterdir()) == []


def test_a_check_that_is_killed_leaves_them_for_ten_minutes_more(fresh_labs: Labs, shop: Path) -> None:
    """In the middle of a run on them; the next check has them as new, or new ones, with the same verdict."""
    labs = fresh_labs
    labs.ok(*ONE, cwd=shop)
    before = left(labs)
    running = labs.popen(*ONE, cwd=shop)
    until(lambda: left(labs).until > before.until, seconds=20)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=20)

    space = left(labs)
    assert 0 < space.seconds_left <= 600
    assert waits(space)
    assert "pass      postgres/schema" in labs.ok(*ONE, cwd=shop)
    assert len({name.rsplit("-", 1)[0] for name in judge_instances(labs)}) == 1
    assert json.loads(warm_spaces.path_of(find_home(labs.environment), space.environment).read_text())["lab"] == "databases"
