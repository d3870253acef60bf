"""The learner's sessions, and what each of them has set for itself, from MySQL's performance schema."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

import pymysql

from orchestrator.checks.errors import ServiceLost
from orchestrator.services.mysql.evidence.connections import MysqlConnection, number_of

END_BUDGET = 5.0
_EVERY = 0.005
_NO_SUCH_SESSION = 1094
_SETTINGS = ("sql_mode", "transaction_isolation", "autocommit", "character_set_client", "collation_connection",
             "time_zone")

_SESSIONS = """
    SELECT t.PROCESSLIST_ID, COALESCE(a.ATTR_VALUE, ''), LOWER(COALESCE(t.PROCESSLIST_COMMAND, '')),
           COALESCE(t.PROCESSLIST_INFO, '')
    FROM performance_schema.threads AS t
    LEFT JOIN performance_schema.session_connect_attrs AS a
           ON a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = 'program_name'
    WHERE t.PROCESSLIST_USER = %s AND t.TYPE = 'FOREGROUND' ORDER BY t.PROCESSLIST_ID
"""
_VARIABLES = """
    SELECT t.PROCESSLIST_ID, v.VARIABLE_NAME, v.VARIABLE_VALUE
    FROM performance_schema.threads AS t JOIN performance_schema.variables_by_thread AS v USING (THREAD_ID)
    WHERE t.PROCESSLIST_USER = %s AND v.VARIABLE_NAME IN %s ORDER BY t.PROCESSLIST_ID
"""
_LIMIT = "SELECT max_user_connections FROM mysql.user WHERE User = %s AND Host = '%%'"


@dataclass(frozen=True, slots=True)
class MysqlSession:
    """One connection of the learner's server. ``program``: as it calls itself, if it does. ``state``: ``sleep``,
    ``query``, ``execute``. ``query``: what it runs now."""

    id: int
    program: str
    state: str
    query: str


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What holds in one of the learner's sessions. ``isolation``: as MySQL writes it, ``REPEATABLE-READ``."""

    id: int
    sql_mode: str
    isolation: str
    autocommit: bool
    character_set_client: str
    collation_connection: str
    time_zone: str

    @property
    def strict(self) -> bool:
        """Whether MySQL refuses a value that does not fit, which it else cuts and stores."""
        return bool({"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"} & set(self.sql_mode.split(",")))


def sessions_of(connection: MysqlConnection, user: str) -> list[MysqlSession]:
    return [MysqlSession(*row) for row in connection.ask(_SESSIONS, [user]).fetchall()]


def settings_of(connection: MysqlConnection, user: str) -> list[SessionSettings]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for number, name, value in connection.ask(_VARIABLES, [user, _SETTINGS]).fetchall():
        found[number][name] = value or ""
    return [SessionSettings(number, one["sql_mode"], one["transaction_isolation"], one["autocommit"] == "ON",
                            one["character_set_client"], one["collation_connection"], one["time_zone"])
            for number, one in found.items() if len(one) == len(_SETTINGS)]  # a session may end meanwhile


def opened(connection: MysqlConnection, user: str) -> int:
    row = connection.ask("SELECT TOTAL_CONNECTIONS FROM performance_schema.users WHERE USER = %s", [user]).fetchone()
    return int(row[0]) if row else 0


def end_all(connection: MysqlConnection, user: str) -> int:
    """End the role's sessions; how many there were. Returns when they are gone."""
    there = sessions_of(connection, user)
    for session in there:
        try:
            connection.ask(f"KILL {session.id}")
        except pymysql.Error as error:
            if number_of(error) != _NO_SUCH_SESSION:
                raise
    ids, end = {session.id for session in there}, time.monotonic() + END_BUDGET
    while ids & {session.id for session in sessions_of(connection, user)}:
        if time.monotonic() > end:
            raise ServiceLost("mysql", f"a session that was ended was still there after {END_BUDGET:.0f} s")
        time.sleep(_EVERY)
    return len(there)


def limit_of(connection: MysqlConnection, user: str) -> int:
    """How many sessions the role may have at once; 0: as many as there is room for."""
    row = connection.ask(_LIMIT, [user]).fetchone()
    return int(row[0]) if row else 0


def set_limit(connection: MysqlConnection, user: str, limit: int, *, nobody: bool = False) -> None:
    """``nobody``: for MySQL a limit of 0 is none, so the role is locked."""
    connection.ask(f"ALTER USER %s@'%%' WITH MAX_USER_CONNECTIONS {limit:d} ACCOUNT {'LOCK' if nobody else 'UNLOCK'}",
                   [user])
