"""Leases and the sweep: what a dead command owned goes, everything else stays."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.memory import MemoryEngine

from orchestrator.errors import EnvironmentBusy, EnvironmentFault
from orchestrator.model import Credentials, Instance, InstanceSpec, Owner, State
from orchestrator.ownership import kept_spaces, leases
from orchestrator.ownership.sweep import sweep
from orchestrator.system.home import Home

HOLDER = """
import pathlib, sys, time
from orchestrator.ownership import kept_spaces, leases
from orchestrator.system.home import Home
root = pathlib.Path(sys.argv[1])
with leases.hold(Home(root, root / "state", root), engine="memory", environment="e", purpose="judge") as owner:
    print(owner.lease, owner.user, owner.installation, owner.pid, owner.pid_started, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "state", tmp_path)


def holder(home: Home) -> tuple[subprocess.Popen[str], Owner]:
    """Another process that holds a lease, and the owner that it puts on objects."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(home.data)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lease, user, installation, pid, started = process.stdout.readline().split()
    return process, Owner("e", user, installation, lease, int(pid), float(started), "judge")


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)


def instance(owner: Owner, name: str = "labs-e-redis") -> Instance:
    return Instance(InstanceSpec("redis", name, "e", "databases", owner, Credentials("a", "b", "c", "d", "e"), 6379,
                                 False, "c"), State.RUNNING)


def test_what_a_killed_command_made_is_removed(home: Home) -> None:
    """The lease is free after SIGKILL, so the sweep finds its objects by their label."""
    process, owner = holder(home)
    engine = MemoryEngine()
    engine.instances["labs-e-redis"] = instance(owner)
    end(process)

    assert sweep(home, {"memory": engine}) == ("labs-e-redis",)
    assert engine.instances == {}
    assert list(home.leases.glob("*.json")) == []


def test_what_a_living_command_made_is_left_alone(home: Home) -> None:
    """A held lease protects its objects."""
    process, owner = holder(home)
    engine = MemoryEngine()
    engine.instances["labs-e-redis"] = instance(owner)
    try:
        assert sweep(home, {"memory": engine}) == ()
        assert list(engine.instances) == ["labs-e-redis"]
    finally:
        end(process)


def test_a_living_command_whose_lease_file_was_deleted_is_left_alone(home: Home) -> None:
    """Its pid and start time speak for it."""
    process, owner = holder(home)
    engine = MemoryEngine()
    engine.instances["labs-e-redis"] = instance(owner)
    (home.leases / f"{owner.lease}.json").unlink()
    try:
        assert sweep(home, {"memory": engine}) == ()
    finally:
        end(process)

    assert sweep(home, {"memory": engine}) == ("labs-e-redis",)


def test_an_object_that_appears_after_the_first_listing_is_removed(home: Home) -> None:
    """A create request of a killed client may take effect late; two listings half a second apart must be empty."""
    process, owner = holder(home)
    end(process)

    class Late(MemoryEngine):
        born = time.monotonic() + 0.2

        def list(self, **wanted: str | None) -> list[Instance]:  # type: ignore[override]
            if time.monotonic() > self.born and ("remove", "labs-e-redis") not in self.calls:
                self.instances["labs-e-redis"] = instance(owner)
            return super().list(**wanted)  # type: ignore[arg-type]

    engine = Late()

    assert sweep(home, {"memory": engine}) == ("labs-e-redis",)
    assert engine.instances == {}


def test_kept_environments_and_foreign_objects_are_left_alone(home: Home) -> None:
    """The mark protects what a successful start made, another user's objects are not even listed."""
    process, owner = holder(home)
    end(process)
    engine = MemoryEngine()
    engine.instances["kept"] = instance(dataclasses.replace(owner, purpose="environment"), "kept")
    engine.instances["foreign"] = instance(dataclasses.replace(owner, user="other"), "foreign")
    engine.instances["second"] = instance(dataclasses.replace(owner, installation="other"), "second")
    engine.keep("e", user=owner.user, installation=owner.installation)

    assert sweep(home, {"memory": engine}) == ()
    assert set(engine.instances) == {"kept", "foreign", "second"}


def test_a_torn_lease_file_is_no_obstacle(home: Home) -> None:
    """A crash while the lease was written leaves half a file: it is swept like any other."""
    home.leases.mkdir(parents=True)
    (home.leases / "0123456789abcdef.json").write_text('{"v": 1, "lea')

    assert sweep(home, {"memory": MemoryEngine()}) == ()
    assert list(home.leases.glob("*.json")) == []


