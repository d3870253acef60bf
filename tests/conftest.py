"""Options of the test suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--labs-engine", choices=["docker", "embedded"], default="embedded",
                     help="the engine of the end-to-end tests")
