"""`labs` on a real engine, in a home that the tests made."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.cli import Labs

from orchestrator.targets.build import build
from orchestrator.workspace.budgets import Budget
from orchestrator.workspace.workspace_toml import read_workspace

SHOP = Path(__file__).parents[2] / "labs/databases/solutions/accepted/python"
LABS = SHOP.parents[3]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked for one engine runs on that one only; the other's run does not count it as skipped."""
    chosen = config.getoption("--labs-engine")
    others = [item for item in items if (mark := item.get_closest_marker("engine")) and mark.args[0] != chosen]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


def open_labs(engine: str) -> Iterator[Labs]:
    """A home of its own: another installation, so nothing of the person who runs the tests is touched."""
    home = Path(tempfile.mkdtemp(prefix="labs-e2e-"))
    labs = Labs(home, engine)
    if engine == "docker":
        labs.ok("images", "build")
    yield labs
    labs.ok("clean", "--yes")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.config.getoption("--labs-engine")
    return name


@pytest.fixture(scope="module")
def labs(engine: str) -> Iterator[Labs]:
    """One home for all tests of a file."""
    yield from open_labs(engine)


@pytest.fixture
def fresh_labs(engine: str) -> Iterator[Labs]:
    """A home that no other test uses."""
    yield from open_labs(engine)


@pytest.fixture(scope="session")
def libraries_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """An accepted Python solution's libraries, by its folder: installed once by its own build commands.

    No patch changes them. Gives the folder of the virtual environment.
    """
    base = tmp_path_factory.getbasetemp()
    # All workers of a run share them: one installs, the others wait for it. Without workers the folder above is every
    # run's, also that of last week.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(solution: Path) -> Path:
        folder = shared / f"libraries-{solution.parents[2].name}-{solution.name}"
        with (shared / f"{folder.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.copytree(solution, folder)
                build(read_workspace(folder), budget=Budget(300), cache=folder / "cache")
        return folder / ".venv"

    return made


@pytest.fixture
def shop_of(tmp_path: Path, libraries_of: Callable[[Path], Path]) -> Callable[..., Path]:
    """An accepted server, by its folder's name and its lab's. One in Python needs no build, and no libraries but its own."""
    def make(solution: str, lab: str = "databases") -> Path:
        folder, source = tmp_path / "shop", LABS / lab / "solutions/accepted" / solution
        shutil.copytree(source, folder)
        if (folder / "requirements.txt").is_file():
            (folder / "workspace.toml").write_text(
                f'format = 1\nlab = "{lab}"\nrun = ["{libraries_of(source)}/bin/python", "server.py"]\n',
                encoding="utf-8")
        return folder

    return make


@pytest.fixture
def shop(shop_of: Callable[..., Path]) -> Path:
    """The accepted Python server."""
    return shop_of(SHOP.name)
