"""The engines that the contract is held against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench
from support.embedded import engine_in, walkable_folder

from orchestrator.engines.base import Engine


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
