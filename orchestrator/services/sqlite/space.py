"""The learner's file as new: removed while nobody has it open, emptied while somebody has."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from orchestrator.errors import EnvironmentFault

LOCK_SECONDS = 5.0
"""How long a writer of the learner's may take before it is said that it does not end."""


def fresh(folder: Path) -> None:
    """Everything in the folder goes: the file, its journals, backups. No server runs.

    Not through a link that somebody put in the folder's place: what is behind it is not ours.
    """
    if folder.is_symlink():
        raise EnvironmentFault(f"{folder} is a link that labs did not make", code="service-changed", hint="labs check")
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def contents(file: Path) -> frozenset[str]:
    """The tables that have rows. A file that is not there has none."""
    with _opened(file) as connection:
        return frozenset(name for name in _tables(connection) if _has_rows(connection, name))


def clear(file: Path, spare: Collection[str]) -> None:
    """Delete the rows of all other tables, in one transaction; identifiers begin anew."""
    with _opened(file) as connection:
        tables = [name for name in _tables(connection) if name not in spare]
        if not tables:
            return
        connection.execute("BEGIN IMMEDIATE")
        for name in tables:
            connection.execute(f"DELETE FROM {_quoted(name)}")  # noqa: S608 - quoted
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
            connection.executemany("DELETE FROM sqlite_sequence WHERE name = ?", [(name,) for name in tables])
        connection.execute("COMMIT")


def _tables(connection: sqlite3.Connection) -> list[str]:
    """Without those in which a virtual table keeps what it has."""
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"
                               " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name").fetchall()
    virtual = [name for name, made in found if str(made).upper().startswith("CREATE VIRTUAL")]
    return [name for name, _ in found if not any(name.startswith(f"{one}_") for one in virtual)]


def _has_rows(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {_quoted(name)} LIMIT 1").fetchone() is not None  # noqa: S608 - quoted


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes; to nothing, if there is no file. What SQLite refuses is ``EnvironmentFault``."""
    address = f"{file.as_uri()}?mode=rw" if file.is_file() else ":memory:"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS,
                                                isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise EnvironmentFault(f"SQLite refused what labs asked of {file.name}: {error}", code="service-refused",
                               hint="end your server, then labs check") from error
