"""The checker's own connections to MySQL: opened when needed, opened again after an outage, as new for each call.

A trigger of the learner's runs, with the learner's rights, in the session that writes into its table. There it may set
variables (``sql_select_limit = 0``: no rows any more) and make a temporary table that hides the real one. So each call
begins with MySQL's own reset of the connection, which undoes all of that, and sets what the checker needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pymysql
from pymysql import connections
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions, convert_datetime, escape_datetime
from pymysql.cursors import Cursor

from orchestrator.checks.errors import ServiceLost
from orchestrator.checks.rows import Params, insertion

if TYPE_CHECKING:
    PlainConnection = connections.Connection[Cursor]
else:
    PlainConnection = connections.Connection

PROGRAM = "labs checks"
COLLATION = "utf8mb4_0900_ai_ci"
CONNECT_SECONDS, ANSWER_SECONDS = 5, 40
COM_RESET_CONNECTION = 0x1F
SETTINGS = (
    f"SET NAMES utf8mb4 COLLATE {COLLATION}",
    "SET SESSION time_zone = '+00:00', lock_wait_timeout = 5, innodb_lock_wait_timeout = 5, max_execution_time = 30000",
)
"""By default a table's lock is waited for for a year."""
AT_ONCE = "SET SESSION transaction_isolation = 'READ-COMMITTED'"
"""What is written by itself locks no gaps between rows: the learner's transactions need not fail for it."""
_IN_JSON = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LOST = frozenset({
    1021, 1037, 1038, 1040, 1041, 1042, 1043, 1044, 1045, 1053, 1077, 1079, 1129, 1130, 1142, 1143, 1152, 1158, 1159,
    1160, 1161, 1184, 1203, 1226, 1227, 1290, 1698, 2002, 2003, 2006, 2013, 2055, 3024, 3118, 4031,
})
"""No memory, disk, room or right, an end of the connection, no answer in time."""


class MysqlConnection(PlainConnection):
    """One of ours."""

    def ask(self, query: str, params: Params = ()) -> Cursor:
        """Run it; without ``params`` a ``%`` in the text is one."""
        cursor = self.cursor()
        cursor.execute(query, _with_moments(params) or None)
        return cursor

    def reset(self) -> None:
        """As after its login: no variables, no temporary tables, no locks, no transaction."""
        self._execute_command(COM_RESET_CONNECTION, "")  # type: ignore[attr-defined]
        self._read_ok_packet()  # type: ignore[attr-defined]

    def state(self) -> str:
        """The SQLSTATE of the error that the last statement ended with: PyMySQL does not keep it."""
        self.ask("GET DIAGNOSTICS @labs_number = NUMBER")
        self.ask("GET DIAGNOSTICS CONDITION @labs_number @labs_state = RETURNED_SQLSTATE")
        row = self.ask("SELECT @labs_state").fetchone()
        return str(row[0]) if row and row[0] else ""


class LearnerConnection:
    """A connection with the learner's rights, not in autocommit; used as one of psycopg's."""

    def __init__(self, connection: MysqlConnection) -> None:
        self._connection = connection

    def execute(self, query: str, params: Params = ()) -> Cursor:
        """Its cursor has ``fetchall()``, ``fetchone()`` and ``rowcount``; an error has its ``sqlstate``."""
        try:
            return self._connection.ask(query, params)
        except pymysql.Error as error:
            error.sqlstate = state_of(error, self._connection) or None
            raise

    def insert(self, table: str, values: Mapping[str, object]) -> str:
        """Write one row without its id: the id that it got, as text."""
        self.execute(insertion(table, values), list(values.values()))
        return last_written(self._connection, table, values)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()


def last_written(connection: MysqlConnection, table: str, values: Mapping[str, object]) -> str:
    """The id of the row that this connection has written last, as text.

    MySQL tells the number that it counted itself, of whichever column, and nothing of another default (``UUID()``). So
    the row is looked for by what is in it; among equal ones it is the one with that number.
    """
    counted = str(connection.insert_id())  # type: ignore[no-untyped-call]
    same = " AND ".join(f"{name} <=> %s" for name in values)
    query = f"SELECT CONCAT(id) FROM {table} WHERE {same}"  # noqa: S608 - the check's own names
    found = [str(row[0]) for row in connection.ask(query, list(values.values())).fetchall()]
    if len(found) > 1 and counted in found:
        return counted
    if len(found) != 1:
        raise LookupError(f"{len(found)} rows of {table} are as the one that was written")
    return found[0]


