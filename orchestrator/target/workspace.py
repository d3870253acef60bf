"""``workspace.toml``: the learner's folder says which lab it is for, how it is built and how it runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from orchestrator.errors import Problem, WorkspaceInvalid, did_you_mean
from orchestrator.model import Workspace

FILE = "workspace.toml"
KEYS = ("format", "lab", "build", "run")


def find_workspace(start: Path) -> Path | None:
    """The nearest folder from ``start`` upwards with a ``workspace.toml``."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def read_workspace(folder: Path) -> Workspace:
    """Read and validate; ``WorkspaceInvalid`` with all problems at once."""
    folder = folder.absolute()
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise _invalid([Problem(FILE, int(line.group(1)) if line else None, str(error))]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid([Problem(FILE, None, f"cannot be read: {error}")]) from error
    problems: list[Problem] = []

    def problem(key: str, message: str) -> None:
        line = next((number for number, content in enumerate(text.splitlines(), 1)
                     if re.match(rf'\s*"?{re.escape(key)}"?\s*=', content)), None)
        problems.append(Problem(FILE, line, message))

    for key in data:
        if key not in KEYS:
            problem(key, f"unknown key {key}{did_you_mean(key, KEYS)}")
    if data.get("format") != 1:
        problem("format", "format must be 1")
    lab = data.get("lab")
    if not isinstance(lab, str) or not lab:
        problem("lab", 'lab must be the name of a lab, like "databases"')
    run = _argv(data.get("run"))
    if run is None:
        problem("run", 'run must be a list of words: the program and its arguments, like ["./server"]')
    build = _commands(data.get("build", []))
    if build is None:
        problem("build", 'build must be a list of words, like ["go", "build"], or a list of such lists')
    if problems or run is None or build is None:
        raise _invalid(sorted(problems, key=lambda one: one.line or 0))
    return Workspace(folder, str(lab), build, run)


def _invalid(problems: list[Problem]) -> WorkspaceInvalid:
    return WorkspaceInvalid(f"{FILE} has {len(problems)} problem(s)", problems,
                            hint=f"mend {FILE}; a starter's shows how: labs init LAB --language LANGUAGE FOLDER")


def _argv(value: Any) -> tuple[str, ...] | None:
    """A non-empty list of non-empty strings without NUL, or ``None``."""
    if isinstance(value, list) and value and all(isinstance(w, str) and w and "\0" not in w for w in value):
        return tuple(value)
    return None


def _commands(value: Any) -> tuple[tuple[str, ...], ...] | None:
    if value == []:
        return ()
    one = _argv(value)
    if one is not None:
        return (one,)
    if not isinstance(value, list):
        return None
    commands = [_argv(command) for command in value]
    return None if None in commands else tuple(command for command in commands if command is not None)
