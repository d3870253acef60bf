"""SIGKILL of `labs` at any moment leaves nothing, once the next command has returned; what is kept is never touched.

Services that run on for the next check stay for their ten minutes, and no longer.

`make soak` does it fifty times; the ordinary run takes a sample.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import Labs
from support.wait import until

from orchestrator.engines.choose import choose
from orchestrator.ownership import warm_spaces
from orchestrator.system.home import find_home, installation_id, user_id

ROUNDS = int(os.environ.get("SOAK", "5"))
# On both engines by `make soak`; the short sample only once.
pytestmark = [pytest.mark.e2e, *([] if ROUNDS > 5 else [pytest.mark.engine("docker")])]
STEP = 1 if ROUNDS > 5 else 4
"""Of the engine's calls, each or every fourth is the last one."""

ACCEPTED = Path(__file__).parents[2] / "labs/databases/solutions/accepted/python"

DIE_AT_CALL = """
import dataclasses, os, signal, sys
from orchestrator.engines import choose as module

number, moment = int(sys.argv[1]), sys.argv[2]
real = module.choose
calls = 0

class Dying:
    def __init__(self, engine):
        self.engine = engine

    def __getattr__(self, name):
        method = getattr(self.engine, name)
        def call(*args, **kwargs):
            global calls
            calls += 1
            mine = calls
            if mine == number and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return method(*args, **kwargs)
            finally:
                if mine == number and moment == "after":
                    os.kill(os.getpid(), signal.SIGKILL)
        return call if callable(method) else method

def choose(*args, **kwargs):
    choice = real(*args, **kwargs)
    return dataclasses.replace(choice, engine=Dying(choice.engine))

module.choose = choose
from orchestrator.cli.main import main
main(sys.argv[3:])
"""


class Watch:
    """Looks at the engine itself for what is left of this home's commands."""

    def __init__(self, labs: Labs, server: Path) -> None:
        self._labs = labs
        self._home = find_home(labs.environment)
        self._server = server

    def leftovers(self) -> dict[str, object]:
        """Instances of no kept or warm environment, leases, scratch folders, processes in the server's folder."""
        choice = choose(self._labs.engine, home=self._home)
        owner = {"user": user_id(), "installation": installation_id(self._home)}
        try:
            kept = choice.engine.kept(**owner) | warm_spaces.spared(self._home)
            found = [one.spec.name for one in choice.engine.list(**owner) if one.spec.owner.environment not in kept]
        finally:
            choice.engine.close()
        there = {
            "instances": found,
            "leases": [path.name for path in self._home.leases.glob("*.json")],
            "runs": [path.name for path in self._home.runs.glob("*")],
            "processes": processes_in(self._server),
        }
        return {name: value for name, value in there.items() if value}

    def assert_clean(self) -> None:
        """The next command returns and nothing is left; nor is there 5 seconds later (asked at the end of a test)."""
        done = self._labs.run("status", "--json")
        assert done.returncode == 0, done
        until(lambda: not processes_in(self._server), seconds=8)
        assert self.leftovers() == {}

    def assert_clean_later(self) -> None:
        """As ``assert_clean``, when the time of all warm services is over, too."""
        for space in warm_spaces.spaces(self._home):
            warm_spaces.remember(self._home, dataclasses.replace(space, until=0.0))
        self.assert_clean()
        assert warm_spaces.spaces(self._home) == []


def processes_in(folder: Path) -> list[int]:
    """Living processes whose current folder is this one or below."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.fixture
def server(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    shutil.copytree(ACCEPTED, folder)
    return folder


def test_a_kill_at_any_moment_leaves_nothing_and_keeps_what_is_kept(fresh_labs: Labs, server: Path) -> None:
    """Start, check, reset, stop and clean, killed at random; the rows of another environment outlive it all."""
    labs, watch, source = fresh_labs, Watch(fresh_labs, server), random.Random(os.getpid())
    labs.ok("start", "databases", "redis", "--name", "precious")
    labs.ok("connect", "redis", "--name", "precious", "-c", "SET note still-here")
    assert labs.run("check", cwd=server).returncode == 0  # built once, so that later rounds die in the judging
    commands: list[tuple[tuple[str, ...], float]] = [
        (("start", "databases"), 2.5), (("check",), 6.0), (("reset", "redis", "--yes", "--name", "databases"), 1.5),
        (("stop", "--name", "databases"), 1.0), (("clean", "--yes", "--name", "databases"), 1.5),
    ]
    for number in range(ROUNDS):
        arguments, longest = commands[number % len(commands)]
        process = labs.popen(*arguments, cwd=server)
        time.sleep(source.uniform(0.1, longest))  # the moment of death is what is drawn
        process.kill()
        process.communicate()
        watch.assert_clean()
    time.sleep(5)  # the promise is: nor five seconds later

    assert watch.leftovers() == {}
    watch.assert_clean_later()
    labs.ok("start", "databases", "redis", "--name", "precious")
    assert "still-here" in labs.ok("connect", "redis", "--name", "precious", "-c", "GET note")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_each_call_of_the_engine_leaves_nothing(fresh_labs: Labs, server: Path, moment: str) -> None:
    """Every call that `start` makes is once the last one."""
    watch = Watch(fresh_labs, server)
    for number in range(1, 60, STEP):
        done = subprocess.run([sys.executable, "-c", DIE_AT_CALL, str(number), moment, "start", "databases", "redis"],
                              cwd=server, env=fresh_labs.environment, capture_output=True, text=True, check=False)
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done
            break
        watch.assert_clean()
    assert number > 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["start", "check"])
def test_an_interrupted_command_cleans_up_by_itself(
    fresh_labs: Labs, server: Path, number: signal.Signals, command: str
) -> None:
    """Ctrl-C and SIGTERM: exit 130 within 7 seconds, no traceback, nothing left; without another command."""
    watch = Watch(fresh_labs, server)
    arguments = ("start", "databases") if command == "start" else ("check",)
    process = fresh_labs.popen(*arguments, cwd=server)
    wait_for_work(watch, process)
    process.send_signal(number)
    began = time.monotonic()
    _, talk = process.communicate(timeout=30)

    assert process.returncode == 130, talk
    assert time.monotonic() - began < 7
    assert "Traceback" not in talk
    watch.assert_clean()


def wait_for_work(watch: Watch, process: subprocess.Popen[str]) -> None:
    """Until the command has made its first instance."""
    busy: Callable[[], object] = lambda: process.poll() is not None or "instances" in watch.leftovers()  # noqa: E731
    until(busy, seconds=60)
    assert process.poll() is None
