"""``labs connect sqlite`` where the program ``sqlite3`` is not installed: statements, and their rows as text."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.services.clients import table

SECONDS = 30.0
LOCK_SECONDS = 5.0
_STEPS = 10_000
"""How many steps of SQLite's machine between two looks at the clock."""


def run(file: Path, text: str) -> str:
    """The answers to the statements, in one connection; ``UsageError`` if SQLite refuses one."""
    if not file.exists():
        raise UsageError("there is no database file yet", code="statement-refused",
                         hint="start your server: it makes the file at SQLITE_PATH")
    if text.lstrip().startswith("."):
        raise UsageError("commands with a dot are those of the program sqlite3, which is not used here",
                         code="statement-refused", hint="SELECT name, sql FROM sqlite_schema   (all tables)")
    end = time.monotonic() + SECONDS
    answers = []
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS,
                                                isolation_level=None)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            for statement in statements(text):
                answers.append(_answer(connection.execute(statement)))
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise UsageError(f"SQLite refused this: {error}", code="statement-refused") from error
    return "\n".join(filter(None, answers)) or "OK"


def statements(text: str) -> Iterator[str]:
    """The statements of a text: a semicolon in a string, a comment or a trigger ends none."""
    begun = ""
    for part in text.split(";"):
        begun += f"{part};"
        if sqlite3.complete_statement(begun):
            if begun.strip(" \t\r\n;"):
                yield begun
            begun = ""
    if begun.strip(" \t\r\n;"):
        yield begun.removesuffix(";")


def _answer(cursor: sqlite3.Cursor) -> str:
    if cursor.description is None:
        return ""
    return table([name for name, *_ in cursor.description], cursor.fetchall())
