"""What PostgreSQL itself shows: rows, sessions, statements, plans. Read straight from it, not through the proxy.

Rows are read and planted by the *checker*, a role that acts as the learner under a login of its own (see
``services.postgres.space``): nothing it does is counted as the learner's, and what code of the learner's does there it
does with the learner's rights. What the tables are is seen by the *witness*, in whose sessions none of that code runs.
Statistics are read by the administrator from a database of its own; it never enters the learner's. Counters are taken
before and after and compared; one that ran backwards is ``ServiceLost``, because then somebody restarted the service or
reset it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from orchestrator.checks.errors import SchemaWrong
from orchestrator.checks.rows import Params, RowReader
from orchestrator.checks.words import short
from orchestrator.services.postgres.evidence.connections import (
    Connections,
    PostgresConnection,
    inserted,
    insertion_of,
    lost,
)
from orchestrator.services.postgres.evidence.plans import Plans, recorded
from orchestrator.services.postgres.evidence.statements import Statements, counted, relations_in

_WRONG_TYPE = ("42804", "42846", "42883", "22P02", "22007", "22003")
_NO_TABLE, _NO_COLUMN = "42P01", "42703"
_LOCKED = "55P03"

_ODD = """
    SELECT relname, CASE WHEN relkind = 'v' THEN 'a view' WHEN relkind = 'm' THEN 'a materialized view'
                         WHEN relkind = 'f' THEN 'a foreign table'
                         WHEN relrowsecurity AND relforcerowsecurity THEN 'a table with forced row security'
                         ELSE 'a table with a rule' END
    FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace AND relname = ANY(%s)
     AND (relkind IN ('v', 'm', 'f') OR (relrowsecurity AND relforcerowsecurity)
          OR EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = c.oid))
    ORDER BY relname
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of the learner's server, as ``pg_stat_activity`` shows it."""

    pid: int
    application_name: str
    state: str
    query: str


