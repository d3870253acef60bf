"""What is special to services as plain processes; what all engines promise is in ``tests/contract``."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest
from support.embedded import FOREVER, ScriptRecipe, at, identity, spec_of, started, state
from support.wait import until

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.engines.embedded import engine as engine_module
from orchestrator.engines.embedded.engine import EmbeddedEngine
from orchestrator.engines.embedded.launch import Detached
from orchestrator.errors import EnvironmentFault
from orchestrator.model import State
from orchestrator.system.processes import boot_id, look, tree, wait_gone


def test_it_is_the_embedded_engine(engine: EmbeddedEngine) -> None:
    """As the docker engine is: the type checker reads this line."""
    one: Engine = engine

    assert one.info().name == "embedded"


def test_a_service_is_an_offer_only_with_its_program(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, create says what is missing and what would help."""
    assert engine.offer(ScriptRecipe("")).available
    monkeypatch.setenv("PATH", "/nonexistent")
    offer = engine.offer(ScriptRecipe(""))
    assert (offer.available, offer.reason) == (False, "binary-missing")
    assert "scripted" in offer.missing
    assert "docker" in offer.remedy

    with pytest.raises(EnvironmentFault) as caught:
        engine.create(spec_of("script"), ScriptRecipe(""))
    assert caught.value.code == "binary-missing"


# --- whom it touches -------------------------------------------------------------------------------------------


def test_services_of_root_run_as_nobody(engine: EmbeddedEngine, folder: Path) -> None:
    """Of an ordinary user as that user."""
    spec = started(engine)
    owner = Path(f"/proc/{identity(folder, spec).pid}").stat().st_uid

    assert owner == (os.getuid() or pwd.getpwnam("nobody").pw_uid)


def test_how_a_service_ended_is_known_although_its_last_thread_is_slow(
        engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process is gone from sight when its first thread is; its exit code comes with the last."""
    spec = started(engine)
    polls, poll = itertools.count(), Detached.poll
    monkeypatch.setattr(Detached, "poll", lambda process: None if next(polls) < 5 else poll(process))

    engine.kill(spec.name)

    instance = engine.inspect(spec.name)
    assert instance is not None
    assert (instance.state, instance.exit_code) == (State.EXITED, -9)


@pytest.mark.parametrize("change", [{"started": "12345"}, {"boot": "another boot"}])
def test_a_recorded_pid_that_is_somebody_elses_by_now_is_left_alone(
        engine: EmbeddedEngine, folder: Path, change: dict[str, str]) -> None:
    """After a reboot or long enough the pid is a stranger's: the service counts as ended, the stranger lives."""
    spec = started(engine)
    engine.stop(spec.name)
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        record = {"pid": stranger.pid, "started": look([stranger.pid])[stranger.pid].started, "boot": boot_id(),
                  "exit_code": None}
        (at(folder, spec).path / "pid.json").write_text(json.dumps({**record, **change}))

        assert state(engine, spec) is State.EXITED
        engine.stop(spec.name)
        engine.kill(spec.name)
        engine.start(spec.name)
        assert state(engine, spec) is State.RUNNING
        engine.remove(spec.name, data=True)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_stop_reaches_those_who_left_the_session(engine: EmbeddedEngine, folder: Path) -> None:
    """The first process ends at its signal; a child in its own session that does not is killed after the grace."""
    script = ("setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' &"
              " trap 'exit 5' TERM; while :; do sleep 0.01; done")
    spec = started(engine, script, stop_grace=0.3)
    root = identity(folder, spec)
    until(lambda: len({process.session for process in tree(root, look())}) == 2)
    members = tree(root, look())

    engine.stop(spec.name)

    found = engine.inspect(spec.name)
    assert found is not None
    assert (found.state, found.exit_code) == (State.EXITED, 5)
    assert wait_gone(members, until=0) == []


def test_a_paused_service_can_be_stopped(engine: EmbeddedEngine) -> None:
    """It gets its signal and is woken to hear it."""
    spec = started(engine, "trap 'exit 6' TERM; while :; do sleep 0.01; done")
    engine.pause(spec.name)
    assert state(engine, spec) is State.PAUSED

    engine.stop(spec.name)

    found = engine.inspect(spec.name)
    assert found is not None
    assert found.exit_code == 6


def test_pausing_what_does_not_run_is_an_error(engine: EmbeddedEngine) -> None:
    """A fault that would do nothing must not look as if it had been done."""
    spec = spec_of("script")
    engine.create(spec, ScriptRecipe(FOREVER))
    with pytest.raises(EnvironmentFault, match="not running"):
        engine.pause(spec.name)


# --- starting --------------------------------------------------------------------------------------------------


def test_a_step_that_fails_says_what_it_said(engine: EmbeddedEngine) -> None:
    """Its program, exit code and last lines; the next start tries again."""
    spec = spec_of("script")
    engine.create(spec, ScriptRecipe(FOREVER, initialise="echo no locale; exit 4"))
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match=r"sh failed with exit code 4") as caught:
            engine.start(spec.name)
        assert caught.value.details == ("no locale",)
    assert state(engine, spec) is State.EXITED


def test_a_full_disk_is_called_so(engine: EmbeddedEngine) -> None:
    """Whether we write or a step does."""
    spec = spec_of("script")
    engine.create(spec, ScriptRecipe(FOREVER, initialise="echo 'initdb: No space left on device'; exit 1"))
    with pytest.raises(EnvironmentFault) as caught:
        engine.start(spec.name)

    assert caught.value.code == "disk-full"


def test_a_service_that_loses_the_race_for_its_port_is_port_busy(engine: EmbeddedEngine) -> None:
    """Free when we looked, taken when the service bound it: its own words tell."""
    spec = spec_of("script")
    engine.create(spec, ScriptRecipe("echo 'bind: Address already in use'; exit 1"))
    with pytest.raises(EnvironmentFault) as caught:
        engine.start(spec.name)

    assert caught.value.code == "port-busy"
    assert state(engine, spec) is State.EXITED


def test_a_service_that_dies_at_once_is_left_for_the_caller_to_judge(engine: EmbeddedEngine) -> None:
    """Exit code and log are there; nothing is tried twice."""
    spec = started(engine, "echo bad settings; exit 7")
    found = engine.inspect(spec.name)

    assert found is not None
    assert (found.state, found.exit_code, engine.logs(spec.name)) == (State.EXITED, 7, "bad settings\n")


def test_a_service_whose_predecessors_children_live_on_is_started_again(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PostgreSQL after SIGKILL says so; the start waits for them instead of failing."""
    monkeypatch.setattr(engine_module, "_untidy", lambda spec: services.recipe("postgres"))
    spec = started(engine, "cd $DATA; echo x >> tries; test $(wc -l < tries) -ge 3 && exec sleep 600;"
                           " echo 'FATAL: pre-existing shared memory block is still in use'; exit 1")

    assert state(engine, spec) is State.RUNNING


def test_the_log_goes_on_over_restarts_and_can_be_followed(engine: EmbeddedEngine, folder: Path) -> None:
    """What a service said before it died is there after it was started again."""
    spec = started(engine, "echo begun $$; exec sleep 600")
    engine.kill(spec.name)
    engine.start(spec.name)

    assert len(engine.logs(spec.name).splitlines()) == 2
    assert len(engine.logs(spec.name, tail=1).splitlines()) == 1
    argv = engine.follow(spec.name)
    assert argv is not None
    with subprocess.Popen(list(argv), stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        assert "".join(tail.stdout.readline() for _ in range(2)) == engine.logs(spec.name)
        tail.terminate()
    assert engine.follow("labs-unknown-script") is None
