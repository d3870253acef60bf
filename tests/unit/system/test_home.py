"""Who this installation is: the same answer for ever, whatever a machine calls itself today."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.system import home as homes
from orchestrator.system.home import find_home, installation_id


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an id: only its name tells it from others."""
    monkeypatch.setattr(homes, "MACHINE_IDS", ("/nowhere",))


def call_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename=name))


@pytest.mark.usefixtures("nameless")
def test_a_machine_that_changes_its_name_keeps_its_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS renames itself in another network; a dev container has a new name each time it is made."""
    home = find_home({"LABS_HOME": str(tmp_path)})
    call_it("at-home", monkeypatch)
    first = installation_id(home)
    call_it("at-work", monkeypatch)

    assert installation_id(home) == first


@pytest.mark.usefixtures("nameless")
def test_environments_from_before_the_note_and_without_it_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was derived from the name is still the answer as long as the name is the same; a torn note is none."""
    home = find_home({"LABS_HOME": str(tmp_path)})
    call_it("at-home", monkeypatch)
    before = hashlib.sha256(f"at-home\0{os.getuid()}\0{home.data}".encode()).hexdigest()[:12]
    assert installation_id(home) == before
    shutil.rmtree(home.state)
    assert installation_id(home) == before
    (home.state / "installation.json").write_text('{"id": 7}')
    assert installation_id(home) == before


def test_a_machine_with_an_id_needs_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that two machines share is two installations."""
    home = find_home({"LABS_HOME": str(tmp_path / "home")})
    found = set()
    for machine in ("a", "b"):
        (tmp_path / machine).write_text(f"{machine}\n")
        monkeypatch.setattr(homes, "MACHINE_IDS", (str(tmp_path / machine),))
        found.add(installation_id(home))

    assert len(found) == 2
    assert not home.state.exists()
