"""N06-N11 for MySQL: what a hostile server can do with its credentials. Names as in the list of hostile cases."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from support.containers import running_container
from support.services import Service
from support.wait import until

from orchestrator.services.mysql_kin import accounts
from orchestrator.services.mysql_kin.clients import rows

pytestmark = pytest.mark.docker
REFUSED = r"denied|disabled|not allowed"


@contextlib.contextmanager
def at(url: str, **more: Any) -> Iterator[pymysql.Connection[Any]]:
    """Whoever has this address."""
    parts = urlsplit(url)
    login = {"user": parts.username, "password": parts.password or "", "database": parts.path.strip("/")}
    connection = pymysql.connect(host=parts.hostname, port=parts.port or 0, autocommit=True,
                                 **{"read_timeout": 20, **login, **more})
    try:
        yield connection
    finally:
        if connection.open:
            with contextlib.suppress(pymysql.err.MySQLError):  # it may have been ended
                connection.close()


@pytest.fixture(scope="module")
def service(image_table: Path) -> Iterator[Service]:
    with running_container("mysql", image_table) as found:
        yield found


@pytest.fixture
def own(service: Service) -> Iterator[pymysql.Connection[Any]]:
    """The database as the hostile server has it, with one order in it."""
    service.fresh()
    with at(service.url("MYSQL_URL"), local_infile=True) as connection:
        rows(connection, "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, n int)")
        rows(connection, "INSERT INTO orders (n) VALUES (1)")
        yield connection


@pytest.fixture
def checker(service: Service, own: Any) -> Iterator[pymysql.Connection[Any]]:
    with at(service.admin["checker_url"]) as connection:
        yield connection


@pytest.mark.parametrize("statement", [
    "SELECT * FROM mysql.user", "UPDATE mysql.user SET File_priv = 'Y'", "SELECT * FROM sys.session",
    "CREATE DATABASE other", "CREATE TABLE mysql.mine (n int)", "CREATE TABLE other.mine (n int)",
    "USE mysql", "DROP DATABASE mysql", "RENAME TABLE app.orders TO mysql.orders",
])
def test_n06_another_database(own: pymysql.Connection[Any], statement: str) -> None:
    with pytest.raises(pymysql.err.MySQLError, match=f"{REFUSED}|Access denied"):
        rows(own, statement)


@pytest.mark.parametrize("statement", [
    "SET GLOBAL max_connections = 3", "SET GLOBAL sql_mode = ''", "SET GLOBAL general_log = 1",
    "SET PERSIST sql_mode = ''", "SET PERSIST_ONLY max_connections = 3", "SET GLOBAL init_connect = 'SET @a = 1'",
    "SET SESSION sql_log_bin = 0", "SET SESSION gtid_next = 'AUTOMATIC'", "SET GLOBAL read_only = 1",
    "CREATE USER friend IDENTIFIED BY 'x'", "CREATE ROLE strong", "DROP USER root", "ALTER USER root IDENTIFIED BY 'x'",
    "ALTER USER {me} WITH MAX_USER_CONNECTIONS 0", "ALTER USER {me} ATTRIBUTE '{{}}'", "ALTER USER {me} ACCOUNT LOCK",
    "GRANT ALL ON *.* TO CURRENT_USER()", "GRANT SELECT ON app.* TO root", "SET ROLE root",
    "GRANT PROXY ON root TO CURRENT_USER()", "SHOW GRANTS FOR root",
    "INSTALL PLUGIN mine SONAME 'mine.so'", "INSTALL COMPONENT 'file://component_reference_cache'",
    "UNINSTALL PLUGIN ngram", "CREATE FUNCTION mine RETURNS STRING SONAME 'mine.so'",
    "SELECT * FROM performance_schema.threads", "SELECT * FROM performance_schema.events_statements_history",
    "SELECT * FROM performance_schema.setup_actors", "SELECT * FROM performance_schema.error_log",
    "UPDATE performance_schema.setup_actors SET enabled = 'NO'",
    "UPDATE performance_schema.setup_consumers SET enabled = 'NO'",
    "UPDATE performance_schema.threads SET instrumented = 'NO'",
    "TRUNCATE performance_schema.events_statements_summary_by_digest",
    "SELECT * FROM information_schema.innodb_trx", "SHOW ENGINE INNODB STATUS", "SHOW BINARY LOG STATUS",
    "FLUSH TABLES WITH READ LOCK", "FLUSH STATUS", "FLUSH PRIVILEGES", "LOCK INSTANCE FOR BACKUP", "SHUTDOWN",
    "RESTART",
    "CLONE LOCAL DATA DIRECTORY = '/tmp/c'", "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
    "CREATE TABLESPACE t ADD DATAFILE 't.ibd'", "CREATE RESOURCE GROUP g TYPE = USER", "SET RESOURCE GROUP USR_default",
    "XA RECOVER",
])
def test_n07_the_server_itself(own: pymysql.Connection[Any], statement: str) -> None:
    """Settings, accounts, plugins, what it counts and keeps of others: neither seen nor changed."""
    ((me,),) = rows(own, "SELECT QUOTE(SUBSTRING_INDEX(USER(), '@', 1))")
    with pytest.raises(pymysql.err.MySQLError, match=f"{REFUSED}|is not granted|XAER_RMERR"):
        rows(own, statement.format(me=me))


@pytest.mark.parametrize("statement", [
    "SELECT * FROM orders INTO OUTFILE '/tmp/x'", "SELECT n FROM orders INTO DUMPFILE '/tmp/x'",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE orders", "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE orders",
    "CREATE TABLE mine (n int) DATA DIRECTORY = '/tmp'", "IMPORT TABLE FROM '/tmp/x.sdi'",
])
def test_n08_files(own: pymysql.Connection[Any], statement: str) -> None:
    with pytest.raises(pymysql.err.MySQLError, match=REFUSED):
        rows(own, statement)


def test_n08_a_file_is_not_read_by_a_function(own: pymysql.Connection[Any]) -> None:
    """It gives NULL where it may not."""
    assert rows(own, "SELECT LOAD_FILE('/etc/passwd')") == [(None,)]


@pytest.mark.parametrize("statement", [
    "CREATE PROCEDURE mine() SELECT 1", "CREATE FUNCTION mine() RETURNS int DETERMINISTIC RETURN 1",
    "CREATE EVENT mine ON SCHEDULE EVERY 1 SECOND DO DELETE FROM orders",
    "CREATE DEFINER = root@'%' TRIGGER mine BEFORE INSERT ON orders FOR EACH ROW SET @a = 1",
    "CREATE DEFINER = root@'%' VIEW mine AS SELECT 1",
])
def test_n09_code_with_other_rights(own: pymysql.Connection[Any], statement: str) -> None:
    """No routines, nothing that runs by itself, and nobody else as the one with whose rights it runs."""
    with pytest.raises(pymysql.err.MySQLError, match=REFUSED):
        rows(own, statement)


def test_n09_code_in_the_checkers_session_has_the_learners_rights(
        own: pymysql.Connection[Any], checker: pymysql.Connection[Any]) -> None:
    """A trigger acts as the learner; a view as the learner or as the checker, whose rights are the same."""
    rows(own, "CREATE TABLE seen (who text)")
    rows(own, "CREATE TRIGGER mine BEFORE INSERT ON orders FOR EACH ROW INSERT INTO seen VALUES (CURRENT_USER())")
    rows(own, "CREATE SQL SECURITY INVOKER VIEW secrets AS SELECT host FROM performance_schema.global_variables, "
              "(SELECT 1 AS host) AS one")
    rows(checker, "INSERT INTO orders (n) VALUES (2)")
    ((learner,),) = rows(own, "SELECT CURRENT_USER()")
    assert rows(checker, "SELECT who FROM seen") == [(learner,)]
    for account in (own, checker):
        granted = {str(row[0]).partition(" TO ")[0] for row in rows(account, "SHOW GRANTS")}
        assert granted == {str(row[0]).partition(" TO ")[0] for row in rows(own, "SHOW GRANTS")}


def test_n09_a_trigger_changes_the_session_that_wrote_and_no_other(
        service: Service, own: pymysql.Connection[Any], checker: pymysql.Connection[Any]) -> None:
    """Why a session that has planted is not believed: a setting hides rows, a temporary table hides the real one."""
    rows(own, "CREATE TABLE events (n int)")
    rows(own, "CREATE TRIGGER mine BEFORE INSERT ON orders FOR EACH ROW SET SESSION sql_select_limit = 0")
    rows(own, "CREATE TRIGGER other BEFORE INSERT ON events FOR EACH ROW CREATE TEMPORARY TABLE orders (n int)")
    with at(service.admin["checker_url"]) as planting:
        rows(planting, "INSERT INTO events VALUES (1)")
        assert rows(planting, "SELECT n FROM orders") == []
    with at(service.admin["checker_url"]) as planting:
        rows(planting, "INSERT INTO orders (n) VALUES (2)")
        assert rows(planting, "SELECT n FROM orders") == []
    assert rows(checker, "SELECT n FROM orders ORDER BY n") == [(1,), (2,)]


def test_n10_a_trigger_that_waits_ends_with_the_connection(service: Service, own: pymysql.Connection[Any]) -> None:
    """The checker's limit ends the wait, and emptying ends the session."""
    rows(own, "CREATE TRIGGER mine BEFORE INSERT ON orders FOR EACH ROW SET NEW.n = SLEEP(600)")
    with at(service.admin["checker_url"], read_timeout=1) as planting, \
            pytest.raises(pymysql.err.OperationalError, match="timed out"):
        rows(planting, "INSERT INTO orders (n) VALUES (2)")
    service.fresh()
    with at(service.admin["admin_url"]) as root:
        assert rows(root, "SELECT id FROM performance_schema.processlist WHERE user = %s",
                    [accounts.checker_name(service.credentials)]) == []


