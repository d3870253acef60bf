"""An instance's folder: whole files or none, and nothing thrown away that somebody may want."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.embedded import spec_of

from orchestrator.engines.embedded import folder as module
from orchestrator.engines.embedded.folder import InstanceFolder, RecordedProcess, cap_log, open_log, tail_bytes
from orchestrator.engines.spec_json import decode, encode
from orchestrator.model import InstanceSpec, ProcessSpec, Step
from orchestrator.system.processes import Identity

SPEC = spec_of("postgres", port=5432)


@pytest.fixture
def instance(tmp_path: Path) -> InstanceFolder:
    path = tmp_path / SPEC.name
    path.mkdir()
    return InstanceFolder(path)


@pytest.mark.parametrize("spec", [
    SPEC, dataclasses.replace(SPEC, keep_data=False, name_given="späť 'x'", owner=dataclasses.replace(
        SPEC.owner, purpose="judge", pid_started=0.1 + 0.2))])
def test_a_spec_survives_json_whole(spec: InstanceSpec) -> None:
    """The folder carries all of it: nothing else remembers an instance."""
    assert decode(json.loads(json.dumps(encode(spec)))) == spec


@pytest.mark.parametrize("damage", [
    None, [], {}, {"owner": {}}, {**encode(SPEC), "port": "5432"}, {**encode(SPEC), "owner": None},
    {**encode(SPEC), "owner": {**encode(SPEC)["owner"], "purpose": "mischief"}},
    {key: value for key, value in encode(SPEC).items() if key != "config"},
])
def test_a_damaged_spec_is_refused(damage: Any) -> None:
    """Whatever somebody made of the file, the answer is one kind of error."""
    with pytest.raises(ValueError, match=r"\w"):
        decode(damage)


@pytest.mark.parametrize("content", ["", "{", "\0\0\0", '{"port": 1}', "[]"])
def test_a_damaged_spec_is_read_from_its_spare(instance: InstanceFolder, content: str) -> None:
    """Passwords stand nowhere else: one damaged file must not lose them."""
    instance.write_spec(SPEC)
    (instance.path / "instance.json").write_text(content)
    assert instance.spec() == SPEC

    (instance.path / "spare.json").write_text(content)
    assert instance.spec() is None


def test_a_spec_of_another_name_is_none(instance: InstanceFolder) -> None:
    """A folder that was copied by hand does not stand for the original."""
    instance.write_spec(dataclasses.replace(SPEC, name="labs-other-postgres"))

    assert instance.spec() is None


def test_process_and_run_survive_the_disk(instance: InstanceFolder) -> None:
    """A later command runs and ends the service exactly as the first would have."""
    process = ProcessSpec(("/bin/x", "-a"), instance.path / "data", {"x.conf": "y"}, (Step(("/bin/i",), "in"),), "key",
                          (Step(("/bin/p",)),), {"A": "b"}, "SIGINT", 3.0)
    run = RecordedProcess(Identity(7, "99", "boot"), -9)
    instance.write_process(process)
    instance.write_run(run)

    assert instance.process() == process
    assert instance.run() == run
    assert instance.run("step") is None


@pytest.mark.parametrize("content", [
    "", "[1]", '{"pid": 1}', '{"pid": "x", "started": 1, "boot": 1, "exit_code": null}'])
def test_a_damaged_record_is_none(instance: InstanceFolder, content: str) -> None:
    """Nobody is signalled because of a file that cannot be read."""
    for name in ("pid.json", "process.json"):
        (instance.path / name).write_text(content)

    assert instance.run() is None
    assert instance.process() is None


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/x", "a/../../../x"])
def test_a_recipes_files_stay_in_the_folder(instance: InstanceFolder, relative: str) -> None:
    """No recipe writes outside of its instance."""
    with pytest.raises(ValueError, match="leaves"):
        instance.write_own_file(relative, "x", None)


def test_a_recipes_files_are_for_the_service_alone(instance: InstanceFolder) -> None:
    """They hold passwords: 0600, and written anew at each create."""
    instance.write_own_file("conf/x", "old and longer", None)
    instance.write_own_file("conf/x", "new", None)

    assert (instance.path / "conf/x").read_text() == "new"
    assert (instance.path / "conf/x").stat().st_mode & 0o777 == 0o600


def test_a_log_that_has_grown_is_cut_to_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that floods its output does not fill the disk, and what it writes after the cut is kept."""
    monkeypatch.setattr(module, "LOG_KEPT", 20)
    log = tmp_path / "log"
    writer = open_log(log)
    with os.fdopen(writer, "w") as service:
        service.write("".join(f"line {n:03}\n" for n in range(100)))
        service.flush()
        cap_log(log, cap=2000)
        assert log.stat().st_size == 900

        cap_log(log, cap=500)
        service.write("after\n")

    assert log.read_text() == "line 098\nline 099\nafter\n"


def test_a_tail_begins_with_a_whole_line(tmp_path: Path) -> None:
    """Half a line would mislead."""
    (tmp_path / "log").write_text("one\ntwo\nthree\n")

    assert tail_bytes(tmp_path / "log", 8) == b"three\n"
    assert tail_bytes(tmp_path / "log", 100) == b"one\ntwo\nthree\n"
