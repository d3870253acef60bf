"""On a real Docker: labels are there from the first moment, and what is not ours is never touched."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.bench import Bench

from orchestrator.engines import spec_json
from orchestrator.engines.docker.objects import labels_of, spec_of
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec, State

pytestmark = pytest.mark.docker


@pytest.fixture
def image(docker_bench: Bench) -> str:
    return docker_bench.engine.offer(docker_bench.recipe()).expected


@contextlib.contextmanager
def foreign_container(api: Any, image: str, spec: InstanceSpec) -> Iterator[str]:
    """Somebody else's container under the name that an instance of ours would have. It runs."""
    made = api.create_container(image, entrypoint=["sleep"], command=["600"], name=spec.name)["Id"]
    try:
        api.start(made)
        yield made
    finally:
        api.remove_container(made, force=True, v=True)


def test_container_and_volume_carry_the_whole_spec(docker_bench: Bench, api: Any) -> None:
    """Both say whose they are and how they were wanted: everything can be found again without any file of ours."""
    spec = docker_bench.created()
    labels = [api.inspect_container(spec.name)["Config"]["Labels"], api.inspect_volume(f"{spec.name}-data")["Labels"]]

    for found in labels:
        ours = {key.removeprefix("dev.backend-labs."): value for key, value in found.items() if "backend-labs." in key}
        assert spec_json.decode(json.loads(ours.pop("spec"))) == spec
        ours.pop("image", None)  # the mark of images that labs built
        assert ours == {"user": spec.owner.user, "installation": spec.owner.installation,
                        "environment": spec.owner.environment, "lease": "lease-1", "service": "redis",
                        "name": spec.name}


def test_a_foreign_container_of_the_same_name_is_left_alone(docker_bench: Bench, api: Any, image: str) -> None:
    """Whatever is asked of that name, a container without our labels goes on as it was."""
    spec = docker_bench.spec()
    engine = docker_bench.engine
    with foreign_container(api, image, spec) as foreign:
        before = api.inspect_container(foreign)["State"]

        assert engine.inspect(spec.name) is None
        assert docker_bench.listed() == {}
        assert engine.logs(spec.name) == ""
        for harmless in (engine.stop, engine.kill, engine.unpause):
            harmless(spec.name)
        engine.remove(spec.name, data=True)
        for refused in (engine.start, engine.pause):
            with pytest.raises(EnvironmentFault):
                refused(spec.name)
        with pytest.raises(EnvironmentFault) as caught:
            docker_bench.created(spec)

        assert caught.value.code == "exists"
        assert api.inspect_container(foreign)["State"] == before


def test_a_foreign_volume_is_neither_used_nor_removed(docker_bench: Bench, api: Any) -> None:
    """A volume of that name without our labels, or another installation's, is refused for data and never removed."""
    spec = docker_bench.spec()
    theirs = docker_bench.spec(installation=docker_bench.foreign)
    for labels in ({}, {"some": "label"}, labels_of(theirs)):
        api.create_volume(f"{spec.name}-data", labels=labels)
        try:
            with pytest.raises(EnvironmentFault) as caught:
                docker_bench.created(spec)
            assert caught.value.code == "exists"
            if labels != labels_of(theirs):
                docker_bench.engine.remove(spec.name, data=True)
                assert api.inspect_volume(f"{spec.name}-data")["Name"]
        finally:
            api.remove_volume(f"{spec.name}-data")


def test_a_foreign_mark_is_no_mark(docker_bench: Bench, api: Any) -> None:
    """A volume that only has the name of a mark keeps nothing, and `unkeep` leaves it."""
    name = f"labs-{docker_bench.environment}-kept"
    owner = {"user": docker_bench.user, "installation": docker_bench.installation}
    api.create_volume(name)
    try:
        assert docker_bench.engine.kept(**owner) == frozenset()
        docker_bench.engine.unkeep(docker_bench.environment, **owner)
        with pytest.raises(EnvironmentFault):
            docker_bench.engine.keep(docker_bench.environment, **owner)
        assert api.inspect_volume(name)["Name"] == name
    finally:
        api.remove_volume(name)


def test_a_name_is_never_taken_for_the_beginning_of_an_id(docker_bench: Bench, api: Any) -> None:
    """Docker takes the first letters of an id for a name; the engine does not."""
    spec = docker_bench.created()
    beginning = api.inspect_container(spec.name)["Id"][:12]

    assert docker_bench.engine.inspect(beginning) is None
    docker_bench.engine.remove(beginning, data=True)
    assert docker_bench.listed() == {spec.name: "exited"}


