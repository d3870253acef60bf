"""Where a service's files are that are no Python: the Compose file, and the folder that its image is built from.

What another distribution brings lies beside its ``service.py``: the file that ``Recipe.compose`` names, and ``image/``.
Ours lie together, ``compose/SERVICE.yaml`` and ``images/SERVICE/``, since people use them by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from orchestrator import resources, services
from orchestrator.model import ContainerSpec
from orchestrator.services.base import Recipe
from orchestrator.services.compose import parse_container, read_container


def compose_file(recipe: Recipe) -> Path:
    """The service's Compose file, there or not. A recipe that names an absolute path means that very file."""
    folder = _package_folder(recipe)
    beside = None if folder is None else folder / recipe.compose
    return beside if beside is not None and beside.is_file() else resources.compose_folder() / recipe.compose


def container_of(recipe: Recipe, variables: Mapping[str, str]) -> ContainerSpec:
    """The service's container, its Compose file filled in from ``variables``. ``compose-unsupported``."""
    if recipe.compose_text:
        return parse_container(recipe.compose_text, variables, where=recipe.compose)
    return read_container(compose_file(recipe), variables)


def compose_text(recipe: Recipe) -> str:
    """The text of its Compose file; empty if it has none."""
    if recipe.compose_text or not recipe.compose:
        return recipe.compose_text
    return compose_file(recipe).read_text(encoding="utf-8")


def image_folder(recipe: Recipe) -> Path | None:
    """What the service's image is built from; ``None`` if it has none and can only be pulled."""
    folder = _package_folder(recipe)
    if folder is None:
        return None
    places = (folder / "image", resources.images_folder() / recipe.name)
    return next((place for place in places if (place / "Dockerfile").is_file()), None)


def files_of(recipe: Recipe) -> list[Path]:
    """All files that decide what the service is and how it runs, but for a lab's own service, which has none here."""
    folder = _package_folder(recipe)
    if folder is None:
        return []
    # What several of ours share is in folders that are no service's.
    shared = [one for one in Path(services.__file__).parent.iterdir()
              if one.is_dir() and not (one / "service.py").is_file()]
    found = [path for one in (folder, *shared) for path in one.rglob("*")
             if path.is_file() and "__pycache__" not in path.parts]
    return sorted({*found, *([compose_file(recipe)] if recipe.compose else [])})


def _package_folder(recipe: Recipe) -> Path | None:
    """The folder of the package in which everything about a service is.

    A lab's own service has none. It may have the name of one that we know: it is another one.
    """
    if recipe.name not in services.names() or services.recipe(recipe.name) is not recipe:
        return None
    spec = find_spec(services.packages()[recipe.name])
    locations = None if spec is None else spec.submodule_search_locations
    return Path(locations[0]) if locations else None
