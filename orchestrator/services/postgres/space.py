"""What is inside a PostgreSQL cluster of the labs: its roles, the learner's database, and how both become new again.

Four roles. The *administrator* is the superuser; it never enters the learner's database, because there every operator,
default, trigger and setting may be the learner's code. The *learner* owns one database and is nothing else. The
*checker* is how checks read and plant: every session of it acts as the learner (its ``role`` setting), yet logs in
under its own name, so that its sessions do not count against the learner's connection limit, are not in
``pg_stat_statements`` and survive a learner that takes all connections. The learner's triggers run in its sessions, and
can do there what the checker can. The *witness* may use what is the learner's, too, but touches no row of it: so the
learner's code never runs in its sessions, and what it makes or sees there is not the learner's to change.

All functions take an open autocommit connection of the administrator to the administrator's database; those about
tables say whose they take.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials

if TYPE_CHECKING:
    from psycopg import Connection

ADMIN_DATABASE = "postgres"
OPTIONS = (
    # What the owner of a database may set for all who connect to it must not reach us.
    "-c statement_timeout=30s -c lock_timeout=5s -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
    " -c transaction_timeout=0 -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed"
    " -c default_transaction_deferrable=off -c row_security=off -c timezone=UTC -c datestyle=ISO"
    " -c intervalstyle=postgres -c standard_conforming_strings=on -c bytea_output=hex -c extra_float_digits=1"
    " -c transform_null_equals=off -c array_nulls=on -c default_tablespace= -c search_path=pg_catalog"
)
"""Of every connection of ours to the learner's database. What is hidden from it by row security is an error."""
LOCK_SECONDS = 3
"""That a table may be in use by a statement of the learner's server before it can be emptied."""


def checker_name(credentials: Credentials) -> str:
    """The name of the role that checks use for this learner."""
    return f"{credentials.user}_checker"


def witness_name(credentials: Credentials) -> str:
    """The name of the role that looks at this learner's database and touches no row in it."""
    return f"{credentials.user}_witness"


def prepare(connection: Connection[Any], credentials: Credentials) -> None:
    """Make the roles and the database that are not there; passwords and rights are set again in any case."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    for database in (ADMIN_DATABASE, "template1"):
        _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
    _role(connection, credentials.user, credentials.password)
    checker = checker_name(credentials)
    for name in (checker, witness_name(credentials)):
        _role(connection, name, credentials.admin_password)
        _run(connection, "GRANT {} TO {}", credentials.user, name)
        _run(connection, "GRANT pg_use_reserved_connections TO {}", name)
        _run(connection, "ALTER ROLE {} SET pg_stat_statements.track = 'none'", name)
    _run(connection, "ALTER ROLE {} SET role = {}", checker, credentials.user)
    # For rows that are right by their making, without a superuser's other rights.
    _run(connection, "GRANT SET ON PARAMETER session_replication_role TO {}", checker)
    there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [credentials.database]).fetchone()
    if there is None:
        _create_database(connection, credentials)


def fresh(connection: Connection[Any], credentials: Credentials) -> None:
    """End the learner's sessions, replace the database by an empty one, forget settings and counters.

    ``EnvironmentFault("service-changed")`` where something is there that we did not make: it must be made anew.
    """
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [credentials.user])
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [credentials.database]).fetchone():
        # Its owner may have said that it is one, and a template cannot be dropped.
        _run(connection, "ALTER DATABASE {} IS_TEMPLATE false", credentials.database)
    _run(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", credentials.database)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [credentials.user]).fetchone():
        _run(connection, "ALTER ROLE {} RESET ALL", credentials.user)
    settings = "SELECT 1 FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf' LIMIT 1"
    if connection.execute(settings).fetchone():
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")
    prepare(connection, credentials)
    if found := foreign(connection, credentials):
        raise EnvironmentFault(f"PostgreSQL is not as labs made it: {', '.join(found)}", code="service-changed",
                               hint="labs check")
    forget_counters(connection)


def foreign(connection: Connection[Any], credentials: Credentials) -> list[str]:
    """What is in the cluster that ``prepare`` did not make, in words: roles, rights, databases, settings."""
    return [str(row[0]) for row in connection.execute(_FOREIGN.encode(), {
        "admin": credentials.admin_user, "database": credentials.database, "user": credentials.user,
        "checker": checker_name(credentials), "witness": witness_name(credentials)}).fetchall()]


_FOREIGN = """
    SELECT 'the role ' || rolname FROM pg_roles
    WHERE rolname !~ '^pg_' AND rolname NOT IN (%(admin)s, %(user)s, %(checker)s, %(witness)s)
    UNION ALL
    SELECT 'the right of ' || m.rolname || ' to be ' || g.rolname
    FROM pg_auth_members AS a JOIN pg_roles AS g ON g.oid = a.roleid JOIN pg_roles AS m ON m.oid = a.member
    WHERE m.rolname !~ '^pg_' AND NOT (m.rolname IN (%(checker)s, %(witness)s) AND NOT a.admin_option
                                       AND g.rolname IN (%(user)s, 'pg_use_reserved_connections'))
    UNION ALL
    SELECT 'the database ' || datname FROM pg_database
    WHERE datname NOT IN ('postgres', 'template0', 'template1', %(database)s)
    UNION ALL
    SELECT 'a setting of ' || coalesce(r.rolname, d.datname, 'all') || ': ' || one
    FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole
    LEFT JOIN pg_database AS d ON d.oid = s.setdatabase, unnest(s.setconfig) AS one
    WHERE r.rolname IS NULL OR r.rolname NOT IN (%(checker)s, %(witness)s) OR d.datname IS NOT NULL
    UNION ALL
    SELECT 'the extension ' || extname || ' in the database ' || current_database() FROM pg_extension
    WHERE extname NOT IN ('plpgsql', 'pg_stat_statements')
    UNION ALL
    SELECT 'the schema ' || nspname || ' in the database ' || current_database() FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')
    UNION ALL
    SELECT 'something of ' || relname || ' in the database ' || current_database() FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname !~ '^pg_stat_statements'
    UNION ALL
    SELECT 'the event trigger ' || evtname FROM pg_event_trigger
