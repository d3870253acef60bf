"""The images that tests run services from: official ones where they are here, else built from packages (once)."""

from __future__ import annotations

from pathlib import Path

import pytest


def built_images(table: Path) -> Path:
    """Have an image for each service that is known now; ``table`` gets the names of what was built."""
    from orchestrator import services
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.engines.docker.images import Images
    from orchestrator.errors import EnvironmentFault

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
