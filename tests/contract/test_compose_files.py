"""Our Compose files are Compose files: Docker Compose itself reads them as we do, and runs the services from them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench
from support.wait import until

from orchestrator import resources, services
from orchestrator.engines.docker.engine import DockerEngine
from orchestrator.model import Endpoint, Ready
from orchestrator.services.base import Recipe
from orchestrator.services.compose import read_container

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def compose_program() -> str:
    script = Path(__file__).parents[2] / "scripts" / "compose.sh"
    done = subprocess.run([str(script)], capture_output=True, text=True, timeout=180, check=False)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def bench(image_table: Path) -> Iterator[Bench]:
    with contextlib.closing(DockerEngine.connect(image_table)) as engine:
        yield Bench(engine)


def run(program: str, bench: Bench, service: str, variables: dict[str, str], *arguments: str) -> str:
    """``docker compose`` on our file, on the same engine and image."""
    recipe = services.recipe(service)
    environment = os.environ | variables | {"DOCKER_HOST": bench.engine.info().address}
    done = subprocess.run(
        [program, "-p", f"labs-test-{bench.environment}", "-f", str(resources.compose_folder() / recipe.compose), *arguments],
        env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def published(recipe: Recipe, variables: Mapping[str, str]) -> dict[str, str]:
    """Endpoint -> the port on this machine, from the variables that name it."""
    prefix = f"LABS_{recipe.name.upper()}_"
    return {"": variables[f"{prefix}PORT"]} | {
        name: variables[f"{prefix}{name.upper()}_PORT"] for name in recipe.more_ports}


@pytest.mark.parametrize("service", [name for name in services.names() if services.recipe(name).compose])
def test_compose_reads_our_files_as_we_do(compose_program: str, bench: Bench, service: str) -> None:
    """Image, words, environment, port, data and limits come out the same, with odd values in the variables, too."""
    recipe = bench.recipe(service)
    variables = {**recipe.variables(bench.spec(service)), f"LABS_IMAGE_{service.upper()}": "mine:1"}
    said: dict[str, Any] = json.loads(
        run(compose_program, bench, service, variables, "config", "--format", "json"))["services"][service]
    ours = read_container(resources.compose_folder() / recipe.compose, variables)

    def words(value: list[str] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(word.replace("$$", "$") for word in value)

    assert said["image"] == ours.image == "mine:1"
    assert words(said.get("command")) == ours.command
    assert words(said.get("entrypoint")) == ours.entrypoint
    assert {name: value.replace("$$", "$") for name, value in said["environment"].items()} == ours.environment
    ports = published(recipe, variables)
    assert [(port["host_ip"], port["target"], port["published"]) for port in said["ports"]] == [
        ("127.0.0.1", inside, ports[name]) for name, inside in ours.ports.items()]
    assert [(volume["type"], volume["target"]) for volume in said["volumes"]] == [
        ("volume", path) for path in ours.volumes.values()]
    assert (int(said["mem_limit"]), float(said["cpus"]), said["pids_limit"]) == (ours.memory, ours.cpus, ours.pids)
    assert int(said.get("shm_size", 0)) == (ours.shm_size or 0)
    assert said.get("stop_signal") == ours.stop_signal
    assert said["stop_grace_period"] == f"{ours.stop_grace:.0f}s"


@pytest.mark.parametrize("service", [name for name in services.names() if services.recipe(name).compose])
def test_compose_runs_our_files(compose_program: str, bench: Bench, service: str) -> None:
    """`docker compose up` of the file is the same service: it answers to the same credentials at the same port."""
    recipe, spec = bench.recipe(service), bench.spec(service)
    image = {f"LABS_IMAGE_{service.upper()}": bench.engine.offer(recipe).expected}
    variables = {**recipe.variables(spec), **image}
    try:
        run(compose_program, bench, service, variables, "up", "--detach", "--pull", "never")
        until(lambda: isinstance(recipe.probe(Endpoint(spec.port), spec.credentials), Ready), seconds=120)
        recipe.prepare(Endpoint(spec.port), spec.credentials)

        assert recipe.product(Endpoint(spec.port), spec.credentials).version
    finally:
        run(compose_program, bench, service, variables, "down", "--volumes", "--timeout", "5")
