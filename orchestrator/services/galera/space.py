"""What is inside a Galera cluster of the labs: its accounts, the learner's database, and how both become new again.

The accounts are those of ``mysql/space.py``: the *administrator*, the *learner*, the *checker* and the *witness*. What
is made or dropped is made or dropped on all nodes at once, whichever is asked. Sessions and counts are each node's own.

No trigger of the learner's reaches more than the learner could: what it runs with are the rights of whoever made it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint
from orchestrator.services.galera.nodes import TITLE, alone, catch_up
from orchestrator.services.mysql_kin.accounts import (
    CONNECTIONS,
    LOCK_SECONDS,
    RIGHTS,
    SEES,
    account_names,
    check_emptied,
    checker_name,
    end_sessions,
    filled_tables,
    instrument,
    logs_in,
    make_database,
    quoted,
    witness_name,
)
from orchestrator.services.mysql_kin.clients import rows

if TYPE_CHECKING:
    from pymysql.connections import Connection

Grants = Mapping[str, set[str]]
"""Where -> which rights."""

_FOREIGN = """
    SELECT CONCAT('the account ', user, '@', host) FROM mysql.global_priv
    WHERE NOT (host = 'localhost' AND user = 'mariadb.sys' OR host = '%%' AND user IN %(accounts)s)
    UNION ALL
    SELECT CONCAT('the right of ', user, ' to be ', role) FROM mysql.roles_mapping
    UNION ALL
    SELECT CONCAT('the database ', schema_name) FROM information_schema.schemata
    WHERE schema_name NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys', %(database)s)
    UNION ALL
    SELECT CONCAT('the event ', event_schema, '.', event_name) FROM information_schema.events
    UNION ALL
    SELECT CONCAT('the routine ', routine_schema, '.', routine_name) FROM information_schema.routines
    WHERE routine_schema NOT IN ('mysql', 'sys')
    UNION ALL
    SELECT CONCAT('the plugin ', name) FROM mysql.plugin
    UNION ALL
    SELECT CONCAT('the function ', name) FROM mysql.func
    UNION ALL
    SELECT CONCAT('the server ', server_name) FROM mysql.servers
"""


def prepare(nodes: Sequence[Connection[Any]], endpoint: Endpoint, credentials: Credentials) -> None:
    """Make the accounts and the database that are not there; an account that is not as we make it is made anew."""
    first = nodes[0]
    make_database(first, credentials)
    for user, secret, connections, grants in _wanted(credentials):
        if _granted(first, user) != grants or not logs_in(endpoint, user, secret):
            rows(first, f"CREATE OR REPLACE USER '{user}'@'%' IDENTIFIED BY '{secret}'"
                        f" WITH MAX_USER_CONNECTIONS {connections}")
            for where, rights in sorted(grants.items()):
                rows(first, f"GRANT {', '.join(sorted(rights))} ON {where} TO '{user}'@'%'")
    for node in nodes:
        catch_up(node)
        with alone(node):
            instrument(node, credentials)


def fresh(nodes: Sequence[Connection[Any]], endpoint: Endpoint, credentials: Credentials) -> None:
    """End all sessions in the learner's database, on every node, and replace it by an empty one.

    ``EnvironmentFault("service-changed")`` where something is there that we did not make: it must be made anew.
    """
    for node in nodes:
        end_sessions(node, credentials, TITLE)
    first = nodes[0]
    rows(first, f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
    rows(first, f"DROP DATABASE IF EXISTS {quoted(credentials.database)}")
    for node in nodes:
        with alone(node):
            rows(node, "TRUNCATE TABLE performance_schema.users")  # how many sessions each has opened
            rows(node, "FLUSH LOCAL STATUS")
    prepare(nodes, endpoint, credentials)
    found = sorted(str(row[0]) for row in rows(first, _FOREIGN, {
        "accounts": [credentials.admin_user, *account_names(credentials)], "database": credentials.database}))
    if found:
        raise EnvironmentFault(f"{TITLE} is not as labs made it: {', '.join(found)}", code="service-changed",
                               hint="labs check")


def clear(connection: Connection[Any], credentials: Credentials, spare: Collection[str]) -> None:
    """Empty all tables but the spared ones, under sessions that go on. ``connection``: the checker's.

    A transaction that is open and has touched one of them fails, as on any conflict of this cluster's.
    ``EnvironmentFault("not-emptied")`` where rows are there afterwards.
    """
    rows(connection, f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, SESSION foreign_key_checks = 0")
    for table in sorted(filled_tables(connection, credentials) - frozenset(spare)):
        rows(connection, f"TRUNCATE TABLE {quoted(table)}")
    check_emptied(connection, credentials, spare, TITLE)


def _wanted(credentials: Credentials) -> list[tuple[str, str, int, Grants]]:
    """Of each account of ours: name, password, how many connections it may have (0: as many as there are), grants."""
    database = f"{quoted(credentials.database)}.*"
    inside = {database: set(RIGHTS)}
    sees = {"*.*": {"PROCESS"}, "`performance_schema`.*": {"SELECT"}, database: set(SEES)}
    return [(credentials.user, credentials.password, CONNECTIONS, inside),
            (checker_name(credentials), credentials.admin_password, 0, inside),
            (witness_name(credentials), credentials.admin_password, 0, sees)]


def _granted(connection: Connection[Any], user: str) -> Grants:
    """What an account may do; nothing, if it is not there."""
    if not rows(connection, "SELECT 1 FROM mysql.global_priv WHERE user = %s AND host = '%%'", [user]):
        return {}
    found: dict[str, set[str]] = {}
    for (text,) in rows(connection, "SHOW GRANTS FOR %s@'%%'", [user]):
        what, _, rest = str(text).removeprefix("GRANT ").partition(" ON ")
        where, _, ends = rest.partition(" TO ")
        rights = {right for right in what.split(", ") if right != "USAGE"}
        if ends.endswith("WITH GRANT OPTION"):
            rights.add("GRANT OPTION")
        if rights:
            found.setdefault(where, set()).update(rights)
    return found
