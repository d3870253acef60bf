"""The checker's own connections to PostgreSQL: opened when needed, opened again after an outage, counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any

import psycopg

from orchestrator.checks.errors import ServiceLost
from orchestrator.checks.rows import insertion

Connection = psycopg.Connection[Any]

APPLICATION = "labs checks"
PATHS = {
    "checker": "-c search_path=public,pg_temp",
    "witness": "-c search_path=pg_catalog -c role=none",
    "statistics": "-c search_path=pg_catalog,public -c role=none",
}
"""The checker names tables as ``storage.md`` does; temporary ones come last, or they would hide the real ones. In the
administrator's database nobody but us makes anything."""
RESET = (b"CLOSE ALL; RESET ROLE; RESET ALL; DEALLOCATE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all();"
         b" DISCARD PLANS; DISCARD TEMP")
"""What a trigger of the learner's may have left in the checker's session. ``RESET ROLE``: acts as the learner again."""


class PostgresConnection(Connection):
    """One of psycopg's that can write a row without naming its id."""

    def insert(self, table: str, values: Mapping[str, object]) -> str:
        """The id that the row got, as text."""
        return inserted(self, table, values)


def insertion_of(table: str, values: Mapping[str, object]) -> str:
    """The statement that ``inserted`` runs."""
    return f"{insertion(table, values)} RETURNING concat(id)"


def inserted(connection: Connection, table: str, values: Mapping[str, object]) -> str:
    """Write one row, without its id: the id, as text."""
    row = connection.execute(insertion_of(table, values).encode(), list(values.values())).fetchone()
    assert row is not None
    return str(row[0])


class Connections:
    """One connection of each kind, shared by all of a check's calls; ``opened_in_database`` counts our part there."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._urls = {"checker": admin["checker_url"], "witness": admin["witness_url"],
                      "statistics": admin["admin_url"]}
        self._options = admin["options"]
        self._open: dict[str, Connection] = {}
        self._lock = RLock()
        self.opened_in_database = 0

    def close(self) -> None:
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()

    @contextmanager
    def checker(self) -> Iterator[Connection]:
        """In the learner's database, acting as the learner."""
        with self._lock:
            yield self._live("checker")

    @contextmanager
    def witness(self) -> Iterator[Connection]:
        """In the learner's database as a role of ours: for the catalogue and for objects of ours, for no row there."""
        with self._lock:
            yield self._live("witness")

    @contextmanager
    def statistics(self) -> Iterator[Connection]:
        """The administrator in its own database: sees all sessions and statements, is in none of the counts."""
        with self._lock:
            yield self._live("statistics")

    @contextmanager
    def another_checker(self) -> Iterator[PostgresConnection]:
        """One more checker's connection, with transactions, closed at the end."""
        connection = self._connect("checker", autocommit=False)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def another_statistics(self) -> Iterator[Connection]:
        """One more administrator's connection, closed at the end."""
        connection = self._connect("statistics", autocommit=True)
        try:
            yield connection
        finally:
            connection.close()

    def _live(self, kind: str) -> Connection:
        """The kept connection if it still answers (a check may have stopped the service since), else a new one."""
        connection = self._open.get(kind)
        if connection is not None:
            with suppress(psycopg.OperationalError):
                connection.execute(RESET if kind == "checker" else b"SELECT")
                return connection
            connection.close()
            del self._open[kind]
        connection = self._open[kind] = self._connect(kind, autocommit=True)
        return connection

    def _connect(self, kind: str, *, autocommit: bool) -> PostgresConnection:
        connection = PostgresConnection.connect(
            self._urls[kind], autocommit=autocommit, prepare_threshold=None, connect_timeout=5,
            application_name=APPLICATION,
            options=f"{self._options} {PATHS[kind]}")
        if kind != "statistics":
            with self._lock:
                self.opened_in_database += 1
        return connection


@contextmanager
def lost() -> Iterator[None]:
    """A lost connection, a service without room or a right that is missing: never the learner's fault."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        unreachable = not state and isinstance(error, psycopg.OperationalError)
        if unreachable or state.startswith(("08", "28", "53", "57P", "58", "XX")):
            raise ServiceLost("postgres", str(error).strip()) from error
        raise
