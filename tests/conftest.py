"""Options of the test suite, and what several parts of it need."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--labs-engine", choices=["docker", "embedded"], default="embedded",
                     help="the engine of the end-to-end tests")


@pytest.fixture(scope="session")
def image_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The names of the images that run: official ones where they are here, else built from packages (once)."""
    from orchestrator import services
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.engines.docker.images import Images
    from orchestrator.errors import EnvironmentFault

    table = tmp_path_factory.mktemp("images") / "images.json"
    try:
        engine = DockerEngine.connect(table)
    except EnvironmentFault as fault:
        pytest.skip(f"the Docker leg cannot run here: {fault.message}")
    recipes = [recipe for recipe in map(services.recipe, services.names()) if recipe.compose]
    missing = [recipe for recipe in recipes if not engine.offer(recipe).available]
    address = engine.info().address
    engine.close()
    if missing:
        Images(missing, table, address).build(lambda line: None)
    return table
