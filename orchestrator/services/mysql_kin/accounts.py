"""The accounts in a server of MySQL's kind: their names, what the learner's may do, which tables it has."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint
from orchestrator.services.mysql_kin.clients import ACCESS_DENIED, MYSQL, connected, number_of, rows

if TYPE_CHECKING:
    from pymysql.connections import Connection

RIGHTS = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "TRIGGER", "CREATE VIEW",
    "SHOW VIEW", "CREATE TEMPORARY TABLES", "LOCK TABLES",
)
"""The learner's, in its own database."""
SEES = ("REFERENCES", "SHOW VIEW", "TRIGGER")
"""The witness's there: without any right to a table its columns, indexes and triggers would not be shown to it."""
CONNECTIONS = 90
"""How many the learner's server may have open at once, of the 100 that there are."""
LOCK_SECONDS = 3
"""That a table may be in use by a transaction of the learner's server before it can be emptied or dropped."""
LOGIN_SECONDS = 5.0
ENDED_SECONDS = 5.0
"""In which a session that was killed has taken back what it had under way."""
_UNKNOWN_THREAD = 1094
_CHARACTERS = "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci"


def checker_name(credentials: Credentials) -> str:
    """The account that checks use for this learner."""
    return f"{credentials.user}_checker"


def witness_name(credentials: Credentials) -> str:
    """The account that looks at this learner's database and touches no row in it."""
    return f"{credentials.user}_witness"


def account_names(credentials: Credentials) -> Sequence[str]:
    """The learner's, and those of ours that stand beside it."""
    return credentials.user, checker_name(credentials), witness_name(credentials)


def quoted(name: str) -> str:
    """A name as it stands in a statement."""
    return "`" + name.replace("`", "``") + "`"


def logs_in(endpoint: Endpoint, user: str, secret: str) -> bool:
    """Whether this is its password."""
    from pymysql.err import OperationalError

    try:
        with connected(endpoint, user, secret, None, LOGIN_SECONDS):
            return True
    except OperationalError as error:
        if number_of(error) != ACCESS_DENIED:
            raise
        return False


def make_database(connection: Connection[Any], credentials: Credentials) -> None:
    """The learner's, empty, if it is not there."""
    if not rows(connection, "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", [credentials.database]):
        rows(connection, f"CREATE DATABASE {quoted(credentials.database)} {_CHARACTERS}")


def filled_tables(connection: Connection[Any], credentials: Credentials) -> frozenset[str]:
    """The tables that have rows. The checker's connection, in which nothing was written."""
    return frozenset(name for name in _tables(connection, credentials)
                     if rows(connection, f"SELECT 1 FROM {quoted(name)} LIMIT 1"))  # noqa: S608


def check_emptied(connection: Connection[Any], credentials: Credentials, spare: Collection[str],
                  title: str = MYSQL) -> None:
    """``EnvironmentFault("not-emptied")`` if a table has rows that is not spared."""
    if left := filled_tables(connection, credentials) - frozenset(spare):
        raise EnvironmentFault(f"{title}'s tables have rows after they were emptied: {', '.join(sorted(left))}",
                               code="not-emptied", hint="labs stop, then labs run")


def _tables(connection: Connection[Any], credentials: Credentials) -> list[str]:
    return [str(row[0]) for row in rows(
        connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
                    " AND table_type = 'BASE TABLE' ORDER BY 1", [credentials.database])]


def instrument(connection: Connection[Any], credentials: Credentials) -> None:
    """The learner's sessions, and no others: from the next login on. A restart forgets it, and looks at all again."""
    wanted = {("%", "%", "NO", "NO"), ("%", credentials.user, "YES", "YES")}
    if set(rows(connection, "SELECT host, user, enabled, history FROM performance_schema.setup_actors")) != wanted:
        rows(connection, "DELETE FROM performance_schema.setup_actors WHERE user <> '%'")
        rows(connection, "INSERT INTO performance_schema.setup_actors VALUES ('%%', %s, '%%', 'YES', 'YES')",
             [credentials.user])
        rows(connection, "UPDATE performance_schema.setup_actors SET enabled = 'NO', history = 'NO' WHERE user = '%'")


def end_sessions(connection: Connection[Any], credentials: Credentials, title: str = MYSQL) -> None:
    """The learner's and ours: what any of them holds keeps the database from being dropped."""
    from pymysql.err import MySQLError

    names = account_names(credentials)
    look = "SELECT processlist_id FROM performance_schema.threads WHERE processlist_user IN (%s, %s, %s)"
    end = time.monotonic() + ENDED_SECONDS
    asked: set[int] = set()
    while left := {int(row[0]) for row in rows(connection, look, names)}:
        if time.monotonic() > end:
            raise EnvironmentFault(f"{title} did not end {len(left)} of its sessions within {ENDED_SECONDS:.0f} s",
                                   code="service-refused", hint=f"labs logs {title.lower()}")
        for session in left - asked:
            try:
                rows(connection, f"KILL {session}")
            except MySQLError as error:
                if number_of(error) != _UNKNOWN_THREAD:  # it has ended in the meantime
                    raise
        asked |= left
        time.sleep(0.005)