class Postgres(RowReader):
    """The fixture ``postgres`` of checks, from what ``Recipe.admin`` gives. See ``docs/checks-api.md``."""

    name, title = "postgres", "PostgreSQL"

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._user = admin["user"]
        self._database = admin["database"]
        self._links = Connections(admin)

    def close(self) -> None:
        """Let go of all connections."""
        self._links.close()

    # --- rows ------------------------------------------------------------------------------------------------------

    def rows(self, query: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows. ``SchemaWrong`` for a missing table or column, a column of another type, or a view for a table."""
        with _judged(params=params):
            self._only_tables(query)
            with self._links.checker() as connection:
                return _fetched(connection.execute(query.encode(), params or None))

    def plant(self, query: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """Write as the learner's role; the rows of ``RETURNING``. Refused: ``SchemaWrong("schema-plant-refused")``."""
        with _judged(planting=query, params=params):
            self._only_tables(query)
            with self._links.checker() as connection:
                return _fetched(connection.execute(query.encode(), params or None))

    def plant_many(self, query: str, params: Params = ()) -> None:
        """As ``plant``, for very many rows that are right by their making.

        Triggers do not run and foreign keys are not looked up, but for those that are ``ENABLE ALWAYS``.
        """
        with _judged(planting=query, params=params):
            self._only_tables(query)
            with self._links.another_checker() as connection:
                connection.execute("SET ROLE NONE")
                connection.execute("SET LOCAL session_replication_role = replica")
                connection.execute("RESET ROLE")
                connection.execute(query.encode(), params or None)
                connection.commit()

    def tidy(self, *tables: str) -> None:
        """``VACUUM ANALYZE`` as the learner's role: as after a quiet night, the planner knows how much is there."""
        for table in tables:
            statement = sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier("public", table))
            with _judged(), self._links.checker() as connection:
                connection.execute(statement)

    def insert(self, table: str, values: Mapping[str, object]) -> str:
        """Write one row as the learner's role, without an id: the id that it got, as text. Refused: as ``plant``."""
        with self.planting() as insert:
            return insert(table, values)

    @contextmanager
    def planting(self) -> Iterator[Callable[[str, Mapping[str, object]], str]]:
        """Rows that are there together or not at all: the block is given ``insert``."""

        def insert(table: str, values: Mapping[str, object]) -> str:
            query = insertion_of(table, values)
            with _judged(planting=query, params=tuple(values.values())):
                self._only_tables(query)
                return inserted(connection, table, values)

        with _judged(planting="COMMIT"), self._links.checker() as connection, connection.transaction():
            yield insert

    def refused(self, query: str, params: Params = ()) -> str | None:
        """Try it as the learner's role and undo it: the SQLSTATE of the refusal, or ``None`` if it was accepted."""
        return self.refused_of([(query, params)])

    def refused_of(self, statements: Sequence[tuple[str, Params]]) -> str | None:
        """The same for statements one after the other, in one transaction: the first refusal."""
        for query, params in statements:
            with _judged(params=params):
                self._only_tables(query)
        with _judged(), self._links.checker() as connection:
            try:
                with connection.transaction(force_rollback=True):
                    for query, params in statements:
                        connection.execute(query.encode(), params or None)
                    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.RaiseException) as error:
                if error.sqlstate in _WRONG_TYPE:
                    raise
                return error.sqlstate
        return None

    # --- tables ----------------------------------------------------------------------------------------------------

    def columns(self) -> dict[tuple[str, str], str]:
        """(Table, column) -> the column's type in PostgreSQL's words, of all tables in ``public``."""
        query = ("SELECT table_name, column_name, data_type FROM information_schema.columns"
                 " WHERE table_schema = 'public'")
        return {(table, column): type_ for table, column, type_ in self.rows(query)}

    def drop_tables(self) -> None:
        """Drop the learner's tables, as its role, wherever they are."""
        owned = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE tableowner = current_user"
        with self.as_learner() as session:
            for (table,) in session.execute(owned).fetchall():
                session.execute(f"DROP TABLE IF EXISTS {table} CASCADE".encode())
            session.commit()

    @contextmanager
    def making_held(self, table: str) -> Iterator[None]:
        """While the block runs, who makes this table, which is not there, has to wait; nobody sees one there."""
        with self.as_learner() as session:
            session.execute(f"CREATE TABLE public.{table} (id integer)".encode())
            yield
            session.rollback()

    # --- as the learner --------------------------------------------------------------------------------------------

    def admin(self, query: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """Run as the witness in the learner's database, each statement by itself: for objects of the check's own.

        A role of ours that is no superuser. It may put triggers on the learner's tables; rows of theirs it must not
        touch, because the learner's code would run in its session. It finds no name without its schema but those of
        ``pg_catalog``.
        """
        with _judged(params=params), self._links.witness() as connection:
            return _fetched(connection.execute(query.encode(), params or None))

    @contextmanager
    def as_learner(
        self, *, lock_timeout: float | None = None, hours: int | None = None
    ) -> Iterator[PostgresConnection]:
        """A connection of its own that acts as the learner's role, not in autocommit. Not among its sessions.

        ``lock_timeout``: seconds after which it waits for a lock no longer; ``hours``: its time zone, from UTC.
        """
        with _judged(), self._links.another_checker() as connection:
            if lock_timeout is not None:
                connection.execute(f"SET lock_timeout = {round(lock_timeout * 1000)}".encode())
            if hours is not None:
                connection.execute(f"SET TIME ZONE {hours}".encode())
            connection.commit()
            yield connection

    # --- statements and plans --------------------------------------------------------------------------------------

    @contextmanager
    def statements(self) -> Iterator[Statements]:
        """What the learner's server sends while the block runs. The result is filled when the block ends."""
        with counted(self._links, self._user, self._database) as statements:
            yield statements

    @contextmanager
    def plans(self) -> Iterator[Plans]:
        """The plans that PostgreSQL really ran for the learner's server while the block runs. Filled at its end."""
        with recorded(self._links, self._user, self._database) as plans:
            yield plans

    # --- sessions --------------------------------------------------------------------------------------------------

    def sessions(self) -> list[Session]:
        """The sessions of the learner's role now."""
        with lost(), self._links.statistics() as connection:
            found = connection.execute(
                "SELECT pid, coalesce(application_name, ''), coalesce(state, ''), coalesce(query, '')"
                " FROM pg_stat_activity WHERE usename = %s AND datname = %s ORDER BY backend_start",
                [self._user, self._database]).fetchall()
        return [Session(*row) for row in found]

    def sessions_opened(self) -> int:
        """How many sessions of the learner's were ever opened in its database. Take the difference of two calls."""
        with lost(), self._links.statistics() as connection:
            row = connection.execute(
                "SELECT sessions FROM pg_stat_database WHERE datname = %s", [self._database]).fetchone()
        return (row[0] if row else 0) - self._links.opened_in_database

    @contextmanager
    def limit_connections(self, limit: int) -> Iterator[None]:
        """The learner's role may have this many connections at once. Sessions that are open stay open."""
        self._set_limit(limit)
        try:
            yield
        finally:
            self._set_limit(-1)

    def terminate(self) -> int:
        """End the learner's sessions, as a restart would; how many there were. Returns when they are gone."""
        with lost(), self._links.statistics() as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
                [self._user]).fetchall()
        return len(rows)

    # --- for exploring ---------------------------------------------------------------------------------------------

    def waiting(self) -> bool:
        """Whether a session in the learner's database waits for a lock that another one holds."""
        with lost(), self._links.statistics() as connection:
            row = connection.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = %s"
                                     " AND wait_event_type = 'Lock')", [self._database]).fetchone()
        return bool(row and row[0])

    def written(self) -> str:
        """Another value whenever a transaction that could write has ended."""
        with lost(), self._links.statistics() as connection:
            row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
        return str(row[0]) if row else ""

    def _only_tables(self, query: str) -> None:
        """``SchemaWrong`` where a name of the query is, in ``public``, no plain table: then it may tell the checker
        other rows than the server has."""
        with self._links.witness() as connection:
            found = connection.execute(_ODD.encode(), [list(relations_in(query))]).fetchall()
        for name, kind in found:
            raise SchemaWrong("schema-wrong-type", f"what `{name}` is in PostgreSQL",
                              "a plain table, which shows the same rows to everybody", kind)

    def _set_limit(self, limit: int) -> None:
        statement = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(sql.Identifier(self._user), sql.Literal(limit))
        with lost(), self._links.statistics() as connection:
            connection.execute(statement)


