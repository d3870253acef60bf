"""SIGKILL of a command that breaks or heals a service, at each of its steps: the next command puts it right."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from support.embedded import engine_in, walkable_folder
from support.ports import usual_ports_taken

from orchestrator import services
from orchestrator.engines.files import FileEngine
from orchestrator.engines.routed import RoutedEngine
from orchestrator.environments.facade import Environments, environment_id
from orchestrator.environments.faults import SETTLE, OwnFaults
from orchestrator.faults import record, relay
from orchestrator.faults.toxics import kind_of, numbers_of
from orchestrator.model import State
from orchestrator.system.home import Home
from orchestrator.system.processes import look

NAME = "hostile"
HEAL_SECONDS = 1.0 + SETTLE
"""A second, and the half in which what a killed command asked an engine for may still come."""
STEP = 1 if int(os.environ.get("SOAK", "0")) > 5 else 3
"""Of the command's steps each, or every third, is its last one."""
def playground(folder: Path) -> tuple[Environments, OwnFaults, Home]:
    """The environment in this folder, as each command finds it."""
    home = Home(folder / "home/data", folder / "home/state", folder / "home/cache")
    engine = RoutedEngine(engine_in(folder), FileEngine(folder / "files"))
    environments = Environments(engine, home, services.Recipes())
    return environments, OwnFaults(environments, home), home


@pytest.fixture
def folder() -> Iterator[Path]:
    with walkable_folder() as folder:
        environments, _, _ = playground(folder)
        with usual_ports_taken():  # other tests want these while a service moves
            environments.start("databases", NAME, ["redis"])
        try:
            yield folder
        finally:
            environments.clean([NAME])


def kill_at(folder: Path, deed: str, number: int) -> bool:
    """Whether the command was killed before or after one of its steps; it ended before if it has fewer."""
    pid = os.fork()
    if pid == 0:
        try:
            command(folder, deed, number)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def command(folder: Path, deed: str, number: int) -> None:
    """What `labs fault` does, with a counter of everything that somebody else can see."""
    environments, faults, _ = playground(folder)
    steps = itertools.count(1)

    def step() -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            answer = real(*args, **kwargs)
            step()
            return answer

        setattr(owner, name, call)

    dying(record, "write")
    dying(relay, "ask")
    dying(subprocess, "Popen")
    for name in ("create", "start", "stop", "remove", "pause", "kill", "unpause"):
        dying(environments._engine, name)
    if deed == "heal":
        faults.heal(NAME)
    else:
        kind = kind_of(deed)
        numbers = numbers_of(kind, {"ms": 5.0} if deed == "latency" else {})
        faults.add(NAME, "redis", kind, ("downstream",), numbers, None)


def standing(folder: Path) -> list[int]:
    """The processes in front of services of this folder that are there."""
    found = []
    for pid in look():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"orchestrator.faults.relay" in words and any(str(folder).encode() in word for word in words):
            found.append(pid)
    return found


@pytest.mark.parametrize("deed", ["latency", "pause", "kill", "restart", "heal"])
def test_a_kill_at_any_step_is_put_right_by_the_next_command(folder: Path, deed: str) -> None:
    """The service runs, answers at the address that it had with the data that it had, and has no fault that is half
    done; nothing stands in front of it that is not noted."""
    environments, faults, home = playground(folder)
    url = environments.variables(NAME)["REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
    began = time.monotonic()
    environments.stop([NAME])
    environments.start("databases", NAME, ["redis"])
    control = time.monotonic() - began
    for number in itertools.count(1, STEP):
        if deed == "heal":
            for kind in ("latency", "pause"):
                kill_at(folder, kind, 10_000)
        killed = kill_at(folder, deed, number)
        began = time.monotonic()

        faults.mend()

        took = time.monotonic() - began
        broken = environments.breakages.read(environment_id(NAME, home))
        there = [] if broken is None else list(broken.faults)
        assert all(one.done for one in there), number
        if killed:
            # A busy machine has more time: as long as a stop and a start of the service took here.
            assert took < max(HEAL_SECONDS, 4 * control), f"step {number}: {took:.1f} s, control {control:.1f} s"
        instance = environments.instance(NAME, "redis")
        ended = any(not one.link for one in there)
        assert ended == (instance.state is not State.RUNNING), number
        assert environments.variables(NAME)["REDIS_URL"] == url
        if not ended:
            with redis.Redis.from_url(url, socket_timeout=10) as client:
                assert client.get("kept") == b"yes", number
        assert standing(folder) == [one.pid for one in (broken.relays if broken else ()) if relay.alive(one)], number
        faults.heal(NAME)
        if killed and deed == "latency":
            environments.stop([NAME])
            environments.start("databases", NAME, ["redis"])
            assert standing(folder) == []
        if not killed:
            break
    assert number > 3
