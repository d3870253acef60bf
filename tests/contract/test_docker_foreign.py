"""On a real Docker: labels are there from the first moment, and what is not ours is never touched."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench

from orchestrator.engines import spec_json
from orchestrator.engines.docker.engine import DockerEngine
from orchestrator.errors import EnvironmentFault
from orchestrator.model import InstanceSpec

pytestmark = pytest.mark.docker


@pytest.fixture
def docker_bench(image_table: Path) -> Iterator[Bench]:
    with contextlib.closing(DockerEngine.connect(image_table)) as engine:
        bench = Bench(engine)
        try:
            yield bench
        finally:
            bench.clear()


@pytest.fixture
def api(docker_bench: Bench) -> Iterator[Any]:
    """Docker's own API, as another program would use it."""
    from docker import APIClient

    with contextlib.closing(APIClient(docker_bench.engine.info().address, version="1.41", timeout=60)) as client:
        yield client


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
    from orchestrator.engines.docker.objects import labels_of

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


def test_an_absent_image_is_not_pulled(docker_bench: Bench, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`create` says `image-missing` and makes nothing, not even the volume."""
    monkeypatch.setenv("LABS_IMAGE_REDIS", "backend-labs-no-such/image:1")
    spec = docker_bench.spec()

    with pytest.raises(EnvironmentFault) as caught:
        docker_bench.created(spec)

    assert caught.value.code == "image-missing"
    assert docker_bench.listed() == {}
