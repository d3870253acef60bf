"""An engine for services that are shell scripts, below a folder of which nothing is left running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.embedded import engine_in, scripted_program, walkable_folder

from orchestrator.engines.embedded import running
from orchestrator.engines.embedded.engine import EmbeddedEngine


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
