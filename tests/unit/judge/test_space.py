"""The judge space by itself: fresh means fresh, closed means gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.errors import EnvironmentFault
from orchestrator.faults.proxy import Proxy
from orchestrator.judge.space import Space
from orchestrator.model import Owner, Ready

OWNER = Owner("check-space", "1", "i", "lease", 1, 1.0, "judge")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as made:
        yield made


@pytest.fixture
def space(world: Any, proxy: Proxy) -> Iterator[Space]:
    """A space of two services, begun by the test."""
    recipe = world.recipes["notes"]
    made = Space(world.engine, [recipe, type(recipe)("cache")], lab="shop", owner=OWNER, proxy=proxy)
    yield made
    made.close()


def test_fresh_heals_links_and_counts_from_zero(space: Space, proxy: Proxy) -> None:
    """A link that is down, and connections that were counted, are as new for the next attempt."""
    space.begin()
    space.opened()
    space.fresh()
    seat = space.seat("notes")
    assert seat is not None
    assert seat.link is not None
    assert isinstance(seat.recipe.probe(seat.link, seat.spec.credentials), Ready)
    assert proxy.opened("notes") == 1
    proxy.down("notes")

    space.fresh()

    assert proxy.opened("notes") == 0
    assert isinstance(seat.recipe.probe(seat.link, seat.spec.credentials), Ready)


def test_every_instance_carries_the_owner_and_a_port_of_its_own(space: Space, world: Any) -> None:
    """The caller's lease is on everything; nothing is kept; the ports differ."""
    space.begin()
    space.opened()

    assert [spec.owner for spec in world.engine.made] == [OWNER, OWNER]
    assert not any(spec.keep_data for spec in world.engine.made)
    assert len({spec.port for spec in world.engine.made}) == 2
    assert {spec.name for spec in world.engine.made} == {"labs-check-space-notes", "labs-check-space-cache"}


def test_services_are_started_side_by_side(space: Space, world: Any) -> None:
    """Each of the two waits, while it is created, until the other is being created, too."""
    both = threading.Barrier(2, timeout=10)
    create = world.engine.create
    world.engine.create = lambda spec, recipe: (both.wait(), create(spec, recipe))

    space.begin()
    space.opened()

    assert len(world.engine.entries) == 2


def test_close_while_a_service_is_being_created_leaves_nothing(space: Space, world: Any) -> None:
    """The engine makes an object after we asked it to remove it: the second look finds it."""
    creating = threading.Semaphore(0)
    create = world.engine.create

    def slow(spec: Any, recipe: Any) -> None:
        creating.release()
        time.sleep(0.3)  # the engine is slow; there is nothing to wait for
        create(spec, recipe)

    world.engine.create = slow
    space.begin()
    assert all(creating.acquire(timeout=10) for _ in range(2))

    space.close()

    assert len(world.engine.made) == 2
    assert world.engine.entries == {}
    with pytest.raises(EnvironmentFault):
        space.opened()