class MysqlConnections:
    """One connection of each kind, shared by all of a check's calls."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._urls = {kind: admin[f"{kind}_url"] for kind in ("checker", "witness", "admin")}
        self._open: dict[str, MysqlConnection] = {}
        self._lock = RLock()

    def close(self) -> None:
        with self._lock:
            for connection in self._open.values():
                with suppress(pymysql.Error):
                    connection.close()
            self._open.clear()

    @contextmanager
    def checker(self) -> Iterator[MysqlConnection]:
        """In the learner's database, with the learner's rights there, in autocommit."""
        with self._lock:
            yield self._live("checker")

    @contextmanager
    def witness(self) -> Iterator[MysqlConnection]:
        """For catalogues: it may touch no row of the learner's, so none of its triggers and views runs there."""
        with self._lock:
            yield self._live("witness")

    @contextmanager
    def admin(self) -> Iterator[MysqlConnection]:
        """The administrator, in no database: sees all sessions and counts, ends sessions, limits them."""
        with self._lock:
            yield self._live("admin")

    @contextmanager
    def another_checker(self) -> Iterator[LearnerConnection]:
        """One more checker's connection, with transactions and MySQL's own isolation, closed at the end."""
        connection = self._connect("checker", autocommit=False)
        try:
            for statement in SETTINGS:
                connection.ask(statement)
            yield LearnerConnection(connection)
        finally:
            with suppress(pymysql.Error):
                connection.close()

    @contextmanager
    def another_admin(self) -> Iterator[MysqlConnection]:
        """One more administrator's connection, closed at the end."""
        connection = self._connect("admin", autocommit=True)
        try:
            yield connection
        finally:
            with suppress(pymysql.Error):
                connection.close()

    def _live(self, kind: str) -> MysqlConnection:
        """The kept connection if it still answers (a check may have stopped the service since), else a new one."""
        connection = self._open.pop(kind, None)
        if connection is not None:
            try:
                connection.reset()
            except (pymysql.Error, OSError):
                with suppress(pymysql.Error):
                    connection.close()
                connection = None
        if connection is None:
            connection = self._connect(kind, autocommit=True)
        self._open[kind] = connection
        if kind == "checker":
            for statement in (*SETTINGS, AT_ONCE):
                connection.ask(statement)
        return connection

    def _connect(self, kind: str, *, autocommit: bool) -> MysqlConnection:
        parts = urlsplit(self._urls[kind])
        return MysqlConnection(
            host=parts.hostname or "", port=parts.port or 0, user=unquote(parts.username or ""),
            password=unquote(parts.password or ""), database=parts.path.lstrip("/") or None, charset="utf8mb4",
            collation=COLLATION, autocommit=autocommit, connect_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS,
            write_timeout=ANSWER_SECONDS, ssl_disabled=True, program_name=PROGRAM, conv=_CONVERSIONS)


def state_of(error: pymysql.Error, connection: MysqlConnection) -> str:
    """The error's SQLSTATE; empty where the connection has ended with it."""
    return connection.state() if number_of(error) and connection.open else ""


@contextmanager
def lost() -> Iterator[None]:
    """A lost connection, a service without room or a right that is missing: never the learner's fault."""
    try:
        yield
    except (pymysql.InterfaceError, OSError) as error:
        raise ServiceLost("mysql", str(error)) from error
    except pymysql.Error as error:
        if number_of(error) in _LOST:
            raise ServiceLost("mysql", message_of(error)) from error
        raise


def number_of(error: pymysql.Error) -> int:
    """MySQL's number of an error; 0 for one that is none of MySQL's."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def message_of(error: pymysql.Error) -> str:
    """MySQL's words, with the number that is looked for in its manual."""
    return f"{error.args[1]} [{error.args[0]}]" if len(error.args) > 1 else str(error)


def _with_moments(params: Params) -> Params:
    """Times as JSON has them (``2027-05-01T19:30:00Z``) are no literals of MySQL's, which knows no ``Z``."""
    if isinstance(params, Mapping):
        return {name: _moment(value) for name, value in params.items()}
    return [_moment(value) for value in params]


def _moment(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) and _IN_JSON.fullmatch(value) else value


def _read_moment(text: Any) -> Any:
    """Every session of ours is in UTC. What is no time (0000-00-00) stays a text."""
    found = convert_datetime(text)
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) else found


def _write_moment(moment: datetime, mapping: Any = None) -> str:
    """MySQL's literals have no zone: in UTC. A time that says none is meant so."""
    return escape_datetime(moment.astimezone(UTC) if moment.tzinfo is not None else moment, mapping)


_CONVERSIONS: Any = {
    **conversions, FIELD_TYPE.DATETIME: _read_moment, FIELD_TYPE.TIMESTAMP: _read_moment, datetime: _write_moment}
