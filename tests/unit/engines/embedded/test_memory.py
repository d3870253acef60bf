"""Which instances live in memory, and whose folder there is believed."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.embedded import INSTALLATION, USER, ScriptRecipe, scripted_program, spec_of, walkable_folder

from orchestrator.engines.embedded import memory, running
from orchestrator.engines.embedded.engine import EmbeddedEngine
from orchestrator.engines.embedded.folder import InstanceFolder
from orchestrator.engines.embedded.memory import LEAST_AVAILABLE, LEAST_FREE, SHARED, MemoryPlace, in_memory, spacious
from orchestrator.model import State


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(running, "LISTEN_SECONDS", 0.15)
    with walkable_folder() as path:
        scripted_program(path)
        monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        yield path


@pytest.fixture
def place(folder: Path) -> Iterator[MemoryPlace]:
    """In the machine's own memory, made for this test alone."""
    if not in_memory(SHARED):
        pytest.skip(f"no memory is mounted at {SHARED}")
    made = MemoryPlace(folder / "instances")
    try:
        yield made
    finally:
        shutil.rmtree(made.folder, ignore_errors=True)


def test_a_judge_instance_lives_in_memory_and_leaves_nothing(folder: Path, place: MemoryPlace) -> None:
    """It is made, found, stopped and removed like every other, also by an engine that did not make it."""
    engine, other = (EmbeddedEngine(folder / "instances", folder / "cache", place) for _ in range(2))
    spec = spec_of("script", keep_data=False)
    engine.create(spec, ScriptRecipe("exec sleep 600", initialise='mkdir -p "$DATA"'))
    engine.start(spec.name)
    assert (place.folder / spec.name / "instance.json").exists()
    assert not (folder / "instances" / spec.name).exists()

    (found,) = other.list(user=USER, installation=INSTALLATION)
    assert (found.spec, found.state) == (spec, State.RUNNING)
    other.stop(spec.name)
    other.start(spec.name)
    assert (place.folder / spec.name / "data").is_dir()
    other.remove(spec.name, data=True)

    assert not place.folder.exists()
    assert engine.list(user=USER, installation=INSTALLATION) == []


def test_what_is_kept_is_kept_on_the_disk(folder: Path, place: MemoryPlace) -> None:
    """Also when a judge instance is in memory at the same time; both are found."""
    engine = EmbeddedEngine(folder / "instances", folder / "cache", place)
    kept, judge = spec_of("script"), spec_of("script", environment="env-2", keep_data=False)
    for spec in (judge, kept):
        engine.create(spec, ScriptRecipe("exec sleep 600"))
    try:
        assert (folder / "instances" / kept.name).exists()
        assert {one.spec.name for one in engine.list(user=USER, installation=INSTALLATION)} == {kept.name, judge.name}
    finally:
        for spec in (judge, kept):
            engine.remove(spec.name, data=True)


def test_an_instance_is_taken_over_where_it_is(folder: Path, place: MemoryPlace) -> None:
    """One that was made on the disk, while memory was short, does not begin a second life in memory."""
    spec = spec_of("script", keep_data=False)
    EmbeddedEngine(folder / "instances", folder / "cache").create(spec, ScriptRecipe("exec sleep 600"))
    (folder / "instances" / spec.name / "process.json").unlink()
    engine = EmbeddedEngine(folder / "instances", folder / "cache", place)
    engine.create(dataclasses.replace(spec, config="c2"), ScriptRecipe("exec sleep 600"))

    assert not (place.folder / spec.name).exists()
    engine.remove(spec.name, data=True)


def test_without_room_it_lives_on_the_disk(
    folder: Path, place: MemoryPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, and as right."""
    monkeypatch.setattr(memory, "spacious", lambda *_: False)
    engine = EmbeddedEngine(folder / "instances", folder / "cache", place)
    spec = spec_of("script", keep_data=False)
    engine.create(spec, ScriptRecipe("exec sleep 600"))

    assert (folder / "instances" / spec.name / "instance.json").exists()
    assert not place.folder.exists()
    engine.remove(spec.name, data=True)


def test_room_is_room_in_the_file_system_and_in_the_machine() -> None:
    """A container's 64 MB will not do, nor will a machine whose programs use all it has."""
    assert spacious(LEAST_FREE, LEAST_AVAILABLE)
    assert not spacious(LEAST_FREE - 1, LEAST_AVAILABLE)
    assert not spacious(LEAST_FREE, LEAST_AVAILABLE - 1)


def test_a_folder_on_a_disk_is_not_in_memory(tmp_path: Path) -> None:
    """What is not mounted as memory is not used as such, whatever its name."""
    assert not in_memory(tmp_path)
    assert not MemoryPlace(tmp_path / "instances", tmp_path).open(0o700)
    assert list(tmp_path.iterdir()) == []


def test_a_judge_whose_memory_was_taken_away_is_gone_for_everybody(folder: Path, place: MemoryPlace) -> None:
    """As by systemd's RemoveIPC at the end of a login: nothing half is left, and the next one is made as ever."""
    engine = EmbeddedEngine(folder / "instances", folder / "cache", place)
    spec = spec_of("script", keep_data=False)
    engine.create(spec, ScriptRecipe("exec sleep 600"))
    shutil.rmtree(place.folder)

    assert engine.inspect(spec.name) is None
    assert engine.list(user=USER, installation=INSTALLATION) == []
    engine.remove(spec.name, data=True)
    engine.create(spec, ScriptRecipe("exec sleep 600"))
    assert engine.inspect(spec.name) is not None
    engine.remove(spec.name, data=True)


@pytest.mark.parametrize("trap", ["link", "stranger"])
def test_what_somebody_else_put_there_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    """Everybody can write to the shared folder; an instance found there is run and signalled as it says."""
    monkeypatch.setattr(memory, "in_memory", lambda _: True)
    monkeypatch.setattr(memory, "spacious", lambda *_: True)
    shared, theirs = tmp_path / "shared", tmp_path / "theirs"
    shared.mkdir()
    theirs.mkdir()
    place = MemoryPlace(tmp_path / "instances", shared)
    top = place.folder.parent
    if trap == "link":
        top.symlink_to(theirs)
    else:
        top.mkdir()
        (top / place.folder.name).mkdir()
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    spec = spec_of("script", keep_data=False)
    (place.folder / spec.name).mkdir(parents=True)
    InstanceFolder(place.folder / spec.name).write_spec(spec)

    assert not place.there()
    assert not place.open(0o700)
    assert EmbeddedEngine(tmp_path / "instances", tmp_path / "cache", place).inspect(spec.name) is None
