"""What is inside a MySQL of the labs: its accounts, the learner's database, and how both become new again.

Four accounts. The *administrator* may do everything, and never reads or writes a table of the learner's. The
*learner* has one database, and there whatever a server needs; it makes no routines and no events. The *checker* is how
checks read and plant: the same rights under a name of its own, so that nothing of it counts as the learner's. The
*witness* sees catalogues, sessions and counters, and can neither read nor write a row of the learner's.

The learner's code in our sessions: a trigger runs in the session of whoever writes, and a view where it is read. Both
run with the learner's own rights at the most: to name another as their definer takes a right that it has not. A view
of the kind ``SQL SECURITY INVOKER`` runs with the checker's, which are the same, and calls nothing but MySQL's own
functions, as there is no routine. So neither reaches what the learner could not reach. What a trigger can do is change
the session that it runs in: its settings (``sql_select_limit``), or a temporary table that hides the real one. A
session that has written is not believed afterwards: checks read in one that never writes, and plant in one that ends
with it. A trigger that waits is ended by the limits of the connection.

Only the learner's sessions are instrumented: digests, statements and errors of the performance schema are all its own.

All functions take a connection of the administrator's, but those that say otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint
from orchestrator.services.mysql_kin.accounts import (
    CONNECTIONS,
    LOCK_SECONDS,
    RIGHTS,
    SEES,
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
from orchestrator.services.mysql_kin.clients import number_of, rows

if TYPE_CHECKING:
    from pymysql.connections import Connection

_LOCK_WAIT = 1205

_NOTED = "labs_settings"
"""In the witness's attributes, which nobody else sees: what ``_settings`` was when the account was made."""

Right = tuple[str, str, str]
"""Where (``""`` for everywhere, a database, a table), what, and ``YES`` if it can be passed on."""


def prepare(connection: Connection[Any], endpoint: Endpoint, credentials: Credentials) -> None:
    """Make the accounts and the database that are not there; an account that is not as we make it is made anew.

    Each account logs in once: MySQL remembers it then, and takes its password without the detour over the server's
    public key, which some clients do not make unasked.
    """
    make_database(connection, credentials)
    accounts, rights = _accounts(connection), _rights(connection)
    for user, secret, connections, wanted in _wanted(credentials):
        as_made = accounts.get(user) == _account(connections) and rights.get(user, set()) == wanted
        if not (as_made and logs_in(endpoint, user, secret)):
            noted = {_NOTED: _settings(connection)} if user == witness_name(credentials) else {}
            _make(connection, user, secret, connections, wanted, noted)
            logs_in(endpoint, user, secret)
    instrument(connection, credentials)


