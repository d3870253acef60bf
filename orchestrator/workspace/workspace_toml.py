"""``workspace.toml``: the learner's folder says which lab it is for, how it is built and how it runs."""

from __future__ import annotations

import math
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

from orchestrator.errors import LabsError, Problem, UsageError, WorkspaceInvalid, did_you_mean
from orchestrator.model import Workspace
from orchestrator.workspace.workspace_schema import KEYS

FILE = "workspace.toml"
MOST = 64 * 1024
"""Bytes; a larger file is something else."""
BUDGETS = ("start_budget", "build_budget")
"""Keys with seconds. How many a lab allows is not known here: ``budgets.py``."""

Argv = tuple[str, ...]


def find_workspace(start: Path) -> Path | None:
    """The nearest folder from ``start`` upwards with a ``workspace.toml``."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def read_folder(start: Path | None) -> Workspace:
    """The workspace in or above a folder, by itself the one we are in; ``UsageError`` with the way to make one."""
    start = start or Path.cwd()
    folder = find_workspace(start)
    if folder is None:
        raise UsageError(f"{start} is not your server's folder: there is no workspace.toml in it or above",
                         code="no-workspace", hint="labs init databases --language python my-server")
    return read_workspace(folder)


def read_workspace(folder: Path) -> Workspace:
    """Read and validate; ``WorkspaceInvalid`` with all problems at once, ``UsageError`` if there is no such file."""
    folder = folder.absolute()
    text = _text(folder)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        last = len(text.splitlines()) or 1
        raise invalid([Problem(FILE, int(line.group(1)) if line else last, f"this is not TOML: {error}")]) from error
    except RecursionError as error:
        raise invalid([Problem(FILE, None, "lists in lists without end")]) from error
    problems: list[Problem] = []

    def problem(key: str, message: str) -> None:
        problems.append(Problem(FILE, _line_of(key, text), message))

    for key in data:
        if key not in KEYS:
            problem(key, f"unknown key {key!r}{did_you_mean(key, KEYS)}")
    if "format" not in data:
        problem("format", "format is missing: format = 1")
    elif isinstance(data["format"], bool) or data["format"] != 1:
        problem("format", f"format is {data['format']!r}; this version of labs reads format = 1")
    lab = data.get("lab")
    if not isinstance(lab, str) or not lab.strip():
        problem("lab", _missing("lab", data) + ' must be the name of a lab, like lab = "databases"')
    run: Argv = ()
    build: tuple[Argv, ...] = ()
    tracks: tuple[str, ...] = ()
    try:
        run = _argv("run", data.get("run"))
    except ValueError as error:
        problem("run", f"{_missing('run', data)} {error}")
    try:
        build = _commands(data.get("build", []))
    except ValueError as error:
        problem("build", f"build {error}")
    try:
        tracks = _tracks(data.get("tracks"))
    except ValueError as error:
        problem("tracks", f"tracks {error}")
    budgets: dict[str, float | None] = {}
    for key in BUDGETS:
        try:
            budgets[key] = _seconds(key, data.get(key))
        except ValueError as error:
            problem(key, f"{key} {error}")
    if problems:
        raise invalid(sorted(problems, key=lambda one: one.line or 0))
    return Workspace(folder, str(lab), build, run, tracks=tracks, **budgets)


def line_of(folder: Path, key: str) -> int | None:
    """Where a key stands in the folder's file; ``None`` where it does not, or cannot be read any more."""
    try:
        return _line_of(key, _text(folder))
    except LabsError:
        return None


def _text(folder: Path) -> str:
    try:
        with (folder / FILE).open("rb") as file:
            data = file.read(MOST + 1)
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is not your server's folder: there is no {FILE} in it", code="no-workspace",
                         hint="labs init databases --language python my-server") from error
    except OSError as error:
        raise invalid([Problem(FILE, None, f"cannot be read: {error.strerror or error}")]) from error
    if len(data) > MOST:
        raise invalid([Problem(FILE, None, f"is larger than {MOST // 1024} KiB")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b"\n") + 1
        raise invalid([Problem(FILE, line, "this is not UTF-8 text; save the file as UTF-8")]) from error


def _line_of(key: str, text: str) -> int | None:
    """Where a top-level key or table of this name begins."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    begins = re.compile(rf"\s*(?:\[+\s*{name}\s*[\].]|{name}\s*[.=])")
    return next((number for number, line in enumerate(text.splitlines(), 1) if begins.match(line)), None)


def _missing(key: str, data: dict[str, Any]) -> str:
    return key if key in data else f"{key} is missing: it"


def invalid(problems: list[Problem]) -> WorkspaceInvalid:
    """What is wrong with the file, all of it."""
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return WorkspaceInvalid(f"{FILE} has {count}", problems,
                            hint=f"mend {FILE}; a starter's shows how: labs init LAB --language LANGUAGE FOLDER")


def _argv(key: str, value: Any) -> Argv:
    """A command: its words. ``ValueError`` says what it must be, after the key's name."""
    if isinstance(value, str) and value.strip():
        raise ValueError(f"must be a list of words, since no shell reads it: {key} = {_as_toml(value)}")
    if not isinstance(value, list) or not value:
        raise ValueError(f'must be a list of words, the program and its arguments: {key} = ["./server"]')
    for number, word in enumerate(value, 1):
        if not isinstance(word, str):
            raise ValueError(f'must hold strings only; word {number} is {word!r}: write it as "{word}"')
        if not word.strip():
            raise ValueError(f"must not hold empty words; word {number} is empty")
        if "\0" in word:
            raise ValueError(f"must not hold the character NUL; word {number} does")
    if value[0].startswith("~"):
        raise ValueError(f"names {value[0]}, but no shell reads it and ~ means nothing here: write the whole path")
    return tuple(value)


def _commands(value: Any) -> tuple[Argv, ...]:
    """One command, or a list of them."""
    if isinstance(value, list) and any(isinstance(command, list) for command in value):
        return tuple(_argv("build", command) for command in value)
    return () if value == [] else (_argv("build", value),)


def _tracks(value: Any) -> tuple[str, ...]:
    """Names of tracks; none where there is no list. ``ValueError`` says what it must be, after the key's name."""
    if value is None:
        return ()
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value):
        raise ValueError('must be a list of the lab\'s tracks, like tracks = ["TRACK"]; without it, all')
    return tuple(value)


def _seconds(key: str, value: Any) -> float | None:
    """A budget; ``None`` where there is none. ``ValueError`` says what it must be, after the key's name."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"must be a number of seconds, more than 0: {key} = 60")
    return float(value)


def _as_toml(line: str) -> str:
    """A shell's line as the list of words that it most likely means."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    quoted = ('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return f"[{', '.join(quoted)}]"
