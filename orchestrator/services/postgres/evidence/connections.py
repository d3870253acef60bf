"""The checker's own connections to PostgreSQL: opened when needed, opened again after an outage, counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any

import psycopg

from orchestrator.checks.errors import ServiceLost

Connection = psycopg.Connection[Any]

APPLICATION = "labs checks"
_OPTIONS = (
    # What the owner of a database may set for all who connect to it must not reach the checker.
    "-c statement_timeout=30s -c lock_timeout=5s -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
    " -c transaction_timeout=0 -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed"
    " -c default_transaction_deferrable=off -c search_path=public -c row_security=on"
)


class Connections:
    """One connection of each kind, shared by all of a check's calls; ``opened_in_database`` counts our part there."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._urls = {"checker": admin["checker_url"], "admin": admin["url"], "statistics": admin["admin_url"]}
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
    def admin_in_database(self) -> Iterator[Connection]:
        """The administrator in the learner's database."""
        with self._lock:
            yield self._live("admin")

    @contextmanager
    def statistics(self) -> Iterator[Connection]:
        """The administrator in its own database: sees all sessions and statements, is in none of the counts."""
        with self._lock:
            yield self._live("statistics")

    @contextmanager
    def another_checker(self) -> Iterator[Connection]:
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
                connection.execute("SELECT")
                return connection
            connection.close()
            del self._open[kind]
        connection = self._open[kind] = self._connect(kind, autocommit=True)
        return connection

    def _connect(self, kind: str, *, autocommit: bool) -> Connection:
        connection: Connection = psycopg.connect(
            self._urls[kind], autocommit=autocommit, prepare_threshold=None, connect_timeout=5,
            application_name=APPLICATION, options=_OPTIONS if kind == "checker" else f"{_OPTIONS} -c role=none")
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
