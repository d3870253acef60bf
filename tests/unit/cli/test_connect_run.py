"""`labs run` in one terminal, `labs connect` and `labs status` in another: whose services each of them means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.memory import MemoryEngine, MemoryRecipe
from support.workspace import make_workspace

from orchestrator.attach.host import Host
from orchestrator.cli import connect_command, status_command
from orchestrator.cli import toolbox as opening
from orchestrator.environments.facade import Environments
from orchestrator.environments.started import Started
from orchestrator.environments.toolbox import Toolbox
from orchestrator.judge.request import RunRequest
from orchestrator.model import Instance, Lab, Owner, ServerContract, State
from orchestrator.ownership import kept_spaces, leases
from orchestrator.ownership.kept_spaces import KeptSpace
from orchestrator.system.files import make_folder
from orchestrator.system.home import find_home, installation_id, user_id
from orchestrator.workspace.workspace_toml import read_workspace

LAB = Lab("databases", "Databases", "", "databases", "1", Path(), (), ServerContract({}, 5, 5), (), ())


class Queue(MemoryRecipe):
    """A service with a URL."""

    urls = ("QUEUE_URL",)


class Desk:
    """A folder with a server, the services of `labs start` at port 15672, and commands that are typed there."""

    def __init__(self, folder: Path) -> None:
        self.home = find_home({"LABS_HOME": str(folder / "home")})
        self.folder = make_workspace(folder / "server")
        self.engine = MemoryEngine()
        recipes: dict[str, Any] = {"queue": Queue("queue", 15672)}
        engine: Any = self.engine
        self.toolbox = Toolbox(self.home, engine, "", recipes, Environments(engine, self.home, recipes))
        self.toolbox.environments.start("databases", "databases", ["queue"])

    @contextmanager
    def run(self) -> Iterator[None]:
        """A labs run, its queue at port 20001."""
        self.serve("run-1", 20001)
        request = RunRequest(LAB, read_workspace(self.folder), (), 0, self.home.cache)
        with Host(make_folder(self.home.runs / "lease"), request, pytest.fail, "run-1"):
            yield

    def serve(self, environment: str, port: int) -> None:
        """A queue of a judge's, as labs run and labs check have it."""
        (spec,) = [one.spec for one in self.engine.instances.values() if one.spec.name_given]
        owner = Owner(environment, user_id(), installation_id(self.home), "lease", 1, 1.0, "judge")
        name = f"labs-{environment}-queue"
        self.engine.instances[name] = Instance(dataclasses.replace(
            spec, name=name, name_given="", owner=owner, port=port, keep_data=False), State.RUNNING)

    def keep(self, environment: str) -> None:
        """The services of a check that has failed."""
        kept_spaces.remember(self.home, KeptSpace(environment, "memory", str(self.folder), "databases", "postgres/crud",
                                                  "x", 1, 8080, 1.0))

    def type(self, command: Any, *words: str) -> Result:
        return CliRunner().invoke(command.cli, list(words))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path)

    @contextmanager
    def open_started(_engine: str | None, *, quiet: bool = False) -> Iterator[Started]:
        yield Started((desk.toolbox,))

    monkeypatch.setattr(opening, "open_started", open_started)
    monkeypatch.chdir(desk.folder)
    monkeypatch.setenv("LABS_RUN", "0a1b")  # what a terminal below labs run has: no option of ours
    return desk


def test_connect_finds_what_labs_run_uses(desk: Desk) -> None:
    """With --run; without it `labs start`'s are meant, and a note says that there are two."""
    with desk.run():
        assert "127.0.0.1:20001" in desk.type(connect_command, "queue", "--url", "--run").stdout
        plain = desk.type(connect_command, "queue", "--url")

    port = desk.toolbox.environments.instance("databases", "queue").spec.port
    assert f"127.0.0.1:{port}" in plain.stdout
    assert "note: labs run has services of its own; to look into those: labs connect queue --run" in plain.stderr


def test_without_a_run_there_is_none_to_connect_to(desk: Desk) -> None:
    """Said as such; and nothing is noted then."""
    assert "[no-run]" in desk.type(connect_command, "queue", "--url", "--run").stderr
    assert desk.type(connect_command, "queue", "--url").stderr == ""


def test_a_service_that_labs_run_has_not_started(desk: Desk) -> None:
    """It sleeps until the server asks for it: no other one is shown instead."""
    with desk.run():
        done = desk.type(connect_command, "ring", "--url", "--run")

    assert "[unknown-service]" in done.stderr
    assert "it starts when your server asks for it" in done.stderr


def test_status_shows_what_labs_run_uses(desk: Desk) -> None:
    """Below the services of `labs start`, with the folder and the command that looks into them."""
    with desk.run():
        text = desk.type(status_command).stdout

    assert [line.split()[:2] for line in text.splitlines() if "queue" in line] == [
        ["databases", "queue"], ["(labs", "run)"]]
    assert "127.0.0.1:20001" in text
    assert f"labs run of {desk.folder}: labs connect SERVICE --run" in text
    assert "labs run" not in desk.type(status_command).stdout


def test_a_failed_milestone_is_looked_into_while_labs_run_is_there(desk: Desk) -> None:
    """`labs run` prints this very command, and holds the space as long as the server runs."""
    desk.serve("check-1", 20002)
    desk.keep("check-1")
    with leases.lock(desk.home, "check-1"):
        assert "127.0.0.1:20002" in desk.type(connect_command, "queue", "--url", "--failed").stdout

        desk.engine.stop("labs-check-1-queue")
        assert "[environment-busy]" in desk.type(connect_command, "queue", "--url", "--failed").stderr


def test_a_failed_milestone_whose_services_are_gone_says_so(desk: Desk) -> None:
    """A restart of the machine takes them, and on some machines a logout; a service that it never had is another thing."""
    desk.keep("check-1")
    gone = desk.type(connect_command, "postgres", "--url", "--failed").stderr

    assert "[no-failed-space]" in gone
    assert "so may the end of your login (systemd: RemoveIPC)" in gone
    assert "next: labs check postgres/crud" in gone
    assert "[unknown-service]" in desk.type(connect_command, "redis", "--url", "--failed").stderr
