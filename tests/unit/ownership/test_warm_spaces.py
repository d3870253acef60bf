"""Services that run on between commands: left alone while they are young or in use, swept afterwards, whoever was killed."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from support.memory import MemoryEngine
from support.wait import until

from orchestrator.model import Credentials, Instance, InstanceSpec, Owner, State
from orchestrator.ownership import leases, waiter, warm_spaces
from orchestrator.ownership.sweep import sweep
from orchestrator.ownership.warm_spaces import WarmSpace
from orchestrator.system.home import Home, installation_id, user_id
from orchestrator.system.processes import started_at

LEFT = "labs-check-a-redis"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "state", tmp_path)


@pytest.fixture
def engine(home: Home) -> MemoryEngine:
    """With one instance of a command that ended long ago."""
    engine = MemoryEngine()
    owner = Owner("check-a", user_id(), installation_id(home), "0123456789abcdef", 1, 0.0, "judge")
    engine.instances[LEFT] = Instance(InstanceSpec("redis", LEFT, "", "databases", owner, Credentials("a", "b", "c", "d", "e"),
                                                   6379, False, "c"), State.RUNNING)
    return engine


def space(seconds: float) -> WarmSpace:
    return WarmSpace("check-a", "memory", "databases", time.time() + seconds, {"redis": "r"}, {"redis": "i"})


def test_a_young_one_is_left_alone(home: Home, engine: MemoryEngine) -> None:
    """By every command that sweeps."""
    warm_spaces.remember(home, space(60))

    assert sweep(home, {"memory": engine}) == sweep(home, {"memory": engine}) == ()
    assert warm_spaces.spaces(home) == [warm_spaces.of(home, "check-a")]


def test_one_whose_time_is_over_is_swept(home: Home, engine: MemoryEngine) -> None:
    """Its file goes with it."""
    warm_spaces.remember(home, space(-1))

    assert sweep(home, {"memory": engine}) == (LEFT,)
    assert list(home.warm_spaces.iterdir()) == []


def test_one_in_which_a_command_works_is_left_alone_however_old(home: Home, engine: MemoryEngine) -> None:
    """A run may take longer than that. A command that was killed holds no lock any more."""
    warm_spaces.remember(home, space(-1))
    with leases.lock(home, "check-a", wait=0):
        assert sweep(home, {"memory": engine}) == ()

    assert sweep(home, {"memory": engine}) == (LEFT,)


def test_the_waiter_lives_as_long_as_the_file(home: Home) -> None:
    """Asked for again, it is the same one."""
    warm_spaces.remember(home, space(60))
    path = warm_spaces.path_of(home, "check-a")
    pid, started = waiter.ensure(path, 0, 0.0)
    try:
        assert started_at(pid) == started != 0.0
        assert waiter.ensure(path, pid, started) == (pid, started)
    finally:
        waiter.end(pid, started)

    until(lambda: _reaped(pid), seconds=5)
    again = waiter.ensure(path, pid, started)
    assert again != (pid, started)
    warm_spaces.forget(home, "check-a")
    waiter.end(*again)
    until(lambda: _reaped(again[0]), seconds=5)


def test_nobody_else_is_ended_in_a_waiters_place() -> None:
    """Its number may be another process's by now."""
    waiter.end(os.getpid(), (started_at(os.getpid()) or 0.0) - 1)


def test_when_the_time_is_over_it_becomes_a_command(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any command sweeps: `labs status` does nothing else that anybody would notice."""
    told = tmp_path / "told"
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" > {told}.new && mv {told}.new {told}\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(waiter, "PROGRAM", f"import sys; sys.executable = {str(program)!r}\n{waiter.PROGRAM}")
    warm_spaces.remember(home, space(0.2))

    pid, _ = waiter.ensure(warm_spaces.path_of(home, "check-a"), 0, 0.0)

    until(told.exists, seconds=10)
    assert told.read_text().split() == ["-m", "orchestrator", "status", "--json"]
    until(lambda: _reaped(pid), seconds=5)


def test_a_space_that_was_used_again_goes_on(home: Home, engine: MemoryEngine) -> None:
    """Its time is counted from the last command."""
    warm_spaces.remember(home, space(-1))
    found = warm_spaces.of(home, "check-a")
    assert found is not None
    warm_spaces.remember(home, dataclasses.replace(found, until=time.time() + 60))

    assert sweep(home, {"memory": engine}) == ()


def _reaped(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG) != (0, 0)
