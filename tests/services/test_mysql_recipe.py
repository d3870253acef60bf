"""The recipe's promises on a real MySQL: accounts, the learner's space, emptying, addresses, `labs connect`."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from support.services import Service

from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.model import Dead, Endpoint, Fidelity, NotYet, Ready
from orchestrator.services.mysql import sabotage, space
from orchestrator.services.mysql_kin import accounts
from orchestrator.services.mysql_kin.clients import rows
from orchestrator.system.ports import free_port


@contextlib.contextmanager
def at(url: str) -> Iterator[pymysql.Connection[Any]]:
    """Whoever has this address."""
    parts = urlsplit(url)
    login = {"user": parts.username, "password": parts.password or "", "database": parts.path.strip("/")}
    with pymysql.connect(host=parts.hostname, port=parts.port or 0, autocommit=True, read_timeout=20,
                         charset="utf8mb4", ssl_disabled=True, **login) as connection:
        yield connection


@pytest.fixture
def service(mysql_service: Service) -> Service:
    mysql_service.fresh()
    return mysql_service


@pytest.fixture
def learner(service: Service) -> Iterator[pymysql.Connection[Any]]:
    with at(service.url("MYSQL_URL")) as connection:
        yield connection


@pytest.fixture
def root(service: Service) -> Iterator[pymysql.Connection[Any]]:
    with at(service.admin["admin_url"]) as connection:
        yield connection


# --- what runs -------------------------------------------------------------------------------------------------------


def test_the_product_is_genuine(service) -> None:
    product = service.recipe.product(service.endpoint, service.credentials)
    assert (product.name, product.fidelity) == ("MySQL", Fidelity.GENUINE)
    assert int(product.version.split(".")[0]) >= 8


def test_the_probe_tells_ready_from_down_and_from_another_password(service) -> None:
    probe = service.recipe.probe
    assert probe(service.endpoint, service.credentials) == Ready()
    assert isinstance(probe(Endpoint(free_port()), service.credentials), NotYet)
    answer = probe(service.endpoint, replace(service.credentials, admin_password="wrong"))
    assert isinstance(answer, Dead)
    assert "password" in answer.why


def test_a_restart_is_another_incarnation_and_nothing_else_is(service) -> None:
    """Preparing, emptying and waiting are no restarts; data and accounts outlive one."""
    def incarnation() -> str:
        return str(service.recipe.incarnation(service.endpoint, service.credentials))

    first = incarnation()
    service.fresh()
    run(service, "CREATE TABLE kept (n int)")
    service.recipe.prepare(service.endpoint, service.credentials)
    assert incarnation() == first

    service.restart()

    assert incarnation() != first
    assert "(0 rows)" in run(service, "SELECT * FROM kept")
    with pytest.raises(ConnectionError):
        service.recipe.incarnation(Endpoint(free_port()), service.credentials)


def test_the_learner_has_mysqls_defaults_and_utc(learner) -> None:
    """What a learner has to know of MySQL is left as MySQL has it: strict, and comparing without case and accents."""
    ((mode, isolation, zone, collation),) = rows(
        learner, "SELECT @@sql_mode, @@transaction_isolation, @@time_zone, @@collation_database")
    assert {"STRICT_TRANS_TABLES", "ONLY_FULL_GROUP_BY"} <= set(mode.split(","))
    assert (isolation, zone, collation) == ("REPEATABLE-READ", "+00:00", "utf8mb4_0900_ai_ci")
    rows(learner, "CREATE TABLE words (word varchar(20))")
    rows(learner, "INSERT INTO words VALUES ('Café')")
    assert rows(learner, "SELECT word FROM words WHERE word = 'CAFE'") == [("Café",)]


def test_the_address_and_the_variables_say_the_same(service) -> None:
    told = service.recipe.environment(service.endpoint, service.credentials)
    parts = urlsplit(told["MYSQL_URL"])
    assert (parts.scheme, parts.hostname, str(parts.port), parts.username, parts.password, parts.path) == (
        "mysql", told["MYSQL_HOST"], told["MYSQL_TCP_PORT"], told["MYSQL_USER"], told["MYSQL_PWD"],
        f"/{told['MYSQL_DATABASE']}")
    assert service.credentials.admin_password not in str(told)


def test_each_account_is_remembered_so_that_no_client_needs_the_servers_key(service, root, monkeypatch) -> None:
    """Some clients do not ask for it unless they are told to: Connector/J. From the first moment of an account on."""
    for name in (service.credentials.user, accounts.checker_name(service.credentials)):
        rows(root, f"DROP USER '{name}'@'%'")
    service.recipe.prepare(service.endpoint, service.credentials)

    def refused(*_: object) -> bytes:
        raise AssertionError("the server asked for the whole password")

    monkeypatch.setattr("pymysql._auth.sha2_rsa_encrypt", refused)
    for url in (service.url("MYSQL_URL"), service.admin["checker_url"], service.admin["witness_url"]):
        with at(url) as connection:
            assert rows(connection, "SELECT 1") == [(1,)]


# --- accounts --------------------------------------------------------------------------------------------------------


def test_prepare_puts_accounts_and_rights_right(service, root) -> None:
    """Whatever somebody with the administrator's password changed."""
    own = service.credentials
    names = (own.user, accounts.checker_name(own), accounts.witness_name(own))

    def granted() -> list[tuple[str, ...]]:
        return [row for name in names for row in rows(root, f"SHOW GRANTS FOR '{name}'@'%'")]

    before = granted()
    rows(root, f"ALTER USER '{own.user}'@'%' WITH MAX_USER_CONNECTIONS 1 ACCOUNT LOCK")
    rows(root, f"GRANT FILE ON *.* TO '{accounts.checker_name(own)}'@'%'")
    rows(root, f"REVOKE TRIGGER ON app.* FROM '{accounts.checker_name(own)}'@'%'")
    rows(root, f"DROP USER '{accounts.witness_name(own)}'@'%'")

    service.recipe.prepare(service.endpoint, own)

    assert granted() == before
    assert "FILE" not in str(before)
    assert space.foreign(root, own) == []
    for url in (service.url("MYSQL_URL"), service.admin["checker_url"], service.admin["witness_url"]):
        with at(url) as connection:
            assert rows(connection, "SELECT 1") == [(1,)]


