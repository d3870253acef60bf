"""What is special to services as plain processes; what all engines promise is in ``tests/contract``."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.embedded import (
    INSTALLATION,
    USER,
    ScriptRecipe,
    engine_in,
    scripted_program,
    segments_of,
    spec_of,
    walkable_folder,
)
from support.wait import until

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.engines.embedded import engine as engine_module
from orchestrator.engines.embedded import running
from orchestrator.engines.embedded.engine import EmbeddedEngine
from orchestrator.engines.embedded.folder import InstanceFolder
from orchestrator.engines.embedded.launch import Detached
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec, State
from orchestrator.system.processes import Identity, boot_id, find, look, tree, wait_gone

FOREVER = "exec sleep 600"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Everything that was started below it is ended."""
    with walkable_folder() as path:
        scripted_program(path)
        monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        try:
            yield path
        finally:
            for entry in (path / "instances").iterdir():
                if entry.name != "kept":
                    engine_in(path).remove(entry.name, data=True)


@pytest.fixture
def engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedEngine:
    """For scripts, which never listen."""
    monkeypatch.setattr(running, "LISTEN_SECONDS", 0.15)
    return engine_in(folder)


def started(engine: EmbeddedEngine, script: str = FOREVER, *, environment: str = "env-1",
            **options: object) -> InstanceSpec:
    spec = spec_of("script", environment=environment)
    engine.create(spec, ScriptRecipe(script, **options))  # type: ignore[arg-type]
    engine.start(spec.name)
    return spec


def at(folder: Path, spec: InstanceSpec) -> InstanceFolder:
    return InstanceFolder(folder / "instances" / spec.name)


def identity(folder: Path, spec: InstanceSpec) -> Identity:
    run = at(folder, spec).run()
    assert run is not None
    return run.identity


def listed(engine: Engine) -> list[Instance]:
    return list(engine.list(user=USER, installation=INSTALLATION))


def state(engine: EmbeddedEngine, spec: InstanceSpec) -> State | None:
    found = engine.inspect(spec.name)
    return found.state if found else None


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


# --- crashes ---------------------------------------------------------------------------------------------------


def test_a_later_command_finds_and_ends_what_an_earlier_one_started(engine: EmbeddedEngine, folder: Path) -> None:
    """Another process starts the service and ends; only the folder connects the two."""
    code = textwrap.dedent(f"""
        from pathlib import Path
        from orchestrator.engines.embedded import running
        from support.embedded import *
        running.LISTEN_SECONDS = 0.1
        engine, spec = engine_in(Path({str(folder)!r})), spec_of("script")
        engine.create(spec, ScriptRecipe({FOREVER!r}))
        engine.start(spec.name)
    """)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    (found,) = listed(engine)
    assert found.state is State.RUNNING

    engine.stop(found.spec.name)

    assert state(engine, found.spec) is State.EXITED
    assert engine.logs(found.spec.name) == ""


