"""What an engine of plain processes finds that commands left which ended anywhere, ran at once, or never were."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from support.embedded import FOREVER, ScriptRecipe, at, engine_in, identity, listed, spec_of, started, state
from support.wait import until

from orchestrator.engines.embedded.engine import EmbeddedEngine
from orchestrator.errors import EnvironmentFault
from orchestrator.model import State
from orchestrator.system.processes import find, look


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