def test_prepare_restores_a_password_that_the_learner_changed(service, learner) -> None:
    rows(learner, "CREATE TABLE kept (n int)")
    rows(learner, "ALTER USER USER() IDENTIFIED BY 'other'")
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        run_as_learner(service)
    service.recipe.prepare(service.endpoint, service.credentials)
    assert run_as_learner(service) == [("kept",)]


def test_the_witness_sees_the_learners_tables_and_not_its_rows(service, learner) -> None:
    rows(learner, "CREATE TABLE orders (id int PRIMARY KEY, price int CHECK (price > 0))")
    rows(learner, "INSERT INTO orders VALUES (1, 5)")
    with at(service.admin["witness_url"]) as witness:
        of_ours = "WHERE table_schema = 'app' ORDER BY 1"
        assert rows(witness, f"SELECT column_name FROM information_schema.columns {of_ours}") == [("id",), ("price",)]
        assert rows(witness, f"SELECT index_name FROM information_schema.statistics {of_ours}") == [("PRIMARY",)]
        assert rows(witness, "SELECT count(*) FROM performance_schema.threads WHERE processlist_user = %s",
                    [service.credentials.user]) == [(1,)]
        for statement in ("SELECT * FROM app.orders", "SELECT count(*) FROM app.orders", "DELETE FROM app.orders",
                          "INSERT INTO app.orders VALUES (2, 5)", "DROP TABLE app.orders"):
            with pytest.raises(pymysql.err.MySQLError, match="denied"):
                rows(witness, statement)


def test_only_the_learners_statements_are_kept(service, learner) -> None:
    """Digests do not say whose they are: nobody else is looked at."""
    rows(learner, "SELECT 1 AS by_the_learner")
    for url in (service.admin["checker_url"], service.admin["witness_url"]):
        with at(url) as other:
            rows(other, "SELECT 1 AS by_one_of_ours")
    with at(service.admin["witness_url"]) as witness:
        said = str(rows(witness, "SELECT digest_text FROM performance_schema.events_statements_summary_by_digest"))
    assert "by_the_learner" in said
    assert "by_one_of_ours" not in said


# --- emptying --------------------------------------------------------------------------------------------------------


