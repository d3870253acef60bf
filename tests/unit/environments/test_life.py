"""The life of services that somebody starts: several ports, several nodes, ports that somebody else has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.memory import MemoryEngine, MemoryRecipe

from orchestrator.environments.facade import Environments, StartFailed
from orchestrator.environments.life import Life
from orchestrator.model import InstanceSpec, State
from orchestrator.system.home import Home, find_home, installation_id, user_id


class Place:
    """Environments of two services: a queue with a second port, and a ring of three nodes."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.engine = MemoryEngine()
        self.queue = MemoryRecipe("queue", 15672, more_ports={"management": 15690})
        self.ring = MemoryRecipe("ring", 26257, more_ports={"page": 18080}, nodes=3)
        self.recipes: dict[str, Any] = {"queue": self.queue, "ring": self.ring}
        self.environments = Environments(self.engine, home, self.recipes)  # type: ignore[arg-type]

    def specs(self, service: str) -> list[InstanceSpec]:
        return [one.spec for one in self.environments.nodes("play", service)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(find_home({"LABS_HOME": str(tmp_path)}))


def test_all_ports_of_a_service_are_chosen_together(place: Place) -> None:
    """The second endpoint has its own port from the start, near the one that people know."""
    place.environments.start("play", "play", ["queue"])

    (spec,) = place.specs("queue")
    assert set(spec.more_ports) == {"management"}
    assert spec.port != spec.more_ports["management"]
    assert spec.endpoint.at("management").port == spec.more_ports["management"]


def test_a_service_with_nodes_is_as_many_instances_that_know_each_other(place: Place) -> None:
    """Named one after the other; each knows the ports of all; the first speaks for the service, prepared once."""
    place.environments.start("play", "play", ["ring"])

    specs = place.specs("ring")
    first = specs[0].name
    assert [spec.name for spec in specs] == [first, f"{first}-2", f"{first}-3"]
    assert [spec.node for spec in specs] == [1, 2, 3]
    assert all(spec.node_ports == tuple(one.port for one in specs) for spec in specs)
    ports = [port for spec in specs for port in (spec.port, *spec.more_ports.values())]
    assert len(set(ports)) == 6
    assert place.ring.prepared == [specs[0].endpoint]
    created = [name for verb, name in place.engine.calls if verb == "create"]
    started = [name for verb, name in place.engine.calls if verb == "start"]
    assert created == started == [first, f"{first}-2", f"{first}-3"]
    assert [verb for verb, _ in place.engine.calls[:3]] == ["create"] * 3


def test_starting_twice_changes_nothing(place: Place) -> None:
    """Nodes and further ports are found as they are."""
    place.environments.start("play", "play", ["queue", "ring"])

    assert place.environments.start("play", "play", ["queue", "ring"]).changes == ()


@pytest.mark.parametrize("which", [0, 1])
def test_a_port_that_somebody_took_meanwhile_is_the_next_one(place: Place, which: int) -> None:
    """The engine finds one of two ports taken: only that one moves, and the service comes up."""
    plan = place.environments.plan_start("play", "play", ["queue"])
    wanted = plan.operations[0].spec
    assert wanted is not None
    port = [wanted.port, wanted.more_ports["management"]][which]
    place.engine.busy.add(port)

    place.environments.start("play", "play", ["queue"])

    (spec,) = place.specs("queue")
    assert port not in (spec.port, spec.more_ports["management"])
    assert place.environments.instance("play", "queue").state is State.RUNNING


def test_a_node_without_its_port_moves_all_nodes_to_what_they_tell_each_other(place: Place) -> None:
    """The second node's port is taken: every node knows the new one."""
    plan = place.environments.plan_start("play", "play", ["ring"])
    wanted = next(one.spec for one in plan.operations if one.spec is not None)
    place.engine.busy.add(wanted.node_ports[1])

    place.environments.start("play", "play", ["ring"])

    specs = place.specs("ring")
    assert wanted.node_ports[1] not in specs[0].node_ports
    assert all(spec.node_ports == tuple(one.port for one in specs) for spec in specs)


def test_a_service_that_does_not_come_up_leaves_none_of_its_nodes(place: Place) -> None:
    """Every port is taken, however often another is tried: what was new is gone."""
    place.engine.always_busy = "-ring-2"

    with pytest.raises(StartFailed) as raised:
        place.environments.start("play", "play", ["queue", "ring"])

    assert raised.value.code == "port-busy"
    assert {one.spec.service for one in place.environments.instances("play")} == {"queue"}


def test_nodes_are_stopped_seen_and_removed_together(place: Place) -> None:
    """One line of status for the service; one stopped node is said by its number."""
    place.environments.start("play", "play", ["ring", "queue"])
    (status,) = [one for one in place.environments.status("play") if one.instance.spec.service == "ring"]
    assert (status.ready, len(status.nodes)) == (True, 3)

    place.engine.stop(status.nodes[1].spec.name)
    (status,) = [one for one in place.environments.status("play") if one.instance.spec.service == "ring"]
    assert status.answer == "node 2: exited"

    place.environments.stop(["play"], "ring")
    states = {one.spec.name: one.state for one in place.environments.instances("play")}
    assert [state for name, state in states.items() if "ring" in name] == [State.EXITED] * 3
    assert [state for name, state in states.items() if "queue" in name] == [State.RUNNING]

    place.environments.clean(["play"])
    assert place.environments.instances("play") == []


def test_reset_makes_all_nodes_new_before_any_of_them_runs(place: Place) -> None:
    """No node finds another's old data."""
    place.environments.start("play", "play", ["ring"])
    before = place.specs("ring")
    place.engine.calls.clear()

    place.environments.reset("play", "ring")

    assert [verb for verb, _ in place.engine.calls] == ["remove"] * 3 + ["create"] * 3 + ["start"] * 3
    assert [dataclasses.replace(one, owner=before[0].owner) for one in place.specs("ring")] == before
    assert len(place.ring.prepared) == 2


def test_what_is_stopped_or_paused_goes_on(place: Place) -> None:
    """As it is: nothing is made anew."""
    place.environments.start("play", "play", ["ring", "queue"])
    found = place.environments.instances("play")
    place.engine.stop(found[0].spec.name)
    place.engine.pause(found[1].spec.name)
    place.engine.calls.clear()
    life = Life(place.engine, place.recipes, user=user_id(),  # type: ignore[arg-type]
                installation=installation_id(place.home))

    life.resume(place.environments.instances("play"))

    assert sorted(place.engine.calls) == [("start", found[0].spec.name), ("unpause", found[1].spec.name)]
    assert {one.state for one in place.environments.instances("play")} == {State.RUNNING}


def test_an_environment_with_nodes_gives_each_variable_once(place: Place) -> None:
    """The nodes are one service to a server."""
    place.environments.start("play", "play", ["ring"])

    assert set(place.environments.variables("play")) == {"RING_URL"}
