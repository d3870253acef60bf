"""N06-N11: what a hostile server can do with its credentials. Names as in the list of hostile cases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import redis as redis_client
from psycopg import errors
from support.services import Service, running


@pytest.fixture(scope="module")
def postgres() -> Iterator[Service]:
    with running("postgres") as service:
        yield service


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    """One on which somebody else is, too."""
    with running("postgres") as service:
        yield service


@pytest.fixture(scope="module")
def neighbour(shared: Service) -> Service:
    """Another learner's role and database on the same server."""
    own = replace(shared.recipe.credentials(), admin_password=shared.credentials.admin_password, database="other")
    shared.recipe.prepare(shared.endpoint, own)
    return Service(shared.recipe, shared.endpoint, own)


@pytest.fixture(scope="module")
def redis() -> Iterator[Service]:
    with running("redis") as service:
        yield service


@contextmanager
def learner(service: Service, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    url = service.url("DATABASE_URL")
    connection = psycopg.connect(url, autocommit=True, **options)
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture
def hostile_redis(redis: Service) -> Iterator[redis_client.Redis]:
    redis.fresh()
    url = redis.url("REDIS_URL")
    with redis_client.Redis.from_url(url, decode_responses=True) as client:
        yield client


@pytest.mark.parametrize("database", ["other", "postgres", "template1"])
def test_n06_another_database(shared: Service, neighbour: Service, database: str) -> None:
    """A learner reaches its own database and no other: not a neighbour's, not the administrator's, not a template."""
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        with learner(shared, dbname=database):
            pass


def test_n06_each_has_a_password_of_its_own(shared: Service, neighbour: Service) -> None:
    """Nobody logs in as somebody else."""
    with pytest.raises(psycopg.OperationalError):
        with learner(shared, user=neighbour.credentials.user):
            pass


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/labs-n07'",
        "CREATE TABLE passwd (line text); COPY passwd FROM '/etc/passwd'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_ls_logdir()",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(0, '/tmp/labs-n07')",
        "ALTER SYSTEM SET fsync = off",
        "SELECT pg_reload_conf()",
        "CREATE ROLE friend",
        "CREATE DATABASE friend",
        "CREATE EXTENSION pg_stat_statements",
        "CREATE EXTENSION file_fdw",
        "CREATE EXTENSION dblink",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'abs'",
        "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION nothing()",
        "SELECT rolpassword FROM pg_authid",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "GRANT pg_read_server_files TO CURRENT_USER",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT 500",
        "LOAD 'auto_explain'",
        "SET auto_explain.log_min_duration = -1",
        "SET session_preload_libraries = 'auto_explain'",
    ],
)
def test_n07_server_files_and_superpowers(postgres: Service, statement: str) -> None:
    """The learner's role is no superuser and a member of nothing."""
    with learner(postgres) as connection:
        with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedFile, errors.FeatureNotSupported)):
            connection.execute(statement)


def test_n07_the_learner_is_a_member_of_nothing(postgres: Service) -> None:
    """It owns its database and that is all."""
    with learner(postgres) as connection:
        assert (
            connection.execute(
                "SELECT roleid::regrole FROM pg_auth_members WHERE member = current_user::regrole"
            ).fetchall()
            == []
        )
        assert (
            connection.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
                " WHERE rolname = current_user"
            ).fetchone()
            == (False,) * 5
        )
        assert [(postgres.credentials.database,)] == connection.execute(
            "SELECT datname FROM pg_database WHERE datdba = current_user::regrole"
        ).fetchall()


@pytest.mark.parametrize("admin", ["checker_url", "witness_url", "admin_url"])
def test_n08_the_checkers_sessions_cannot_be_ended(postgres: Service, admin: str) -> None:
    """Neither the checker's, which acts as the learner, nor the administrator's."""
    with psycopg.connect(postgres.recipe.admin(postgres.endpoint, postgres.credentials)[admin]) as own:
        pid = own.info.backend_pid
        with learner(postgres) as connection:
            for function in ("pg_terminate_backend", "pg_cancel_backend"):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(f"SELECT {function}({pid})")
        own.execute("SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_stat_statements_reset()",
        "SELECT pg_stat_reset()",
        "SELECT pg_stat_reset_shared('wal')",
        "SELECT pg_rotate_logfile()",
        "SET pg_stat_statements.track = 'none'",
        "ALTER ROLE CURRENT_USER SET pg_stat_statements.track = 'none'",
        "ALTER DATABASE app SET pg_stat_statements.track = 'none'",
    ],
)
def test_n09_counters_cannot_be_tampered_with(postgres: Service, statement: str) -> None:
    """The functions are not there, or not for the learner; recording cannot be switched off."""
    with learner(postgres) as connection:
        with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedFunction)):
            connection.execute(statement)


