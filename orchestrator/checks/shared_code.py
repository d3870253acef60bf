"""Which files have the code that a lab's checks share: the one place that knows.

``checks/conftest.py``, which pytest finds by itself, and the files of ``checks/fixtures/``, one a topic, which
``lab_fixtures`` loads. What judges depends on all of them; none of them is a file of checks.
"""

from __future__ import annotations

from pathlib import Path

CONFTEST = "checks/conftest.py"
FIXTURES = "checks/fixtures"
CONTRACTS = ("openapi.yaml", "storage.md")


def shared_code(lab: Path) -> tuple[Path, ...]:
    """The files that there are, in the order in which they are loaded."""
    conftest = lab / CONFTEST
    return (*([conftest] if conftest.is_file() else []), *fixture_files(lab))


def common_files(lab: Path) -> tuple[Path, ...]:
    """Files on which the verdict of each milestone depends: the shared code, and the contracts, there or not."""
    return (*shared_code(lab), *(lab / name for name in CONTRACTS))


def fixture_files(lab: Path) -> tuple[Path, ...]:
    """Those of ``checks/fixtures/``, by their names."""
    return tuple(path for path in sorted((lab / FIXTURES).glob("*.py")) if path.is_file())
