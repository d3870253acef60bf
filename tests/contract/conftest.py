"""The engines that the contract is held against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench
from support.embedded import engine_in, walkable_folder

from orchestrator import services
from orchestrator.engines.base import Engine


@pytest.fixture(scope="session")
def image_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The names of the images that run: official ones where they are here, else built from packages (once)."""
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.engines.docker.images import Images
    from orchestrator.errors import EnvironmentFault

    table = tmp_path_factory.mktemp("images") / "images.json"
    try:
        engine = DockerEngine.connect(table)
    except EnvironmentFault as fault:
        pytest.skip(f"the Docker leg cannot run here: {fault.message}")
    recipes = [services.recipe(name) for name in services.names()]
    missing = [recipe for recipe in recipes if not engine.offer(recipe).available]
    address = engine.info().address
    engine.close()
    if missing:
        Images(missing, table, address).build(lambda line: None)
    return table


@pytest.fixture(scope="session")
def embedded_folder() -> Iterator[Path]:
    """One for all tests, so that PostgreSQL's data is initialised once and copied from then on."""
    with walkable_folder() as folder:
        yield folder


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "embedded"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn."""
    if request.param == "docker":
        from orchestrator.engines.docker.engine import DockerEngine

        with contextlib.closing(DockerEngine.connect(request.getfixturevalue("image_table"))) as docker:
            yield docker
    else:
        with contextlib.closing(engine_in(request.getfixturevalue("embedded_folder"))) as embedded:
            yield embedded


@pytest.fixture
def bench(engine: Engine) -> Iterator[Bench]:
    """A bench on the engine; all that was made on it is removed in the end."""
    made = Bench(engine)
    try:
        yield made
    finally:
        made.clear()
