"""The images that can be built here: which services have one, and under which name. Asks no engine.

A service has one if a ``Dockerfile`` is where ``services/places.py`` says. Its name holds a hash of that folder and of
nothing else.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from orchestrator.services.base import Recipe
from orchestrator.services.places import container_of, image_folder
from orchestrator.system.files import read_json

REPOSITORY = "backend-labs"


def content_key(folder: Path) -> str:
    """A hash of everything that an image is built from."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def local_name(recipe: Recipe) -> str | None:
    """What its image is called when it is built from the present content: ``backend-labs/redis:747b602084c5``."""
    folder = image_folder(recipe)
    return None if folder is None else f"{REPOSITORY}/{recipe.name}:{content_key(folder)}"


def upstream_name(recipe: Recipe) -> str:
    """The image that its Compose file names, whatever the environment says."""
    return container_of(recipe, {}).image


def stand_ins(recipe: Recipe, upstream: str, table: Path) -> list[str]:
    """Names of images that may run in place of ``upstream``, the best first.

    The present content's needs no entry in ``table``: it may have been built for another home on the same engine. It
    stands only for the image of the Compose file: who asks for another one by ``LABS_IMAGE_...`` gets that or nothing.
    """
    known = read_json(table)
    built = local_name(recipe) if upstream == upstream_name(recipe) else None
    recorded = known.get(upstream) if isinstance(known, dict) else None
    return [name for name in (built, recorded) if isinstance(name, str)]


def ways_to_get(recipe: Recipe) -> str:
    """What a person can do when the image is not here; ``{lab}`` is for the caller to fill in."""
    pull, build = f"labs pull {{lab}} {recipe.name}", f"labs images build {recipe.name}"
    if image_folder(recipe) is None:
        return pull
    if upstream_name(recipe).startswith(f"{REPOSITORY}/"):  # no registry has it
        return build
    return f"{pull}   (or, without a registry: {build})"
