"""Options of the test suite, and what several parts of it need."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.images import built_images


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--labs-engine", choices=["docker", "embedded"], default="embedded",
                     help="the engine of the end-to-end tests")


@pytest.fixture(scope="session")
def image_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The names of the images that run: official ones where they are here, else built from packages (once)."""
    return built_images(tmp_path_factory.mktemp("images") / "images.json")
