"""The engines that the contract is held against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.bench import Bench
from support.embedded import engine_in, walkable_folder
from support.images import built_images
from support.toys import installed

from orchestrator.engines.base import Engine
from orchestrator.engines.files import FileEngine
from orchestrator.engines.routed import RoutedEngine

if TYPE_CHECKING:
    from orchestrator.engines.docker.engine import DockerEngine


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The services of other distributions are held to the same contract as ours. Tests elsewhere do not know them."""
    with installed(tmp_path_factory.mktemp("site"), "box", "pair", "note"):
        yield


@pytest.fixture(scope="module")
def image_table(tmp_path_factory: pytest.TempPathFactory, toys: None) -> Path:
    """As elsewhere, with theirs."""
    return built_images(tmp_path_factory.mktemp("images") / "images.json")


@pytest.fixture(scope="session")
def embedded_folder() -> Iterator[Path]:
    """One for all tests, so that PostgreSQL's data is initialised once and copied from then on."""
    with walkable_folder() as folder:
        yield folder


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "embedded"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Each engine in turn, with a place for files beside it, as commands have it."""
    files = FileEngine(tmp_path_factory.mktemp("files"))
    if request.param == "docker":
        from orchestrator.engines.docker.engine import DockerEngine

        with contextlib.closing(DockerEngine.connect(request.getfixturevalue("image_table"))) as docker:
            yield RoutedEngine(docker, files)
    else:
        with contextlib.closing(engine_in(request.getfixturevalue("embedded_folder"))) as embedded:
            yield RoutedEngine(embedded, files)


@contextlib.contextmanager
def cleared(engine: Engine) -> Iterator[Bench]:
    """A bench on the engine; all that was made on it is removed in the end."""
    made = Bench(engine)
    try:
        yield made
    finally:
        made.clear()


@pytest.fixture
def bench(engine: Engine) -> Iterator[Bench]:
    """On each engine in turn."""
    with cleared(engine) as made:
        yield made


@pytest.fixture(scope="module")
def docker(image_table: Path) -> Iterator[DockerEngine]:
    """Docker alone, for what no other engine has."""
    from orchestrator.engines.docker.engine import DockerEngine

    with contextlib.closing(DockerEngine.connect(image_table)) as engine:
        yield engine


@pytest.fixture
def docker_bench(docker: DockerEngine) -> Iterator[Bench]:
    """As ``bench``, on Docker alone."""
    with cleared(docker) as made:
        yield made


@pytest.fixture
def api(docker: DockerEngine) -> Iterator[Any]:
    """Docker's own API, as another program would use it."""
    from docker import APIClient

    with contextlib.closing(APIClient(docker.info().address, version="1.41", timeout=60)) as client:
        yield client
