"""What MySQL itself shows: rows, sessions, locks, deadlocks. Read straight from it, not through the proxy.

Rows are read and planted by the *checker*, who has the learner's rights in its database under a login of its own, so
that nothing it does is counted as the learner's. Triggers and views of the learner's run there with the learner's
rights or the checker's, which are the same, and what they leave in the session is gone before the next call (see
``connections``). What the tables are is seen by the *witness*, in whose sessions none of that code runs. Sessions and
counts are read by the administrator, who enters no database. Take counts before and after, and compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql

from orchestrator.checks.errors import SchemaWrong
from orchestrator.checks.rows import Params, RowReader, insertion
from orchestrator.services.mysql.evidence import sessions
from orchestrator.services.mysql.evidence.connections import (
    LearnerConnection,
    MysqlConnection,
    MysqlConnections,
    last_written,
    lost,
    number_of,
    state_of,
)
from orchestrator.services.mysql.evidence.faults import DEADLOCK, NOT_TAKEN_BACK, refuses, schema_fault
from orchestrator.services.mysql.evidence.sessions import MysqlSession, SessionSettings
from orchestrator.services.mysql.evidence.tables import relations_in

TRIES = 5
"""Of a row that is written by itself: whoever of two that wait for each other MySQL ends may be the checker."""

_VIEWS = "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN %s ORDER BY 1"
_WAITING = """
    SELECT EXISTS (
        SELECT * FROM performance_schema.data_lock_waits AS w
        JOIN performance_schema.threads AS t ON t.THREAD_ID = w.REQUESTING_THREAD_ID
        WHERE t.PROCESSLIST_DB = %(database)s OR t.PROCESSLIST_USER = %(user)s
    ) OR EXISTS (
        SELECT * FROM performance_schema.metadata_locks AS m
        JOIN performance_schema.threads AS t ON t.THREAD_ID = m.OWNER_THREAD_ID
        WHERE m.LOCK_STATUS = 'PENDING' AND (t.PROCESSLIST_DB = %(database)s OR t.PROCESSLIST_USER = %(user)s)
    )
"""
_COLUMNS = "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s"
_RELATIONS = "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
_COMMITS = "SELECT COUNT, STATUS FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rw_commits'"
_STATEMENTS = """
    SELECT COALESCE(SUM(COUNT_STAR), 0) FROM performance_schema.events_statements_summary_by_user_by_event_name
    WHERE USER = %s AND EVENT_NAME <> 'statement/sql/select'
"""
_OTHER_ENGINES = """
    SELECT COUNT(*) FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB'
"""
_ROWS_WRITTEN = """
    SELECT COALESCE(SUM(VARIABLE_VALUE), 0) FROM performance_schema.status_by_user
    WHERE USER = %s AND VARIABLE_NAME IN ('Handler_write', 'Handler_update', 'Handler_delete')
"""
_DEADLOCKS = """
    SELECT COALESCE(SUM(SUM_ERROR_RAISED), 0) FROM performance_schema.events_errors_summary_by_user_by_error
    WHERE USER = %s AND ERROR_NUMBER = 1213
