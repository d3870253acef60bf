"""Whose fault an error of SQLite's is: the file's, which the learner's server made, or the machine's, or a check's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.checks.errors import SchemaWrong, ServiceLost

LOCK_SECONDS = 5.0
"""How long the reader waits for a lock of the learner's."""
_OURS = frozenset({"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_PERM", "SQLITE_CANTOPEN"})


@contextmanager
def judged(planting: str | None = None) -> Iterator[None]:
    """SQLite's errors as ours; those of a mistake in a check's own statement stay as they are."""
    try:
        yield
    except sqlite3.Error as error:
        wrong = fault(error, planting)
        if wrong is None:
            raise
        raise wrong from error


def fault(error: sqlite3.Error, planting: str | None) -> SchemaWrong | ServiceLost | None:
    """What the error says of the file, or of the machine; ``None``: neither. ``planting``: the statement that wrote."""
    name, message = primary(error), str(error)
    if message.startswith("no such table"):
        return SchemaWrong("schema-missing-table", "the tables in the SQLite file", "the table is there", message)
    if message.startswith("no such column") or "has no column named" in message:
        return SchemaWrong("schema-missing-column", "the columns in the SQLite file", "the column is there", message)
    if name == "SQLITE_NOTADB":
        return SchemaWrong("schema-not-a-database", "the file at SQLITE_PATH", "an SQLite database", message)
    if name in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return SchemaWrong("schema-locked", "the SQLite file, as another program",
                           f"an answer within {LOCK_SECONDS:.0f} s",
                           "a transaction holds a lock on it and does not end: is it neither committed nor undone?")
    if message.startswith("Could not decode") or name == "SQLITE_MISMATCH":
        return SchemaWrong("schema-wrong-type", "the types of the columns in the SQLite file", "as in storage.md",
                           message)
    if "malformed database schema" in message or message.startswith("unsupported file format"):
        # Perhaps made by an SQLite that is newer than Python's: that cannot be told from one that is damaged.
        return ServiceLost("sqlite", f"SQLite {sqlite3.sqlite_version} cannot read the tables: {message}")
    if name == "SQLITE_CORRUPT":
        return SchemaWrong("schema-damaged", "the SQLite file", "a whole database", message)
    if planting is not None and name in ("SQLITE_CONSTRAINT", "SQLITE_READONLY", "SQLITE_INTERRUPT"):
        return SchemaWrong("schema-plant-refused", f"whether SQLite takes a row from another program: {planting}",
                           "the row is taken", f"{message} [{extended(error)}]")
    if name in _OURS or name == "SQLITE_INTERRUPT":
        return ServiceLost("sqlite", f"{message} [{extended(error)}]")
    return None


def extended(error: sqlite3.Error) -> str:
    """SQLite's own name of it: ``SQLITE_CONSTRAINT_UNIQUE``. Errors of Python's module have none."""
    return str(getattr(error, "sqlite_errorname", ""))


def primary(error: sqlite3.Error) -> str:
    """The first two words of that name, which say the kind: ``SQLITE_CONSTRAINT``."""
    return "_".join(extended(error).split("_")[:2])