def test_a_removed_instance_leaves_no_volume(docker_bench: Bench, api: Any) -> None:
    """Neither its named volume nor one without a name that its image declared."""
    before = {volume["Name"] for volume in api.volumes()["Volumes"]}
    made = []
    for keep_data in (True, False):
        spec = docker_bench.created(docker_bench.spec(keep_data=keep_data, environment=f"e-{keep_data}".lower()
                                                      + docker_bench.environment))
        docker_bench.engine.start(spec.name)
        made += [mount["Name"] for mount in api.inspect_container(spec.name)["Mounts"] if mount["Type"] == "volume"]
        docker_bench.engine.remove(spec.name, data=True)

    left = {volume["Name"] for volume in api.volumes()["Volumes"]}
    assert made
    assert left & (set(made) - before) == set()


def test_every_volume_is_ours_and_labelled(docker_bench: Bench, api: Any) -> None:
    """A service with two volumes: both carry the spec, one that is left alone is still an instance, both can be removed."""
    spec = docker_bench.created(docker_bench.spec("pair"))
    names = [f"{spec.name}-data", f"{spec.name}-data-log"]

    assert [spec_of(api.inspect_volume(name)["Labels"]) for name in names] == [spec, spec]

    docker_bench.engine.remove(spec.name, data=False)
    api.remove_volume(names[0])
    assert docker_bench.listed() == {spec.name: "missing"}
    assert docker_bench.engine.inspect(spec.name) == Instance(spec, State.MISSING)
    for _ in range(2):
        docker_bench.engine.remove(spec.name, data=True)
        assert volumes_of(api, spec) == []
        docker_bench.created(spec)
        assert len(volumes_of(api, spec)) == 2


def volumes_of(api: Any, spec: InstanceSpec) -> list[Any]:
    return api.volumes(filters={"label": f"dev.backend-labs.name={spec.name}"})["Volumes"] or []


def networks_of(api: Any, spec: InstanceSpec) -> list[Any]:
    owner = spec.owner
    return api.networks(filters={"label": [f"dev.backend-labs.environment={owner.environment}",
                                           f"dev.backend-labs.installation={owner.installation}"]})


def test_the_network_of_a_group_is_made_once_and_goes_with_the_last(docker_bench: Bench, api: Any) -> None:
    """Labelled from its create request on; a service with one node has none."""
    alone = docker_bench.created()
    assert networks_of(api, alone) == []

    first, second = [docker_bench.created(spec) for spec in docker_bench.nodes("pair")]
    (network,) = networks_of(api, first)
    assert spec_of(network["Labels"]) == first
    assert [list(api.inspect_container(spec.name)["NetworkSettings"]["Networks"]) for spec in (first, second)] == [
        [network["Name"]], [network["Name"]]]

    docker_bench.engine.remove(first.name, data=True)
    assert [one["Id"] for one in networks_of(api, first)] == [network["Id"]]
    docker_bench.engine.remove(second.name, data=False)
    assert networks_of(api, first) == []


def test_a_network_that_a_killed_command_left_is_swept(docker_bench: Bench, api: Any) -> None:
    """Killed between network and container, with no data: it is listed as what it was to be, and can be removed."""
    spec, other = docker_bench.nodes("pair", keep_data=False)
    for _ in range(2):  # two of them: a killed command's may come late
        api.create_network(spec.name, labels=labels_of(spec))

    assert docker_bench.listed(lease="lease-1") == {spec.name: "missing"}
    assert docker_bench.engine.inspect(spec.name) == Instance(spec, State.MISSING)

    docker_bench.created(other)
    assert docker_bench.listed() == {other.name: "exited"}
    docker_bench.engine.remove(other.name, data=True)
    assert (networks_of(api, spec), docker_bench.listed()) == ([], {})

    api.create_network(spec.name, labels=labels_of(spec))
    docker_bench.engine.remove(spec.name, data=True)
    assert (networks_of(api, spec), docker_bench.listed()) == ([], {})


def test_a_foreign_network_is_neither_used_nor_removed(docker_bench: Bench, api: Any) -> None:
    """Another installation's for the same environment and service stays as it is."""
    spec, _ = docker_bench.nodes("pair")
    theirs = dataclasses.replace(spec, owner=dataclasses.replace(spec.owner, installation=docker_bench.foreign))
    foreign = api.create_network(spec.name, labels=labels_of(theirs))["Id"]
    try:
        docker_bench.created(spec)
        assert api.inspect_network(foreign)["Containers"] == {}
        docker_bench.engine.remove(spec.name, data=True)
        assert api.inspect_network(foreign)["Id"] == foreign
    finally:
        api.remove_network(foreign)


def test_an_absent_image_is_not_pulled(docker_bench: Bench, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`create` says `image-missing` and makes nothing, not even the volume."""
    monkeypatch.setenv("LABS_IMAGE_REDIS", "backend-labs-no-such/image:1")
    spec = docker_bench.spec()

    with pytest.raises(EnvironmentFault) as caught:
        docker_bench.created(spec)

    assert caught.value.code == "image-missing"
    assert docker_bench.listed() == {}
