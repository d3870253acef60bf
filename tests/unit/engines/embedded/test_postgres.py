"""PostgreSQL as plain processes: it starts again whatever its last end left, and leaves nothing itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.embedded import at, engine_in, identity, segments_of, spec_of, state, walkable_folder
from support.wait import until

from orchestrator import services
from orchestrator.engines.embedded.engine import EmbeddedEngine
from orchestrator.model import InstanceSpec, State
from orchestrator.system.processes import look, tree


@pytest.fixture(scope="module")
def warm() -> Iterator[Path]:
    """A cache that is made once: root's copy of the wheels, PostgreSQL's template."""
    with walkable_folder() as path:
        yield path / "cache"


@pytest.fixture
def real(folder: Path, warm: Path) -> EmbeddedEngine:
    return engine_in(folder, cache=warm)


@pytest.fixture
def running(real: EmbeddedEngine) -> InstanceSpec:
    """PostgreSQL, started for the first time."""
    recipe = services.recipe("postgres")
    offer = real.offer(recipe)
    if not offer.available:
        pytest.skip(offer.missing)
    spec = spec_of("postgres")
    real.create(spec, recipe)
    real.start(spec.name)
    return spec


def test_postgres_starts_again_after_a_stranger_killed_its_postmaster(
    real: EmbeddedEngine, folder: Path, running: InstanceSpec,
) -> None:
    """Its children, which leave its session, outlive it for a moment and hold its shared memory."""
    spec = running
    for _ in range(3):
        root = identity(folder, spec)
        until(lambda root=root: len(tree(root, look())) > 4)  # type: ignore[misc]
        os.kill(root.pid, signal.SIGKILL)
        until(lambda: state(real, spec) is State.EXITED)
        real.start(spec.name)
        assert state(real, spec) is State.RUNNING
        with socket.create_connection(("127.0.0.1", spec.port), timeout=5):
            pass


def test_postgres_starts_after_a_reboot_that_gave_its_pid_away(
    real: EmbeddedEngine, folder: Path, running: InstanceSpec,
) -> None:
    """Its lock file names a pid that is a stranger's by now; PostgreSQL alone would refuse."""
    spec = running
    other = spec_of("redis")  # runs as the same user, as PostgreSQL's check wants it
    real.create(other, services.recipe("redis"))
    real.start(other.name)
    root = identity(folder, spec)
    lock = at(folder, spec).path / "data" / "postmaster.pid"
    text = lock.read_text()
    real.kill(spec.name)
    lock.write_text(text.replace(str(root.pid), str(identity(folder, other).pid), 1))
    path = at(folder, spec).path / "pid.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "before"}))

    real.start(spec.name)

    assert state(real, spec) is State.RUNNING, real.logs(spec.name, tail=5)
    assert state(real, other) is State.RUNNING


@pytest.mark.skipif(sys.platform != "linux", reason="the tables of /proc show whose memory it is")
def test_a_killed_postgres_leaves_no_shared_memory(
    real: EmbeddedEngine, folder: Path, running: InstanceSpec,
) -> None:
    """Every judge instance ends so: what each left would fill the machine, and soon no PostgreSQL could start."""
    spec = running
    pid = identity(folder, spec).pid
    assert len(segments_of(pid)) == 1
    assert "/dev/shm/PostgreSQL" not in Path(f"/proc/{pid}/maps").read_text()

    real.kill(spec.name)

    assert segments_of(pid) == []
