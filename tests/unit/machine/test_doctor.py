"""`labs doctor` and `labs init` look at the programs that a server is built and run with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator import services
from orchestrator.catalog.labs import find_lab
from orchestrator.cli import init_command
from orchestrator.engines import choose
from orchestrator.engines.base import EngineInfo
from orchestrator.errors import EnvironmentFault
from orchestrator.machine import doctor
from orchestrator.model import Offer, Workspace
from orchestrator.services.base import Recipe
from orchestrator.system.home import find_home

OLD = "is 3.9.6; the starters need 3.11 or newer"
WAY = "install Python 3.11 or newer: https://www.python.org/downloads/"


@pytest.fixture
def old_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Mac's: ``python3`` is there, and too old."""
    path = tmp_path / "bin" / "python3"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\necho Python 3.9.6\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Workspace | None) -> list[doctor.Diagnosis]:
    """What doctor finds, engines left out."""
    monkeypatch.setattr(doctor, "_engines", lambda *_: ())
    return doctor.examine(find_home({"LABS_HOME": str(tmp_path / "home")}), [], [find_lab("databases")], workspace)


def test_a_python_that_is_too_old_is_no_good_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old_python: Path
) -> None:
    """Who has no server yet works in another language, or gets one: a note."""
    (python,) = [one for one in found(tmp_path, monkeypatch, None) if one.subject == "python" and one.remedy]

    assert python == doctor.Diagnosis("note", "python", f"{old_python} {OLD}", WAY)


def test_the_server_of_the_folder_we_are_in_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old_python: Path
) -> None:
    """What `run` and `build` of workspace.toml will start: here that is missing, and not only a note."""
    workspace = Workspace(tmp_path, "databases", (("python3", "-m", "venv", ".venv"),), ("no-such-program",))
    server = [one for one in found(tmp_path, monkeypatch, workspace) if one.subject.startswith("your server")]

    assert server == [
        doctor.Diagnosis("missing", "your server: python3", f"{old_python} {OLD}", WAY),
        doctor.Diagnosis("missing", "your server: no-such-program", "no-such-program is not on this machine",
                         "install it, or mend its name in workspace.toml")]


def test_init_says_that_python_is_too_old(tmp_path: Path, old_python: Path) -> None:
    """Before the first build dies in pip's noise."""
    done = CliRunner().invoke(init_command.cli, ["databases", str(tmp_path / "server"), "--language", "python"])

    assert f"note: {old_python} {OLD}: {WAY}" in done.stderr
    assert done.exit_code == 0


def test_memory_is_counted_for_what_can_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elasticsearch needs a container: beside plain processes it needs no memory."""
    def no_docker(_home: object) -> None:
        raise EnvironmentFault("no Docker")

    monkeypatch.setattr(choose, "docker_engine", no_docker)
    lab = find_lab("databases")
    recipes = [services.recipe(need.name) for need in lab.services]
    home = find_home({"LABS_HOME": str(tmp_path / "home")})

    told = {one.subject: one.what for one in doctor._engines(home, recipes, [lab])}

    assert "as a plain process" in told["embedded: elasticsearch"]
    assert "SQLite" in told["embedded: memory for databases"]
    assert "Elasticsearch" not in told["embedded: memory for databases"]


@pytest.mark.parametrize(("available", "advice"), [(True, False), (False, True)])
def test_who_has_docker_is_not_told_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: bool, advice: bool
) -> None:
    """Elasticsearch never runs as a plain process: that matters only where nothing else runs it."""
    class Docker:
        def info(self) -> EngineInfo:
            return EngineInfo("docker", "20.10", "here", "docker")

        def offer(self, recipe: Recipe) -> Offer:
            return Offer(recipe.name, available=available, reason="" if available else "unsupported")

        def close(self) -> None:
            pass

    monkeypatch.setattr(choose, "docker_engine", lambda _home: Docker())
    home = find_home({"LABS_HOME": str(tmp_path / "home")})

    told = {one.subject: one for one in doctor._engines(home, [services.recipe("elasticsearch")], [])}

    assert told["embedded: elasticsearch"].level == "note"
    assert bool(told["embedded: elasticsearch"].remedy) == advice