def fresh(connection: Connection[Any], endpoint: Endpoint, credentials: Credentials) -> None:
    """End all sessions in the learner's database, replace it by an empty one.

    ``EnvironmentFault("service-changed")`` where something is there that we did not make: it must be made anew.
    """
    end_sessions(connection, credentials)
    _end_prepared(connection)
    rows(connection, f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
    there = rows(connection, "SELECT options FROM information_schema.schemata_extensions WHERE schema_name = %s",
                 [credentials.database])
    if there and "READ ONLY" in (there[0][0] or ""):
        # Who may change a database may say so of it, and then it cannot be dropped.
        rows(connection, f"ALTER DATABASE {quoted(credentials.database)} READ ONLY = 0")
    rows(connection, f"DROP DATABASE IF EXISTS {quoted(credentials.database)}")
    rows(connection, "TRUNCATE TABLE performance_schema.users")  # how many sessions each has opened
    prepare(connection, endpoint, credentials)
    if found := foreign(connection, credentials):
        raise EnvironmentFault(f"MySQL is not as labs made it: {', '.join(found)}", code="service-changed",
                               hint="labs check")


def foreign(connection: Connection[Any], credentials: Credentials) -> list[str]:
    """What is in the server that neither ``prepare`` nor its own first start made, in words."""
    witness = witness_name(credentials)
    found = sorted(str(row[0]) for row in rows(connection, _FOREIGN, {
        "admin": credentials.admin_user, "database": credentials.database, "user": credentials.user,
        "checker": checker_name(credentials), "witness": witness}))
    noted = rows(connection, "SELECT attribute ->> %s FROM information_schema.user_attributes WHERE user = %s",
                 [f"$.{_NOTED}", witness])
    if noted != [(_settings(connection),)]:
        # MySQL says who changed what, but also of a session's own settings, as we set one.
        changed = rows(connection, "SELECT variable_name FROM performance_schema.variables_info WHERE set_user = %s"
                                   " AND variable_name <> 'lock_wait_timeout'", [credentials.admin_user])
        found.append(" or ".join(["a setting", *sorted(f"`{name}`" for name, in changed)]))
    return found


_FOREIGN = """
    SELECT CONCAT('the account ', user, '@', host) FROM mysql.user
    WHERE NOT (host = 'localhost' AND user IN ('root', 'mysql.infoschema', 'mysql.session', 'mysql.sys')
               OR host = '%%' AND user IN (%(admin)s, %(user)s, %(checker)s, %(witness)s))
    UNION ALL
    SELECT CONCAT('the right of ', to_user, ' to be ', from_user) FROM mysql.role_edges
    UNION ALL
    SELECT CONCAT('the right of ', user, ' to stand for ', proxied_user) FROM mysql.proxies_priv WHERE user <> 'root'
    UNION ALL
    SELECT CONCAT('the database ', schema_name) FROM information_schema.schemata
    WHERE schema_name NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys', %(database)s)
    UNION ALL
    SELECT CONCAT('the event ', event_schema, '.', event_name) FROM information_schema.events
    UNION ALL
    SELECT CONCAT('the routine ', routine_schema, '.', routine_name) FROM information_schema.routines
    WHERE routine_schema <> 'sys'
    UNION ALL
    SELECT CONCAT('the trigger ', trigger_schema, '.', trigger_name) FROM information_schema.triggers
    WHERE trigger_schema <> 'sys'
    UNION ALL
    SELECT CONCAT('the setting ', variable_name, ', kept for the next start')
    FROM performance_schema.persisted_variables
    UNION ALL
    SELECT CONCAT('the component ', component_urn) FROM mysql.component
    UNION ALL
    SELECT CONCAT('the plugin ', name) FROM mysql.plugin
    UNION ALL
    SELECT CONCAT('the function ', name) FROM mysql.func
    UNION ALL
    SELECT CONCAT('the server ', server_name) FROM mysql.servers
"""


def clear(connection: Connection[Any], credentials: Credentials, spare: Collection[str]) -> None:
    """Empty all tables but the spared ones, under sessions that go on. ``connection``: the checker's.

    ``EnvironmentFault("table-held")`` where a transaction that does not end holds on to a table: then none is emptied.
    ``"not-emptied"`` where rows are there afterwards.
    """
    from pymysql.err import MySQLError

    if tables := sorted(filled_tables(connection, credentials) - frozenset(spare)):
        # Tables that refer to each other could not be emptied one by one. TRUNCATE runs no trigger.
        rows(connection, f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, SESSION foreign_key_checks = 0")
        try:
            rows(connection, f"LOCK TABLES {', '.join(f'{quoted(table)} WRITE' for table in tables)}")
            for table in tables:
                rows(connection, f"TRUNCATE TABLE {quoted(table)}")
        except MySQLError as error:
            if number_of(error) != _LOCK_WAIT:
                raise
            raise EnvironmentFault("MySQL's tables could not be emptied: your server has a transaction open that uses "
                                   "them", code="table-held") from error
        finally:
            rows(connection, "UNLOCK TABLES")
    check_emptied(connection, credentials, spare)


# --- accounts --------------------------------------------------------------------------------------------------------


def _wanted(credentials: Credentials) -> list[tuple[str, str, int, set[Right]]]:
    """Of each account of ours: name, password, how many connections it may have (0: as many as there are), rights."""
    inside = {(credentials.database, right, "NO") for right in RIGHTS}
    sees = {("", "PROCESS", "NO"), ("performance_schema", "SELECT", "NO"),
            *((credentials.database, right, "NO") for right in SEES)}
    return [(credentials.user, credentials.password, CONNECTIONS, inside),
            (checker_name(credentials), credentials.admin_password, 0, inside),
            (witness_name(credentials), credentials.admin_password, 0, sees)]


def _account(connections: int) -> tuple[Any, ...]:
    """The row of an account as ``_accounts`` gives it."""
    return ("caching_sha2_password", "", 0, 0, 0, connections, "N", "N", None, None, None, None)


def _accounts(connection: Connection[Any]) -> Mapping[str, tuple[Any, ...]]:
    return {str(row[0]): tuple(row[1:]) for row in rows(
        connection, "SELECT user, plugin, ssl_type, max_questions, max_updates, max_connections, max_user_connections,"
                    " account_locked, password_expired, password_lifetime, password_reuse_history, password_reuse_time,"
                    " password_require_current FROM mysql.user WHERE host = '%'")}


def _rights(connection: Connection[Any]) -> Mapping[str, set[Right]]:
    """What each account may do, and where."""
    found: dict[str, set[Right]] = {}
    for grantee, where, what, passed_on in rows(connection, """
            SELECT grantee, '', privilege_type, is_grantable FROM information_schema.user_privileges
            UNION ALL SELECT grantee, table_schema, privilege_type, is_grantable
                      FROM information_schema.schema_privileges
            UNION ALL SELECT grantee, CONCAT(table_schema, '.', table_name), privilege_type, is_grantable
                      FROM information_schema.table_privileges
            UNION ALL SELECT grantee, CONCAT(table_schema, '.', table_name, '.', column_name), privilege_type,
                             is_grantable FROM information_schema.column_privileges
            UNION ALL SELECT CONCAT('''', user, '''@''', host, ''''), CONCAT(db, '.', routine_name), 'EXECUTE', 'NO'
                      FROM mysql.procs_priv"""):
        user, _, host = str(grantee).rpartition("@")
        if host == "'%'" and what != "USAGE":
            found.setdefault(user.strip("'"), set()).add((str(where), str(what), str(passed_on)))
    return found


def _make(connection: Connection[Any], user: str, secret: str, connections: int, wanted: set[Right],
          noted: Mapping[str, str]) -> None:
    account = f"'{user}'@'%'"
    # A definer of triggers or views among the learner's tables may be dropped: it is there again at once.
    for statement in (
            f"DROP USER IF EXISTS {account}",
            f"CREATE USER {account} IDENTIFIED WITH caching_sha2_password BY '{secret}'"
            f" WITH MAX_USER_CONNECTIONS {connections}" + (f" ATTRIBUTE '{json.dumps(noted)}'" if noted else "")):
        rows(connection, statement)
    for where in sorted({place for place, _, _ in wanted}):
        what = ", ".join(sorted(right for place, right, _ in wanted if place == where))
        rows(connection, f"GRANT {what} ON {quoted(where) if where else '*'}.* TO {account}")


def _settings(connection: Connection[Any]) -> str:
    """A digest of the server's settings. The numbers of transactions among them are none, its first start has a file of
    statements that the later ones have not, and a container that is made anew on old data has another name."""
    found = rows(connection, "SELECT variable_name, variable_value FROM performance_schema.global_variables"
                             " WHERE variable_name NOT LIKE 'gtid%' AND variable_name NOT IN ('init_file', 'hostname')"
                             " ORDER BY 1")
    return hashlib.sha256(repr(found).encode()).hexdigest()


# --- what is under way -----------------------------------------------------------------------------------------------


def _end_prepared(connection: Connection[Any]) -> None:
    """Transactions that were prepared for a commit in two phases outlive their session, and what they hold is held."""
    for form, length, _, data in rows(connection, "XA RECOVER CONVERT XID"):
        digits = str(data).removeprefix("0x")
        first, second = digits[:2 * int(length)], digits[2 * int(length):]
        rows(connection, f"XA ROLLBACK X'{first}', X'{second}', {int(form)}")
