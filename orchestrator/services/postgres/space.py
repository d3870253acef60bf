"""What is inside a PostgreSQL cluster of the labs: its roles, the learner's database, and how both become new again.

Three roles. The *administrator* is the superuser. The *learner* owns one database and is nothing else. The *checker* is
how checks read and plant: every session of it acts as the learner (its ``role`` setting), yet logs in under its own
name, so that its sessions do not count against the learner's connection limit, are not in ``pg_stat_statements`` and
survive a learner that takes all connections. It is no superuser: what a learner's view or trigger does in it is
harmless.

All functions take an open autocommit connection of the administrator to the administrator's database; ``filled_tables``
and ``clear`` one to the learner's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials

if TYPE_CHECKING:
    from psycopg import Connection

ADMIN_DATABASE = "postgres"
LOCK_SECONDS = 3
"""That a table may be in use by a statement of the learner's server before it can be emptied."""


def checker_name(credentials: Credentials) -> str:
    """The name of the role that checks use for this learner."""
    return f"{credentials.user}_checker"


def prepare(connection: Connection[Any], credentials: Credentials) -> None:
    """Make the roles and the database that are not there; passwords and rights are set again in any case."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    for database in (ADMIN_DATABASE, "template1"):
        _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
    _role(connection, credentials.user, credentials.password)
    checker = checker_name(credentials)
    _role(connection, checker, credentials.admin_password)
    _run(connection, "GRANT {} TO {}", credentials.user, checker)
    _run(connection, "GRANT pg_use_reserved_connections TO {}", checker)
    _run(connection, "ALTER ROLE {} SET role = {}", checker, credentials.user)
    _run(connection, "ALTER ROLE {} SET pg_stat_statements.track = 'none'", checker)
    there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [credentials.database]).fetchone()
    if there is None:
        _create_database(connection, credentials)


def fresh(connection: Connection[Any], credentials: Credentials) -> None:
    """End the learner's sessions, replace the database by an empty one, forget settings and counters."""
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [credentials.user])
    _run(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", credentials.database)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [credentials.user]).fetchone():
        _run(connection, "ALTER ROLE {} RESET ALL", credentials.user)
    settings = "SELECT 1 FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf' LIMIT 1"
    if connection.execute(settings).fetchone():
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")
    prepare(connection, credentials)
    forget_counters(connection)


def forget_counters(connection: Connection[Any]) -> None:
    """What was counted of statements begins at zero."""
    connection.execute("SELECT pg_stat_statements_reset()")


def filled_tables(connection: Connection[Any]) -> frozenset[str]:
    """The tables that have rows, as ``schema.table``."""
    from psycopg import sql

    return frozenset(
        f"{schema}.{name}" for schema, name in _tables(connection)
        if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(schema, name))).fetchone())


def clear(connection: Connection[Any], spare: Collection[str]) -> None:
    """Empty all tables but the spared ones, under sessions that go on.

    ``EnvironmentFault("table-held")`` where a transaction that does not end holds on to a table.
    """
    from psycopg import errors, sql

    tables = [sql.Identifier(schema, name) for schema, name in _tables(connection) if f"{schema}.{name}" not in spare]
    connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
    if tables:
        # One statement: tables that refer to each other can only be emptied together.
        try:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))
        except errors.LockNotAvailable as error:
            raise EnvironmentFault("PostgreSQL's tables could not be emptied: your server has a transaction open that "
                                   "uses them", code="table-held") from error


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