"""


class MySQL(RowReader):
    """The fixture ``mysql`` of checks, from what ``Recipe.admin`` gives. See ``docs/checks-api.md``."""

    name, title = "mysql", "MySQL"

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._user = admin["user"]
        self._database = admin["database"]
        self._links = MysqlConnections(admin)

    def close(self) -> None:
        """Let go of all connections."""
        self._links.close()

    # --- rows ------------------------------------------------------------------------------------------------------

    def rows(self, query: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows. ``SchemaWrong`` for a missing table or column, a column of another type, or a view for a table."""
        with _judged():
            self._only_tables(query)
            with self._links.checker() as connection:
                return list(connection.ask(query, params).fetchall())

    def plant(self, query: str, params: Params = ()) -> None:
        """Write with the learner's rights. Refused: ``SchemaWrong("schema-plant-refused")``."""
        with lost():
            self._only_tables(query)
            with self._links.checker() as connection, _judged(query, connection):
                for _ in range(TRIES - 1):
                    try:
                        connection.ask(query, params)
                    except pymysql.OperationalError as error:
                        if number_of(error) != DEADLOCK:
                            raise
                    else:
                        return
                connection.ask(query, params)

    def insert(self, table: str, values: Mapping[str, object]) -> str:
        """Write one row with the learner's rights, without an id: the id that it got, as text; refused as ``plant``."""
        with self.planting() as insert:
            return insert(table, values)

    @contextmanager
    def planting(self) -> Iterator[Callable[[str, Mapping[str, object]], str]]:
        """Rows that are there together or not at all: the block is given ``insert``."""

        def insert(table: str, values: Mapping[str, object]) -> str:
            query = insertion(table, values)
            self._only_tables(query)
            with _judged(query, connection):
                connection.ask(query, list(values.values()))
                return last_written(connection, table, values)

        with lost(), self._links.checker() as connection:
            connection.begin()
            try:
                yield insert
            except BaseException:
                if connection.open:
                    connection.rollback()
                raise
            connection.commit()

    def refused(self, query: str, params: Params = ()) -> str | None:
        """Try it with the learner's rights and undo it: the SQLSTATE of the refusal, ``None`` if it was accepted."""
        return self.refused_of([(query, params)])

    def refused_of(self, statements: Sequence[tuple[str, Params]]) -> str | None:
        """The same for statements one after the other, in one transaction: the first refusal."""
        with _judged():
            for query, _ in statements:
                self._only_tables(query)
            with self._links.checker() as connection:
                connection.begin()
                try:
                    for query, params in statements:
                        connection.ask(query, params)
                except pymysql.Error as error:
                    state = state_of(error, connection)
                    if not refuses(number_of(error), state):
                        raise
                    return state
                finally:
                    if connection.open:
                        _take_back(connection)
        return None

    def admin(self, query: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """Read as the witness: catalogues and MySQL's own counts. It sees no row of the learner's, and writes none."""
        with _judged(), self._links.witness() as connection:
            return list(connection.ask(query, params).fetchall())

    # --- tables ----------------------------------------------------------------------------------------------------

    def columns(self) -> dict[tuple[str, str], str]:
        """(Table, column) -> the column's type in MySQL's words, of all tables of the learner's."""
        with _judged(), self._links.witness() as connection:
            found = connection.ask(_COLUMNS, [self._database]).fetchall()
        return {(table, column): type_ for table, column, type_ in found}

    def drop_tables(self) -> None:
        """Drop the learner's tables and views, with its rights."""
        with self.as_learner() as session:
            session.execute("SET SESSION foreign_key_checks = 0")
            for name, kind in session.execute(_RELATIONS, [self._database]).fetchall():
                session.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} `{name.replace('`', '``')}`")

    @contextmanager
    def making_held(self, table: str) -> Iterator[None]:  # noqa: ARG002 - all of them are
        """While the block runs, who makes this table has to wait; nobody sees one there."""
        with lost(), self._links.another_admin() as connection:
            connection.ask("LOCK INSTANCE FOR BACKUP")
            yield
            connection.ask("UNLOCK INSTANCE")

    # --- as the learner --------------------------------------------------------------------------------------------

    @contextmanager
    def as_learner(self, *, lock_timeout: float | None = None, hours: int | None = None) -> Iterator[LearnerConnection]:
        """A connection of its own with the learner's rights, not in autocommit. Not among its sessions.

        ``lock_timeout``: seconds after which it waits for a lock no longer, for MySQL at least one; ``hours``: its time
        zone, from UTC.
        """
        with _judged(), self._links.another_checker() as session:
            if lock_timeout is not None:
                seconds = max(1, round(lock_timeout))
                session.execute("SET SESSION lock_wait_timeout = %s, innodb_lock_wait_timeout = %s", [seconds, seconds])
            if hours is not None:
                session.execute("SET SESSION time_zone = %s", [f"{hours:+03}:00"])
            yield session

    # --- sessions --------------------------------------------------------------------------------------------------

    def sessions(self) -> list[MysqlSession]:
        """The sessions of the learner's role now."""
        with lost(), self._links.admin() as connection:
            return sessions.sessions_of(connection, self._user)

    def session_settings(self) -> list[SessionSettings]:
        """What each of the learner's sessions has set for itself, or left as it is."""
        with lost(), self._links.admin() as connection:
            return sessions.settings_of(connection, self._user)

    def sessions_opened(self) -> int:
        """How many sessions the learner's role ever opened. Take the difference of two calls."""
        with lost(), self._links.admin() as connection:
            return sessions.opened(connection, self._user)

    @contextmanager
    def limit_connections(self, limit: int) -> Iterator[None]:
        """The learner's role may have this many connections at once. Sessions that are open stay open."""
        with lost(), self._links.admin() as connection:
            before = sessions.limit_of(connection, self._user)
            sessions.set_limit(connection, self._user, limit or before, nobody=limit == 0)
        try:
            yield
        finally:
            with lost(), self._links.admin() as connection:
                sessions.set_limit(connection, self._user, before)

    def terminate(self) -> int:
        """End the learner's sessions, as a restart would; how many there were. Returns when they are gone."""
        with lost(), self._links.admin() as connection:
            return sessions.end_all(connection, self._user)

    # --- counts ----------------------------------------------------------------------------------------------------

    def deadlocks(self) -> int:
        """How often MySQL ended a transaction of the learner's because two waited for each other (error 1213)."""
        with lost(), self._links.admin() as connection:
            return int(_only(connection, _DEADLOCKS, [self._user]))

    # --- for exploring ---------------------------------------------------------------------------------------------

    def waiting(self) -> bool:
        """Whether a session of the learner's, or another one in its database, waits for a lock of a row, of a table
        or of a name (``GET_LOCK``)."""
        with lost(), self._links.admin() as connection:
            return bool(_only(connection, _WAITING, {"database": self._database, "user": self._user}))

    def written(self) -> str:
        """Another value whenever a transaction that could write has ended: now and then also when one goes on.

        InnoDB counts those that wrote and were committed; where that count is off, the learner's statements are, which
        are more. Other engines know no transactions: with a table of theirs, rows that it wrote are counted, too.
        """
        with lost(), self._links.admin() as connection:
            count, status = connection.ask(_COMMITS).fetchone() or (0, "disabled")
            if status != "enabled":
                count = _only(connection, _STATEMENTS, [self._user])
            others = _only(connection, _OTHER_ENGINES, [self._database])
            return f"{count} {_only(connection, _ROWS_WRITTEN, [self._user])}" if others else str(count)

    def _only_tables(self, query: str) -> None:
        """``SchemaWrong`` where a view of the learner's stands for a table: it may tell the checker other rows than
        the server has."""
        names = list(dict.fromkeys(relations_in(query, self._database)))
        if not names:
            return
        with self._links.witness() as connection:
            found = connection.ask(_VIEWS, [self._database, names]).fetchall()
        for (name,) in found:
            raise SchemaWrong("schema-wrong-type", f"what `{name}` is in MySQL",
                              "a plain table, which shows the same rows to everybody", "a view")


def _only(connection: MysqlConnection, query: str, params: Params = ()) -> Any:
    row = connection.ask(query, params).fetchone()
    assert row is not None
    return row[0]


def _take_back(connection: MysqlConnection) -> None:
    """``ROLLBACK``, or ``SchemaWrong`` where that leaves something: other engines than InnoDB know no transactions."""
    connection.rollback()
    if any(warning[1] == NOT_TAKEN_BACK for warning in connection.show_warnings() or ()):  # type: ignore[no-untyped-call]
        raise SchemaWrong("schema-not-taken-back", "what MySQL takes back, with ROLLBACK, of rows that I wrote",
                          "all of them: each table is InnoDB's", "not all: a table's engine knows no transactions")


@contextmanager
def _judged(planting: str | None = None, connection: MysqlConnection | None = None) -> Iterator[None]:
    """Turn an error of MySQL's into ``SchemaWrong`` or ``ServiceLost``; the check's own stays as it is."""
    with lost():
        try:
            yield
        except pymysql.Error as error:
            wrong = schema_fault(error, "" if connection is None else state_of(error, connection), planting)
            if wrong is None:
                raise
            raise wrong from error