"""


def forget_counters(connection: Connection[Any]) -> None:
    """What was counted of statements begins at zero."""
    connection.execute("SELECT pg_stat_statements_reset()")


def filled_tables(connection: Connection[Any]) -> frozenset[str]:
    """The tables that have rows, as ``schema.table``. The witness's connection."""
    from psycopg import sql

    return frozenset(
        f"{schema}.{name}" for schema, name in _tables(connection)
        if connection.execute(sql.SQL("SELECT 1 FROM ONLY {} LIMIT 1").format(sql.Identifier(schema, name))).fetchone())


def clear(connection: Connection[Any], witness: Connection[Any], spare: Collection[str]) -> None:
    """Empty all tables but the spared ones, under sessions that go on. ``connection``: the checker's, as the learner.

    ``EnvironmentFault("table-held")`` where a transaction that does not end holds on to a table, ``"not-emptied"``
    where rows are there afterwards: triggers may have brought them.
    """
    from psycopg import errors, sql

    tables = [sql.Identifier(schema, name) for schema, name in _tables(witness) if f"{schema}.{name}" not in spare]
    connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
    if tables:
        # One statement: tables that refer to each other can only be emptied together.
        try:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))
        except errors.LockNotAvailable as error:
            raise EnvironmentFault("PostgreSQL's tables could not be emptied: your server has a transaction open that "
                                   "uses them", code="table-held") from error
    if left := filled_tables(witness) - frozenset(spare):
        raise EnvironmentFault(f"PostgreSQL's tables have rows after they were emptied: {', '.join(sorted(left))}",
                               code="not-emptied", hint="labs stop, then labs run")


def _tables(connection: Connection[Any]) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        " ORDER BY 1, 2").fetchall()


def _create_database(connection: Connection[Any], credentials: Credentials) -> None:
    """One that sorts and folds the same wherever it runs: images and binaries come with different locales."""
    _run(
        connection,
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'"
        " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
        credentials.database,
        credentials.user,
    )
    _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", credentials.database)


def _role(connection: Connection[Any], name: str, password: str) -> None:
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
        _run(connection, "CREATE ROLE {}", name)
    # The verifier, not the password: statements end up in logs and in pg_stat_statements.
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    _run(
        connection,
        "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        f" CONNECTION LIMIT -1 PASSWORD '{verifier}' VALID UNTIL 'infinity'",
        name,
    )


def _run(connection: Connection[Any], statement: str, *names: str) -> None:
    """A statement with names in it; names are the only thing that is ever filled in."""
    from psycopg import sql

    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
