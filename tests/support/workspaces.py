"""A learner's folder made by hand, and commands run in it without a process."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from orchestrator.model import Workspace
from orchestrator.report.result import Report
from orchestrator.workspace.content import content_key
from orchestrator.workspace.progress import record_progress
from orchestrator.workspace.workspace_toml import read_workspace


def workspace(folder: Path, *, toml: str = 'format = 1\nlab = "databases"\nrun = ["python3", "server.py"]\n') -> Workspace:
    """A workspace with one source file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workspace.toml").write_text(toml, encoding="utf-8")
    (folder / "server.py").write_text("print('hello')\n", encoding="utf-8")
    return read_workspace(folder)


def judged(folder: Path, report: Report) -> Workspace:
    """A workspace whose last run gave this report."""
    made = workspace(folder)
    assert record_progress(folder, report, content_key(made))
    return made


def invoke(command: str, *arguments: str) -> Result:
    """`labs COMMAND ARGUMENTS` in this process and folder."""
    cli = importlib.import_module(f"orchestrator.cli.{command}_command").cli
    return CliRunner().invoke(cli, list(arguments))


def answer(command: str, *arguments: str) -> dict[str, Any]:
    """The envelope of the command."""
    value: dict[str, Any] = json.loads(invoke(command, *arguments, "--json").stdout)
    return value