def _fetched(cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
    return cursor.fetchall() if cursor.description is not None else []


@contextmanager
def _judged(planting: str | None = None, params: Params = ()) -> Iterator[None]:
    """Whose fault an error of PostgreSQL's is: the schema's, the service's, or (as it is) the check's own."""
    for value in params.values() if isinstance(params, Mapping) else params:
        # No check makes up such a text: it is an id that the server answered.
        if isinstance(value, str) and "\0" in value:
            raise SchemaWrong("schema-wrong-type", "an id or text of your server, looked for in PostgreSQL",
                              "text that PostgreSQL can store: without the character NUL (\\u0000)", short(value))
    with lost():
        try:
            yield
        except psycopg.Error as error:
            wrong = _schema_fault(error, planting)
            if wrong is None:
                raise
            raise wrong from error


def _schema_fault(error: psycopg.Error, planting: str | None) -> SchemaWrong | None:
    state, message = error.sqlstate or "", (error.diag.message_primary or str(error)).strip()
    if state == _NO_TABLE:
        return SchemaWrong("schema-missing-table", "the tables in PostgreSQL", "the table is there", message)
    if state == _NO_COLUMN:
        return SchemaWrong("schema-missing-column", "the columns in PostgreSQL", "the column is there", message)
    if state == _LOCKED:
        return SchemaWrong("schema-locked", "a table in PostgreSQL, as another client", "an answer within 5 s",
                           "a session holds a lock on it and does not let go: is a transaction left open?")
    if state in _WRONG_TYPE:
        return SchemaWrong("schema-wrong-type", "the types of the columns in PostgreSQL", "as in storage.md", message)
    if planting is not None and state[:2] in ("22", "23", "42", "44", "P0") and state != "42601":
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        return SchemaWrong("schema-plant-refused", f"whether PostgreSQL takes a row from another client: {planting}",
                           "the row is taken", f"{message}{detail} [{state}]")
    return None
