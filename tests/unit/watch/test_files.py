"""Saves as editors make them, in a real folder."""

from __future__ import annotations

import os
import queue
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.wait import until
from support.workspaces import workspace

from orchestrator.watch import files
from orchestrator.watch.events import Changed, Event, Gone
from orchestrator.watch.files import Watcher
from orchestrator.workspace.content import content_key, stamps
from orchestrator.workspace.workspace_toml import read_workspace

Events = queue.SimpleQueue[Event]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = workspace(tmp_path / "server").folder
    (made / ".gitignore").write_text("*.log\n")
    for name in ("node_modules/deep", ".git", ".labs", "lib"):
        (made / name).mkdir(parents=True)
    (made / "lib" / "db.py").write_text("x = 1\n")
    return made


@pytest.fixture
def events(folder: Path) -> Iterator[Events]:
    """What a watcher of the folder posts, from the moment when it hears."""
    heard: Events = queue.SimpleQueue()
    with Watcher(read_workspace(folder), heard.put):
        # Armed when a change is heard; it is undone, and that is heard, too.
        before = (folder / "server.py").read_text()
        (folder / "server.py").write_text("armed")
        heard.get(timeout=10)
        (folder / "server.py").write_text(before)
        heard.get(timeout=10)
        yield heard


def next_change(events: Events) -> Changed:
    event = events.get(timeout=10)
    assert isinstance(event, Changed)
    return event


def by_rename(folder: Path) -> None:
    (folder / ".server.py.swp").write_text("print('new')\n")
    (folder / ".server.py.swp").replace(folder / "server.py")


@pytest.mark.parametrize(("save", "paths"), [
    pytest.param(lambda f: (f / "server.py").write_text("print('new')\n"), {"server.py"}, id="written in place"),
    pytest.param(by_rename, {"server.py"}, id="written beside and renamed"),
    pytest.param(lambda f: (f / "lib" / "db.py").write_text("x = 2\n"), {"lib/db.py"}, id="in a folder"),
    pytest.param(lambda f: (f / "lib" / "db.py").unlink(), {"lib/db.py"}, id="removed"),
    pytest.param(lambda f: (f / "new.py").write_text(""), {"new.py"}, id="a new file"),
])
def test_a_save_is_heard_once(folder: Path, events: Events, save: Callable[[Path], None], paths: set[str]) -> None:
    """One event with the new key, the files and the time of the save."""
    began = time.time()
    save(folder)

    change = next_change(events)

    assert change.paths == paths
    assert change.key == content_key(read_workspace(folder))
    assert began - 0.1 <= change.at <= time.time()
    with pytest.raises(queue.Empty):
        events.get(timeout=0.3)


def test_what_does_not_count_is_not_heard(folder: Path, events: Events) -> None:
    """Packages, version control, our own files, what .gitignore names, and a file that was only touched."""
    (folder / "node_modules" / "deep" / "index.js").write_text("1")
    (folder / ".git" / "index").write_text("1")
    (folder / ".labs" / "progress.json").write_text("{}")
    (folder / "server.log").write_text("hello")
    (folder / "__pycache__").mkdir()
    os.utime(folder / "server.py")
    text = (folder / "server.py").read_text()
    (folder / "server.py").write_text(text)

    with pytest.raises(queue.Empty):
        events.get(timeout=0.6)


def test_a_new_folder_is_watched_too(folder: Path, events: Events) -> None:
    """What is in it at once, and what changes in it later."""
    (folder / "routes").mkdir()
    (folder / "routes" / "a.py").write_text("1")
    until(lambda: "routes/a.py" in next_change(events).paths)
    time.sleep(0.4)  # until the watches are set anew: a look follows them
    while not events.empty():
        events.get()

    (folder / "routes" / "a.py").write_text("2")

    assert next_change(events).paths == {"routes/a.py"}


def test_a_broken_workspace_toml_is_a_change_like_another(folder: Path, events: Events) -> None:
    """It is heard, and so is what is changed while it is broken, and its mending."""
    good = (folder / "workspace.toml").read_text()
    (folder / "workspace.toml").write_text("format = ")
    assert next_change(events).paths == {"workspace.toml"}
    (folder / "server.py").write_text("print('meanwhile')\n")
    assert next_change(events).paths == {"server.py"}
    (folder / "workspace.toml").write_text(good)
    assert next_change(events).key == content_key(read_workspace(folder))


def test_a_folder_that_goes_away_is_told(folder: Path, events: Events) -> None:
    """Removed or renamed: the watch is over."""
    shutil.rmtree(folder)

    until(lambda: isinstance(events.get(timeout=10), Gone))


def test_only_folders_that_count_are_watched(folder: Path) -> None:
    """Thousands of folders of packages cost nothing."""
    found = {path.relative_to(folder).as_posix() for path in stamps(read_workspace(folder)).folders}

    assert found == {".", "lib"}


def test_it_hears_where_the_system_gives_no_watches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of watches is used up: then the files are looked at again and again instead."""
    import watchfiles

    real = watchfiles.watch

    def no_watches(*paths: Path, force_polling: bool, **options: object) -> object:
        if not force_polling:
            raise OSError(28, "OS file watch limit reached")
        return real(*paths, force_polling=True, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(watchfiles, "watch", no_watches)
    heard: Events = queue.SimpleQueue()
    with Watcher(read_workspace(folder), heard.put):
        time.sleep(1.0)
        (folder / "server.py").write_text("print('new')\n")

        assert next_change(heard).paths == {"server.py"}


def test_a_save_is_seen_where_the_system_tells_of_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared folders of virtual machines, network drives: no event ever comes."""
    import watchfiles

    def silent(*_: object, **options: object) -> Iterator[set[object]]:
        stop = options["stop_event"]
        while not stop.wait(0.02):  # type: ignore[attr-defined]
            yield set()

    monkeypatch.setattr(watchfiles, "watch", silent)
    monkeypatch.setattr(files, "SLOW_LOOK", 0.05)
    heard: Events = queue.SimpleQueue()
    with Watcher(read_workspace(folder), heard.put):
        (folder / "server.py").write_text("print('saved over the network')\n")

        assert next_change(heard).paths == {"server.py"}
