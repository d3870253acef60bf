"""What does not fit into memory is said before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.memory import MemoryEngine, MemoryRecipe

from orchestrator import services
from orchestrator.environments.facade import Environments
from orchestrator.errors import EnvironmentFault
from orchestrator.machine import memory
from orchestrator.machine.memory import MB, Need, fit, free_memory, needed
from orchestrator.model import State
from orchestrator.system.home import find_home

POSTGRES, REDIS, SEARCH = (Need("postgres", "PostgreSQL", 60 * MB, 512 * MB), Need("redis", "Redis", 10 * MB, 256 * MB),
                           Need("search", "Elasticsearch", 1200 * MB, 2000 * MB))


def test_what_fits_is_ok() -> None:
    found = fit([POSTGRES, REDIS], 1000 * MB)

    assert (found.verdict, found.fitting) == ("ok", ("postgres", "redis"))


def test_what_fits_until_all_use_what_they_may_is_tight() -> None:
    """A limit is seldom reached: no reason to refuse."""
    assert fit([POSTGRES, REDIS], 500 * MB).verdict == "tight"


def test_what_does_not_fit_is_short_and_the_rest_is_named() -> None:
    """In the lab's order, each that still fits."""
    found = fit([POSTGRES, SEARCH, REDIS], 500 * MB)

    assert (found.verdict, found.fitting) == ("short", ("postgres", "redis"))
    assert str(found) == ("PostgreSQL, Elasticsearch and Redis need about 1.3 GB (at most 2.8 GB); 500 MB are free")
    assert str(fit([REDIS], 1 * MB)) == "Redis needs about 10 MB (at most 256 MB); 1 MB are free"


def test_where_memory_cannot_be_told_nothing_is_refused() -> None:
    found = fit([SEARCH], None)

    assert (found.verdict, found.fitting) == ("ok", ("search",))


@given(st.lists(st.integers(0, 100), max_size=6), st.none() | st.integers(0, 300))
def test_what_is_said_to_fit_fits(sizes: list[int], free: int | None) -> None:
    """Whatever the sizes: the named ones fit together, and all are named unless it is short."""
    needs = [Need(f"s{number}", "S", size) for number, size in enumerate(sizes)]
    found = fit(needs, free)

    assert free is None or sum(need.memory for need in needs if need.service in found.fitting) <= free
    assert (found.verdict == "short") == (len(found.fitting) < len(needs))


def test_a_services_need_is_of_all_its_nodes_and_its_container_has_a_limit() -> None:
    redis = services.recipe("redis")
    ring: Any = MemoryRecipe("ring", 7000, nodes=3)

    assert needed(redis, containers=True).limit == 256 * 2**20
    assert needed(redis, containers=False).limit == 0
    assert needed(ring, containers=False).memory == 3 * ring.memory


def test_another_machines_memory_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker Desktop's machine, a remote one: only a socket of this Linux is this machine's own."""
    assert free_memory("tcp://10.0.0.1:2376") is None
    assert free_memory("unix:///home/ada/.docker/desktop/docker.sock") is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert free_memory("unix:///var/run/docker.sock") is None
    monkeypatch.setattr(sys, "platform", "linux")
    assert (free_memory("unix:///var/run/docker.sock") or 0) > 0


# --- start ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environments:
    """Two services that need 1000 bytes each, where 1500 are free."""
    monkeypatch.setattr(memory, "free_memory", lambda address="": 1500)
    recipes: Any = {name: MemoryRecipe(name, 7000 + number) for number, name in enumerate(("one", "two"))}
    engine: Any = MemoryEngine()
    return Environments(engine, find_home({"LABS_HOME": str(tmp_path)}), recipes)


def test_start_refuses_what_does_not_fit_before_it_starts_anything(environments: Environments) -> None:
    """Each service's need, what is free, the command that fits."""
    with pytest.raises(EnvironmentFault) as raised:
        environments.start("play", "mine", ["one", "two"])

    assert raised.value.code == "memory-short"
    assert raised.value.hint == "labs start play one --name mine"
    assert [line.partition(":")[0] for line in raised.value.details] == ["One", "Two"]
    assert environments.instances() == []


def test_what_runs_already_is_not_refused(environments: Environments, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is not free any more, because it has it."""
    environments.start("play", "play", ["one"])
    monkeypatch.setattr(memory, "free_memory", lambda address="": 500)

    assert environments.start("play", "play", ["one"]).changes == ()
    assert environments.instance("play", "one").state is State.RUNNING
    with pytest.raises(EnvironmentFault, match="Two needs about"):
        environments.start("play", "play", ["one", "two"])
