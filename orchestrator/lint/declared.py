"""What a ``lab.toml`` declares, as far as it can be read: the rest of a lab is looked at though it has mistakes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.manifest import FILE_LIMIT


@dataclass(frozen=True, slots=True)
class Declared:
    """A milestone of the file. ``line`` is that of its id; ``reasons`` are those of its hints, with their lines."""

    id: str
    line: int
    checks: str
    brief: str
    reasons: tuple[tuple[str, int], ...]


def read_declared(folder: Path) -> tuple[Declared, ...]:
    """The milestones that can be made out; none of a file that cannot be read at all."""
    path = folder / "lab.toml"
    try:
        if path.stat().st_size > FILE_LIMIT:
            return ()
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, ValueError, RecursionError):
        return ()
    tables = data.get("milestones")
    return tuple(_declared(tables, text.splitlines())) if isinstance(tables, list) else ()


def _declared(tables: list[Any], lines: list[str]) -> Iterator[Declared]:
    for table in tables:
        if isinstance(table, dict) and isinstance(table.get("id"), str):
            hints = [one for one in table.get("hints", []) if isinstance(one, dict)]
            begins = _line(lines, 0, "id", table["id"])
            yield Declared(
                table["id"], begins, _text(table.get("checks")), _text(table.get("brief")),
                tuple((one["reason"], _line(lines, begins, "reason", one["reason"]))
                      for one in hints if isinstance(one.get("reason"), str)))


def _line(lines: list[str], after: int, key: str, value: str) -> int:
    """The first line from ``after`` on that gives the key this value; 0 if it is written in another way."""
    for number, line in enumerate(lines[after:], after + 1):
        before, found, _ = line.partition(f'"{value}"')
        if found and key in before:
            return number
    return 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