def test_n10_other_sessions_are_not_seen_and_not_ended(
        own: pymysql.Connection[Any], checker: pymysql.Connection[Any]) -> None:
    ((session,),) = rows(checker, "SELECT CONNECTION_ID()")
    users = {row[1] for row in rows(own, "SHOW PROCESSLIST")}
    assert len(users) == 1
    with pytest.raises(pymysql.err.MySQLError, match=r"Unknown thread id|not owner"):
        rows(own, f"KILL {session}")
    assert rows(checker, "SELECT 1") == [(1,)]


def test_n11_all_connections_taken(service: Service, own: pymysql.Connection[Any]) -> None:
    """The learner gets as many as its limit says; ours still get in."""
    with contextlib.ExitStack() as stack:
        for _ in range(accounts.CONNECTIONS - 1):
            stack.enter_context(at(service.url("MYSQL_URL")))
        with pytest.raises(pymysql.err.OperationalError, match="max_user_connections"):
            stack.enter_context(at(service.url("MYSQL_URL")))
        for who in ("checker_url", "witness_url", "admin_url"):
            with at(service.admin[who]) as ours:
                assert rows(ours, "SELECT 1") == [(1,)]
        service.fresh()
    with at(service.url("MYSQL_URL")) as again:
        assert rows(again, "SHOW TABLES") == []


def test_n11_a_lock_that_is_not_let_go(service: Service, own: pymysql.Connection[Any]) -> None:
    """Of rows, of tables, of a name: emptying ends who holds it, and who waits for it."""
    rows(own, "CREATE TABLE other (n int)")
    rows(own, "SELECT GET_LOCK('mine', 10)")
    rows(own, "LOCK TABLES orders WRITE, other WRITE")
    waits = threading.Thread(target=lambda: _wait(service))
    waits.start()
    with at(service.admin["admin_url"]) as root:
        until(lambda: rows(root, "SELECT 1 FROM performance_schema.processlist WHERE state LIKE 'Waiting for table%'"))

    service.fresh()

    waits.join(10)
    assert not waits.is_alive()
    with at(service.url("MYSQL_URL")) as again:
        assert rows(again, "SELECT GET_LOCK('mine', 0)") == [(1,)]


def _wait(service: Service) -> None:
    with at(service.url("MYSQL_URL")) as other, contextlib.suppress(pymysql.err.MySQLError):
        rows(other, "INSERT INTO orders (n) VALUES (2)")
