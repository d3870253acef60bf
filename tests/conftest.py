"""Options of the test suite, and what several parts of it need."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("support")
"""A failed assertion of a helper shows its values, as those of the tests do."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--labs-engine", choices=["docker", "embedded"], default="embedded",
                     help="the engine of the end-to-end tests")


@pytest.fixture(scope="session")
def image_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The names of the images that run: official ones where they are here, else built from packages (once)."""
    from support.images import built_images

    return built_images(tmp_path_factory.mktemp("images") / "images.json")