@pytest.mark.parametrize(
    "command",
    ["CONFIG RESETSTAT", "CONFIG GET dir", "CONFIG REWRITE", "ACL LOG RESET", "SLOWLOG RESET", "LATENCY RESET"],
)
def test_n09_redis_counters_cannot_be_tampered_with(hostile_redis: redis_client.Redis, command: str) -> None:
    """Its user has no administrator's commands."""
    with pytest.raises(redis_client.ResponseError, match="no permissions"):
        hostile_redis.execute_command(*command.split())


@pytest.mark.parametrize(
    "command", ["CONFIG SET dir /tmp", "CONFIG SET dbfilename x", "MODULE LOAD /tmp/x.so", "DEBUG RELOAD"]
)
def test_n10_redis_does_not_write_where_it_is_told(hostile_redis: redis_client.Redis, command: str) -> None:
    """No other folder, no foreign code, no debugging."""
    with pytest.raises(redis_client.ResponseError, match=r"no permissions|not allowed"):
        hostile_redis.execute_command(*command.split())


@pytest.mark.parametrize(
    "command",
    [
        "REPLICAOF 127.0.0.1 1",
        "SLAVEOF 127.0.0.1 1",
        "SHUTDOWN NOSAVE",
        "FLUSHALL",
        "SWAPDB 0 1",
        "CLIENT KILL TYPE normal",
        "CLIENT PAUSE 1000",
        "CLIENT NO-EVICT on",
        "MONITOR",
        "ACL SETUSER admin on nopass",
        "ACL LIST",
        "BGREWRITEAOF",
        "SAVE",
        "FAILOVER",
        "PSYNC ? -1",
        "RESTORE k 0 x",
        "MIGRATE 127.0.0.1 1 k 0 100",
        "CLUSTER RESET",
    ],
)
def test_n11_redis_refuses_what_is_dangerous(hostile_redis: redis_client.Redis, command: str) -> None:
    """The user of the learner cannot take over, stop or spy on the server."""
    with pytest.raises(redis_client.ResponseError, match="no permissions"):
        hostile_redis.execute_command(*command.split())


def test_n11_scripts_have_no_more_rights(hostile_redis: redis_client.Redis) -> None:
    """Lua runs with the rights of who sends it."""
    with pytest.raises(redis_client.ResponseError):
        hostile_redis.eval("return redis.call('FLUSHALL')", 0)


def test_n11_nobody_enters_without_a_password(redis: Service) -> None:
    """The default user of Redis is off, also right after a start."""
    for _ in range(2):
        with redis_client.Redis(port=redis.endpoint.port) as anyone, pytest.raises(redis_client.AuthenticationError):
            anyone.ping()
        redis.restart()


@pytest.mark.parametrize(
    "command",
    [
        "HELLO 3",
        "HELLO 2",
        "PING",
        "ECHO x",
        "SELECT 1",
        "CLIENT SETINFO LIB-NAME x",
        "CLIENT SETNAME x",
        "CLIENT GETNAME",
        "CLIENT ID",
        "CLIENT INFO",
        "CLIENT LIST",
        "CLIENT TRACKING on",
        "CLIENT REPLY ON",
        "INFO",
        "ROLE",
        "COMMAND",
        "COMMAND DOCS get",
        "COMMAND COUNT",
        "KEYS *",
        "SCAN 0",
        "SORT l",
        "DBSIZE",
        "TYPE a",
        "TTL a",
        "OBJECT FREQ a",
        "WATCH a",
        "UNWATCH",
        "MULTI",
        "DISCARD",
        "PUBLISH c x",
        "PUBSUB CHANNELS",
        "XADD s * a b",
        "XREAD COUNT 1 STREAMS s 0",
        "XGROUP CREATE s g $ MKSTREAM",
        "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
        "XINFO STREAM s",
        "BLPOP nothing 0.01",
        "SCRIPT LOAD return",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
        "FUNCTION FLUSH",
        "WAIT 0 1",
        "FLUSHDB",
        "MEMORY USAGE a",
        "RESET",
        "TIME",
        "LOLWUT",
        "SET a 1 NX PX 100",
        "GETDEL a",
        "COPY a b",
        "GEOADD g 1 1 x",
        "PFADD p x",
        "SETBIT b 1 1",
    ],
)
def test_the_learner_has_all_that_drivers_need(hostile_redis: redis_client.Redis, command: str) -> None:
    """Rights are never why a usual driver or server fails: greetings, pools, health checks, streams, scripts."""
    with hostile_redis.client() as one:
        one.response_callbacks.clear()
        try:
            one.execute_command(*command.split())
        except redis_client.ResponseError as error:
            assert "permission" not in str(error).lower()  # noqa: PT017 - other refusals are about arguments


def test_the_learner_can_subscribe(hostile_redis: redis_client.Redis) -> None:
    """To any channel and pattern."""
    with hostile_redis.pubsub() as listener:
        listener.subscribe("seats")
        listener.psubscribe("seats:*")
        kinds = {listener.get_message(timeout=2)["type"] for _ in range(2)}
    assert {"subscribe", "psubscribe"} == kinds
