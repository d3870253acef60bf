"""Programs that a server is built and run with: missing, too old, or as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.system.toolchains import too_old, troubles


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs there is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(path: Path, said: str) -> str:
    """A program that says this of its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{said}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("name", "said", "seen"), [
    ("python3", "Python 3.9.6", "is 3.9.6; the starters need 3.11 or newer"), ("python3", "Python 3.11.0", ""),
    ("python3.10", "Python 3.10.14", "is 3.10.14; the starters need 3.11 or newer"), ("python", "Python 3.14.0rc1", ""),
    ("node", "v18.20.4", "is 18.20.4; the starters need 20 or newer"), ("node", "v22.1.0", ""),
    ("go", "go version go1.19.8 linux/amd64", "is 1.19.8; the starters need 1.21 or newer"),
    ("go", "go version go1.26 linux/amd64", ""), ("python3", "no developer tools were found", ""),
    ("ruby", "ruby 1.8.7", ""),
])
def test_a_program_that_is_too_old_says_its_version(tmp_path: Path, name: str, said: str, seen: str) -> None:
    """Compared as numbers. Of another program, or one that says nothing of the kind, nothing is said."""
    path = program(tmp_path / name, said)

    assert too_old(path) == (f"{path} {seen}" if seen else "")


def test_what_a_workspace_begins_its_commands_with_is_looked_at(tmp_path: Path, programs: Path) -> None:
    """By name on PATH, by path in the folder; what is not built yet is no trouble, what is missing is."""
    program(programs / "python3", "Python 3.9.6")
    program(tmp_path / ".venv/bin/python", "Python 3.9.6")
    commands = [("python3", "-m", "venv", ".venv"), (".venv/bin/python", "server.py"), ("./server",), ("cargo", "build")]

    assert [(name, what, remedy.partition(": ")[0]) for name, what, remedy in troubles(commands, tmp_path)] == [
        ("python3", f"{programs}/python3 is 3.9.6; the starters need 3.11 or newer", "install Python 3.11 or newer"),
        (".venv/bin/python", f"{tmp_path}/.venv/bin/python is 3.9.6; the starters need 3.11 or newer",
         "install Python 3.11 or newer"),
        ("cargo", "cargo is not on this machine", "install Rust")]
    assert [remedy.endswith(", then rm -rf .venv") for _, _, remedy in troubles(commands, tmp_path)] == [False, True, False]