def test_fresh_leaves_nothing_of_the_learner(service, root) -> None:
    """Tables, views, triggers, the database's own settings, another password, open sessions: all as new."""
    with at(service.url("MYSQL_URL")) as old:
        for statement in (
                "CREATE TABLE orders (id int)", "CREATE VIEW seen AS SELECT * FROM orders",
                "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW SET NEW.id = 1",
                "ALTER DATABASE app COLLATE utf8mb4_bin", "ALTER USER USER() IDENTIFIED BY 'other'", "BEGIN",
                "INSERT INTO orders VALUES (1)"):
            rows(old, statement)

        service.fresh()

        with pytest.raises(pymysql.err.OperationalError):
            rows(old, "SELECT 1")
    assert run_as_learner(service) == []
    assert rows(root, "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = 'app'") == [
        ("utf8mb4_0900_ai_ci",)]


@pytest.mark.parametrize("hostile", [
    ["ALTER DATABASE app READ ONLY = 1"],
    ["CREATE TABLE t (n int)", "XA START 'a', 'b', 7", "INSERT INTO t VALUES (1)", "XA END 'a', 'b', 7",
     "XA PREPARE 'a', 'b', 7"],
    ["CREATE TABLE t (n int)", "LOCK TABLES t WRITE"],
    ["ALTER DATABASE app DEFAULT ENCRYPTION = 'Y'"],
], ids=["read-only", "prepared", "locked", "encrypted"])
def test_fresh_undoes_what_would_keep_the_database(service, root, hostile) -> None:
    """Where the learner's own rights are enough to say that it must not be dropped."""
    with at(service.url("MYSQL_URL")) as connection:
        for statement in hostile:
            rows(connection, statement)
    service.fresh()
    assert rows(root, "XA RECOVER") == []
    assert run(service, "CREATE TABLE t (n int)") == "OK, 0 rows affected"