def test_a_command_killed_at_any_moment_leaves_nothing_that_is_not_on_record(
        engine: EmbeddedEngine, folder: Path) -> None:
    """SIGKILL during create, start and remove, at many moments: what is listed can be removed, all else is gone."""
    code = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from orchestrator.engines.embedded import running
        from support.embedded import *
        running.LISTEN_SECONDS = 0.02
        engine, spec = engine_in(Path({str(folder)!r})), spec_of("script")
        recipe = ScriptRecipe("exec sleep 601", initialise="echo x > $DATA/x; sleep 0.02", template_key="crash",
                              personalise="sleep 0.02")
        print("go", flush=True)
        while True:
            engine.create(spec, recipe)
            engine.start(spec.name)
            engine.remove(spec.name, data=True)
    """)
    for number in range(12):
        labs = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE)
        assert labs.stdout is not None
        labs.stdout.readline()
        time.sleep(0.011 * number)  # not waiting for anything: the moment of the blow is what varies
        labs.kill()
        labs.wait()
        labs.stdout.close()

        for instance in listed(engine):
            engine.remove(instance.spec.name, data=True)

        assert [path.name for path in (folder / "instances").iterdir() if not path.name.startswith(".gone")] == []
        until(lambda: not _commands_below(folder))
    listed(engine)
    assert list((folder / "instances").iterdir()) == []


def _commands_below(folder: Path) -> list[str]:
    """Processes whose working folder is in ours: all that the engine starts."""
    found = []
    for pid in look():
        try:
            where = str(Path(f"/proc/{pid}/cwd").readlink())
        except OSError:
            continue
        if where.startswith(str(folder)):
            found.append(where)
    return found


def test_a_folder_without_its_spec_does_not_disturb_the_others(engine: EmbeddedEngine, folder: Path) -> None:
    """Both copies damaged: the others are listed; a new create of the name ends the old service and keeps the data."""
    broken, whole = started(engine, environment="broken"), started(engine, environment="whole")
    old = identity(folder, broken)
    (at(folder, broken).path / "data" / "rows").write_text("the learner's")
    for name in ("instance.json", "spare.json", "process.json"):
        (at(folder, broken).path / name).write_text("{torn")

    assert [instance.spec for instance in listed(engine)] == [whole]
    assert engine.inspect(broken.name) is None

    engine.create(broken, ScriptRecipe(FOREVER))
    assert find(old, look()) is None
    engine.start(broken.name)
    assert (at(folder, broken).path / "data" / "rows").read_text() == "the learner's"
    assert len(listed(engine)) == 2


def test_a_service_whose_program_is_gone_counts_as_data_only(engine: EmbeddedEngine, folder: Path) -> None:
    """An old virtual environment was removed: the next start makes the instance anew, on its data."""
    spec = started(engine)
    engine.stop(spec.name)
    path = at(folder, spec).path / "process.json"
    path.write_text(path.read_text().replace("/bin/sh", "/old/venv/bin/sh"))
    assert state(engine, spec) is State.MISSING

    engine.create(spec, ScriptRecipe(FOREVER))
    engine.start(spec.name)

    assert state(engine, spec) is State.RUNNING


def test_somebody_elses_instance_of_the_name_is_not_taken_over(engine: EmbeddedEngine) -> None:
    """Even if only its data is left."""
    spec = started(engine)
    engine.remove(spec.name, data=False)
    assert state(engine, spec) is State.MISSING
    foreign = dataclasses.replace(spec, owner=dataclasses.replace(spec.owner, installation="another"))
    with pytest.raises(EnvironmentFault) as caught:
        engine.create(foreign, ScriptRecipe(FOREVER))

    assert caught.value.code == "exists"


def test_two_commands_at_once_start_one_service(engine: EmbeddedEngine, folder: Path) -> None:
    """The second finds it running."""
    spec = spec_of("script")
    engine.create(spec, ScriptRecipe("echo begun; exec sleep 600"))
    threads = [threading.Thread(target=engine_in(folder).start, args=(spec.name,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert engine.logs(spec.name) == "begun\n"


def test_what_is_not_there_needs_no_ending(engine: EmbeddedEngine, folder: Path) -> None:
    """Stop, kill, unpause and remove are harmless twice; start and pause would be a mistake, and say so."""
    name = "labs-gone-script"
    engine.stop(name)
    engine.kill(name)
    engine.unpause(name)
    engine.remove(name, data=True)
    for call in (engine.start, engine.pause):
        with pytest.raises(EnvironmentFault) as caught:
            call(name)
        assert caught.value.code == "engine-failed"

    assert list((folder / "instances").iterdir()) == []


def test_bad_names_never_leave_the_folder(engine: EmbeddedEngine) -> None:
    """Names become folders."""
    for name in ("../x", "a/b", ".hidden", "kept", ""):
        with pytest.raises(EnvironmentFault, match="cannot be the name"):
            engine.remove(name, data=True)


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


# --- real services ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warm() -> Iterator[Path]:
    """A cache that is made once: root's copy of the wheels, PostgreSQL's template."""
    with walkable_folder() as path:
        yield path / "cache"


@pytest.fixture
def real(folder: Path, warm: Path) -> EmbeddedEngine:
    return engine_in(folder, cache=warm)


def test_postgres_starts_again_after_a_stranger_killed_its_postmaster(real: EmbeddedEngine, folder: Path) -> None:
    """Its children, which leave its session, outlive it for a moment and hold its shared memory."""
    recipe = services.recipe("postgres")
    offer = real.offer(recipe)
    if not offer.available:
        pytest.skip(offer.missing)
    spec = spec_of("postgres")
    real.create(spec, recipe)
    real.start(spec.name)
    for _ in range(3):
        root = identity(folder, spec)
        until(lambda root=root: len(tree(root, look())) > 4)  # type: ignore[misc]
        os.kill(root.pid, signal.SIGKILL)
        until(lambda: state(real, spec) is State.EXITED)
        real.start(spec.name)
        assert state(real, spec) is State.RUNNING
        with socket.create_connection(("127.0.0.1", spec.port), timeout=5):
            pass


def test_postgres_starts_after_a_reboot_that_gave_its_pid_away(real: EmbeddedEngine, folder: Path) -> None:
    """Its lock file names a pid that is a stranger's by now; PostgreSQL alone would refuse."""
    recipe = services.recipe("postgres")
    offer = real.offer(recipe)
    if not offer.available:
        pytest.skip(offer.missing)
    spec = spec_of("postgres")
    real.create(spec, recipe)
    real.start(spec.name)
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
def test_a_killed_postgres_leaves_no_shared_memory(real: EmbeddedEngine, folder: Path) -> None:
    """Every judge instance ends so: what each left would fill the machine, and soon no PostgreSQL could start."""
    recipe = services.recipe("postgres")
    offer = real.offer(recipe)
    if not offer.available:
        pytest.skip(offer.missing)
    spec = spec_of("postgres")
    real.create(spec, recipe)
    real.start(spec.name)
    pid = identity(folder, spec).pid
    assert len(segments_of(pid)) == 1
    assert "/dev/shm/PostgreSQL" not in Path(f"/proc/{pid}/maps").read_text()

    real.kill(spec.name)

    assert segments_of(pid) == []