def test_a_lease_on_another_engine_waits_for_a_command_on_that_engine(home: Home) -> None:
    """Docker may be down now; what is on it is removed when it is back."""
    process, _ = holder(home)
    end(process)

    sweep(home, {"another": MemoryEngine()})

    assert len(list(home.leases.glob("*.json"))) == 1


def test_the_scratch_folder_of_a_dead_run_goes(home: Home) -> None:
    """Folders of check runs are removed with their lease, and folders without any lease, too."""
    process, owner = holder(home)
    end(process)
    for name in (owner.lease, "without-lease"):
        (home.runs / name / "deep").mkdir(parents=True)

    sweep(home, {"memory": MemoryEngine()})

    assert list(home.runs.iterdir()) == []


def test_a_clean_end_leaves_no_lease(home: Home) -> None:
    """The file goes with the block; after an exception it stays, for the next command to look."""
    with leases.hold(home, engine="memory", environment="e", purpose="judge") as owner:
        assert leases.exists(home, owner.lease)
        assert leases.owner_alive(home, owner)
    assert not leases.exists(home, owner.lease)

    with pytest.raises(RuntimeError), leases.hold(home, engine="memory", environment="e", purpose="judge") as owner:
        raise RuntimeError
    assert leases.exists(home, owner.lease)


def test_a_lock_that_is_held_says_by_whom(home: Home) -> None:
    """Waiting has an end, and the message names the holder."""
    with leases.lock(home, "e"):
        with pytest.raises(EnvironmentBusy, match=rf"pid {os.getpid()}"):
            with leases.lock(home, "e", wait=0.1):
                pass
    with leases.lock(home, "e", wait=0.1):
        pass


def test_what_cannot_be_removed_now_is_removed_by_the_next_command(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said, and no reason for the command to fail: the lease keeps the memory of it."""
    process, owner = holder(home)
    engine = MemoryEngine()
    engine.instances["labs-e-redis"] = instance(owner)
    end(process)
    troubles: list[EnvironmentFault] = []

    def refuse(name: str, *, data: bool) -> None:
        raise EnvironmentFault(f"{name} is in use", code="engine-failed")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "remove", refuse)
        assert sweep(home, {"memory": engine}, on_trouble=troubles.append) == ()

    assert "in use" in troubles[0].message
    assert sweep(home, {"memory": engine}) == ("labs-e-redis",)
    assert list(home.leases.glob("*.json")) == []


def test_a_kept_judge_space_lives_as_long_as_its_file_and_its_workspace(home: Home, tmp_path: Path) -> None:
    """The command that made it is dead and its lease is gone; the space goes when nobody can look into it any more."""
    process, owner = holder(home)
    owner = dataclasses.replace(owner, purpose="judge")
    end(process)
    workspace = tmp_path / "server"
    workspace.mkdir()
    engine = MemoryEngine()
    engine.instances["labs-e-redis"] = instance(owner)
    space = kept_spaces.KeptSpace(owner.environment, "memory", str(workspace), "databases", "redis/hold", "lost", 7,
                                  8080, 1.0)
    kept_spaces.remember(home, space)

    assert sweep(home, {"memory": engine}) == ()
    assert sweep(home, {"memory": engine}) == ()  # its lease is forgotten now
    assert kept_spaces.find(home, workspace) == [space]

    workspace.rmdir()
    assert sweep(home, {"memory": engine}) == ("labs-e-redis",)
    assert list(home.kept_spaces.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"environment": "e"}'])
def test_a_torn_file_of_a_kept_space_keeps_nothing(home: Home, text: str) -> None:
    home.kept_spaces.mkdir(parents=True)
    (home.kept_spaces / "e.json").write_text(text)

    assert kept_spaces.spaces(home) == {}


def test_a_full_disk_and_a_lock_that_is_no_file_are_said_in_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing that `labs start` writes is who holds the lock."""
    home.locks.mkdir(parents=True)
    os.mkfifo(home.locks / "fifo.lock")
    with pytest.raises(EnvironmentFault, match=r"fifo\.lock cannot be written"), leases.lock(home, "fifo"):
        pass

    def full(descriptor: int, content: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(EnvironmentFault, match="the disk is full"), leases.lock(home, "databases"):
        pass


@pytest.mark.parametrize("content", ['{"id": 7}', "[]", '{"id": [], "engine": {}, "environment": 1, "purpose": 2}'])
def test_a_lease_of_wrong_types_is_a_torn_one(home: Home, content: str) -> None:
    """Whoever wrote it: the sweep looks at every engine for what it may have had."""
    home.leases.mkdir(parents=True)
    (home.leases / "x.json").write_text(content)
    os.mkfifo(home.leases / "y.json")
    with leases.take_dead(home) as dead:
        assert dead == [("x", None), ("y", None)]