@pytest.mark.parametrize(("statement", "undo", "named"), [
    ("CREATE USER somebody IDENTIFIED BY 'x'", "DROP USER somebody", "the account somebody@%"),
    ("CREATE DATABASE other", "DROP DATABASE other", "the database other"),
    ("SET PERSIST_ONLY max_connections = 50", "RESET PERSIST", "the setting max_connections, kept for the next start"),
    ("SET GLOBAL max_connections = 50", "SET GLOBAL max_connections = 151", "a setting or `max_connections`"),
    ("SET GLOBAL sql_mode = ''", "SET GLOBAL sql_mode = DEFAULT", "`sql_mode`"),
    ("SET SESSION sort_buffer_size = 40000", "SELECT 1", ""),
    ("CREATE EVENT app.e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "SELECT 1", ""),
    ("CREATE PROCEDURE mysql.p() SELECT 1", "DROP PROCEDURE mysql.p", "the routine mysql.p"),
    ("CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')", "DROP SERVER s", "the server s"),
])
def test_fresh_says_what_it_cannot_make_as_it_was(service, root, statement, undo, named) -> None:
    """A service that is not as we made it is made anew; what went with the database is no reason."""
    rows(root, statement)
    try:
        if named:
            with pytest.raises(EnvironmentFault) as caught:
                service.fresh()
            assert caught.value.code == "service-changed"
            assert named in str(caught.value)
        else:
            service.fresh()
    finally:
        rows(root, undo)
    service.fresh()


def test_clear_empties_tables_under_open_sessions(service, learner) -> None:
    """Tables and sessions stay, rows go, also where they refer to each other; what was there at the start is spared."""
    recipe, endpoint, own = service.recipe, service.endpoint, service.credentials
    rows(learner, "CREATE TABLE migrations (name text)")
    rows(learner, "INSERT INTO migrations VALUES ('0001')")
    rows(learner, "CREATE TABLE events (id int PRIMARY KEY)")
    rows(learner, "CREATE TABLE orders (event int, FOREIGN KEY (event) REFERENCES events (id))")
    rows(learner, "CREATE VIEW seen AS SELECT * FROM events")
    spare = recipe.contents(endpoint, own)
    assert spare == {"migrations"}
    rows(learner, "INSERT INTO events VALUES (1)")
    rows(learner, "INSERT INTO orders VALUES (1)")

    recipe.clear(endpoint, own, spare=spare)

    assert recipe.contents(endpoint, own) == {"migrations"}
    rows(learner, "INSERT INTO events VALUES (1)")


def test_clear_says_who_holds_a_table_and_empties_none(service, learner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "LOCK_SECONDS", 1)
    for table in ("buyers", "events"):
        rows(learner, f"CREATE TABLE {table} (id int)")
        rows(learner, f"INSERT INTO {table} VALUES (1)")
    rows(learner, "BEGIN")
    rows(learner, "SELECT * FROM events")
    with pytest.raises(EnvironmentFault, match="transaction open") as caught:
        service.recipe.clear(service.endpoint, service.credentials, spare=())
    assert caught.value.code == "table-held"
    assert service.recipe.contents(service.endpoint, service.credentials) == {"buyers", "events"}


def test_emptying_a_service_that_is_down_is_said_so(service) -> None:
    for ask in (service.recipe.fresh, service.recipe.prepare, service.recipe.contents, service.recipe.product):
        with pytest.raises(ConnectionError):
            ask(Endpoint(free_port()), service.credentials)


# --- labs connect, proofs --------------------------------------------------------------------------------------------


def test_statements_are_answered_as_text(service) -> None:
    assert run(service, "CREATE TABLE t (i int, b blob, d decimal(5,2))") == "OK, 0 rows affected"
    assert run(service, "INSERT INTO t VALUES (1, X'FF00', 1.50), (2, NULL, NULL); SELECT * FROM t ORDER BY i") == (
        "OK, 2 rows affected\ni | b      | d\n--+--------+-----\n1 | 0xFF00 | 1.50\n2 | NULL   | NULL\n(2 rows)")
    assert service.credentials.user in run(service, "SELECT current_user()")


@pytest.mark.parametrize("statement", [
    "SELEC 1", "\\s", "SELECT 1; SELECT x", "SELECT * FROM mysql.user", "source x", ""])
def test_a_statement_that_is_refused_is_said_in_one_line(service, statement) -> None:
    with pytest.raises(UsageError) as caught:
        run(service, statement)
    assert caught.value.code == "statement-refused"
    assert "\n" not in str(caught.value)


def test_the_client_program_gets_no_password_in_its_arguments(service, tmp_path, monkeypatch) -> None:
    """MySQL's own, where it is on PATH; MariaDB's of the same name is none."""
    for name in ("mysql", "mariadb"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$MYSQL_PWD" "$@"\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    own = service.credentials

    (program, *_) = service.recipe.client(service.endpoint, own, "SELECT 1")

    assert own.password not in " ".join(program.argv)
    done = subprocess.run(program.argv, env={"PATH": "/usr/bin:/bin", **program.env}, capture_output=True, text=True,
                          timeout=20, check=True)
    assert done.stdout.startswith(f"{own.password} --no-defaults")
    assert done.stdout.endswith(f"--user {own.user} app --table --execute SELECT 1\n")
    (tmp_path / "mysql").unlink()
    (tmp_path / "mysql").symlink_to("mariadb")
    assert service.recipe.client(service.endpoint, own, None) == []


def test_sabotage_removes_what_was_written_and_nothing_else(service, learner) -> None:
    environ = service.recipe.environment(service.endpoint, service.credentials)
    rows(learner, "CREATE TABLE orders (id int)")
    rows(learner, "CREATE TABLE buyers (id int)")
    for table in ("orders", "buyers"):
        rows(learner, f"INSERT INTO {table} VALUES (1)")
    (what,) = sabotage.possible(["INSERT INTO `orders` VALUES (?)", "SELECT id FROM buyers"])
    sabotage.begin(environ, what)
    assert rows(learner, "SELECT id FROM orders") == [(1,)]
    sabotage.after_write(environ, what)
    assert rows(learner, "SELECT id FROM orders") == []
    assert rows(learner, "SELECT id FROM buyers") == [(1,)]


def run(service: Service, statement: str) -> str:
    recipe: Any = service.recipe
    return str(recipe.run_statement(service.endpoint, service.credentials, statement))


def run_as_learner(service: Service) -> list[tuple[Any, ...]]:
    """The tables that the learner has, by its address."""
    with at(service.url("MYSQL_URL")) as connection:
        return rows(connection, "SHOW TABLES")
