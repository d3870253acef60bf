"""Where a service's Compose file and image lie: ours together, another distribution's in its own package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.toys import TOYS, installed

from orchestrator import resources, services
from orchestrator.services.places import compose_file, files_of, image_folder


@pytest.fixture(autouse=True)
def toys(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path / "site", "pair", "note"):
        yield


def test_ours_lie_together() -> None:
    """`compose/` and `images/` of the checkout or the wheel, where people find them."""
    assert compose_file(services.recipe("redis")) == resources.compose_folder() / "redis.yaml"
    assert compose_file(services.recipe("redis")).is_file()
    assert image_folder(services.recipe("redis")) == resources.images_folder() / "redis"


def test_another_distributions_lie_in_its_package() -> None:
    """Beside its `service.py`, and nowhere else."""
    package = TOYS / "pair" / "toy_pair"

    assert compose_file(services.recipe("pair")) == package / "compose.yaml"
    assert image_folder(services.recipe("pair")) == package / "image"


def test_what_is_not_there_is_none() -> None:
    """A service without an image of its own can only be pulled."""
    assert image_folder(services.recipe("note")) is None


def test_all_that_decides_what_a_service_is() -> None:
    """Its package and its Compose file, wherever that lies."""
    redis, pair, note = (services.recipe(name) for name in ("redis", "pair", "note"))

    assert {resources.compose_folder() / "redis.yaml"} < set(files_of(redis))
    assert {path.name for path in files_of(redis)} >= {"service.py", "evidence.py", "sabotage.py"}
    assert {path.name for path in files_of(pair)} >= {"service.py", "wire.py", "compose.yaml", "pair.pl"}
    assert {path.name for path in files_of(note)} >= {"service.py", "evidence.py"}
    assert resources.compose_folder() not in files_of(note)


def test_an_absolute_path_is_that_file(tmp_path: Path) -> None:
    """A lab's own service says where its file is."""
    recipe = type(services.recipe("redis"))()
    recipe.compose = str(tmp_path / "own.yaml")

    assert compose_file(recipe) == tmp_path / "own.yaml"
    assert image_folder(recipe) is None


def test_services_of_other_distributions_are_known() -> None:
    """By the entry point alone; ours come first and cannot be replaced."""
    assert services.names()[-2:] == ("note", "pair")
    assert {"postgres", "redis"} < set(services.names())
    assert services.recipe("pair").title == "Pair"
