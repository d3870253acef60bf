"""What a check reads from MySQL is what MySQL saw, and nothing of the checker's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pymysql
import pytest
from support.mysql import ADA, Target, eventually, learner_with_tables, meanwhile
from support.services import Service

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.services.mysql.evidence.reader import MySQL


@pytest.fixture
def target(mysql_service: Service, mysql: MySQL) -> Iterator[Target]:
    """The learner's server on MySQL, with its tables made."""
    with learner_with_tables(mysql_service) as connection:
        yield connection


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_read_as_the_learner_wrote_them(mysql, target) -> None:
    """``rows``, ``one`` and ``value`` see what was committed, with types of Python; a ``%`` without values is one."""
    target.execute("INSERT INTO buyers (name, balance_cents, vip) VALUES ('Ada', 500, TRUE), ('Bo %s', 7, FALSE)")
    assert mysql.rows("SELECT name, balance_cents, vip FROM buyers ORDER BY id") == [("Ada", 500, 1), ("Bo %s", 7, 0)]
    assert type(mysql.value("SELECT vip FROM buyers WHERE balance_cents = %s", [7])) is int
    assert mysql.value("SELECT name FROM buyers WHERE name LIKE 'B%'") == "Bo %s"
    assert mysql.one("SELECT name FROM buyers WHERE name LIKE 'B%%' AND balance_cents = %(b)s", {"b": 7}) == ("Bo %s",)
    assert mysql.value("SELECT SUM(balance_cents) FROM buyers") == Decimal(507)
    with pytest.raises(LookupError):
        mysql.one("SELECT name FROM buyers")


def test_times_are_in_utc(mysql, target) -> None:
    """Whatever zone the learner's session is in; those that the checker gives are brought there."""
    target.execute("SET time_zone = '+05:00'")
    target.execute("INSERT INTO orders (at, paid) VALUES ('2026-11-30 12:00:00.25', '2026-11-30 12:00:00')")
    noon = datetime(2026, 11, 30, 12, 0, 0, 250_000, UTC)
    assert mysql.one("SELECT at, paid FROM orders") == (noon, datetime(2026, 11, 30, 7, tzinfo=UTC))
    other = noon.astimezone(timezone(timedelta(hours=9)))
    assert mysql.value("SELECT COUNT(*) FROM orders WHERE at = %s", [other]) == 1


def test_a_row_planted_is_there_and_nothing_is_returned(mysql, target) -> None:
    mysql.plant("INSERT INTO buyers (name, balance_cents) VALUES (%s, %s)", ["Ada 🎟️", 5])
    assert target.execute("SELECT name, balance_cents FROM buyers") == (("Ada 🎟️", 5),)


@pytest.mark.parametrize(("query", "reason"), [
    ("SELECT * FROM tickets", "schema-missing-table"),
    ("SELECT venue FROM buyers", "schema-missing-column"),
])
def test_a_schema_that_is_not_as_agreed_is_the_learners_fault(mysql, target, query, reason) -> None:
    for ask in (mysql.rows, mysql.plant, mysql.refused):
        with pytest.raises(SchemaWrong) as raised:
            ask(query)
        assert reason == raised.value.reason


@pytest.mark.parametrize("query", [
    "INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 'much')",
    "INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 3000000000)",
    "INSERT INTO orders (at) VALUES ('2026-11-30T12:00:00+99:00')",
])
def test_a_value_that_the_column_cannot_hold_is_a_wrong_type(mysql, target, query) -> None:
    with pytest.raises(SchemaWrong) as raised:
        mysql.plant(query)
    assert raised.value.reason == "schema-wrong-type"
    assert mysql.refused(query) is not None


def test_a_refused_plant_carries_the_message_of_mysql(mysql, target) -> None:
    with pytest.raises(SchemaWrong, match=r"not_in_debt.*3819") as raised:
        mysql.plant("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', -1)")
    assert raised.value.reason == "schema-plant-refused"


def test_a_mistake_in_a_check_is_not_the_learners_fault(mysql, target) -> None:
    for ask in (mysql.rows, mysql.plant, mysql.refused):
        with pytest.raises(pymysql.ProgrammingError):
            ask("INSRT INTO buyers")


@pytest.mark.parametrize(("query", "state"), [
    ("INSERT INTO buyers (name, balance_cents) VALUES ('Ada', -1)", "HY000"),
    ("INSERT INTO buyers (name) VALUES ('Ada')", "HY000"),
    ("INSERT INTO buyers (name, balance_cents) VALUES (NULL, 1)", "23000"),
    ("INSERT INTO buyers (name, balance_cents) VALUES ('123456789012345678901', 1)", "22001"),
    ("INSERT INTO orders (seat) VALUES (1)", "23000"),
    ("INSERT INTO orders (buyer_id) VALUES (99)", "23000"),
    ("DELETE FROM buyers", "23000"),
    ("UPDATE buyers SET balance_cents = 3000000000", "22003"),
    (ADA, None),
])
def test_refused_tells_the_sqlstate_and_leaves_nothing(mysql, target, query, state) -> None:
    target.execute(ADA)
    target.execute("INSERT INTO orders (buyer_id, seat) VALUES (LAST_INSERT_ID(), 1)")
    assert mysql.refused(query) == state
    assert mysql.rows("SELECT name, balance_cents FROM buyers") == [("Ada", 500)]
    assert mysql.value("SELECT COUNT(*) FROM orders") == 1


def test_what_a_trigger_of_the_learners_refuses_is_refused(mysql, target) -> None:
    """Also with a number of its own."""
    target.execute("CREATE TRIGGER t BEFORE INSERT ON buyers FOR EACH ROW BEGIN"
                   " SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1234, MESSAGE_TEXT = 'no more'; END")
    assert mysql.refused(ADA) == "45000"
    with pytest.raises(SchemaWrong, match="no more") as raised:
        mysql.plant(ADA)
    assert raised.value.reason == "schema-plant-refused"


def test_a_lock_that_is_never_released_is_the_learners_fault(mysql, mysql_service, target, monkeypatch) -> None:
    """Of a row and of a whole table; by default MySQL would wait for the latter for a year."""
    monkeypatch.setattr("orchestrator.services.mysql.evidence.connections.SETTINGS", (
        "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1",))
    target.execute(ADA)
    for hold, ask in (("UPDATE buyers SET name = 'Bo'", lambda: mysql.plant("UPDATE buyers SET vip = 1")),
                      ("LOCK TABLES buyers WRITE", lambda: mysql.rows("SELECT * FROM buyers"))):
        target.execute("BEGIN")
        target.execute(hold)
        with pytest.raises(SchemaWrong) as raised:
            ask()
        assert raised.value.reason == "schema-locked"
        target.execute("ROLLBACK")


def test_as_learner_is_a_session_with_transactions(mysql, target) -> None:
    """What psycopg's connection has, this one has; it reads as MySQL does by default, and leaves nothing uncommitted."""
    with mysql.as_learner() as own:
        assert own.execute("INSERT INTO buyers (name, balance_cents) VALUES (%s, 1)", ["Ada"]).rowcount == 1
        assert target.execute("SELECT COUNT(*) FROM buyers") == ((0,),)
        own.rollback()
        own.execute(ADA)
        own.commit()
        assert own.execute("SELECT @@transaction_isolation").fetchone() == ("REPEATABLE-READ",)
        own.execute(ADA)
    assert target.execute("SELECT COUNT(*) FROM buyers") == ((1,),)


def test_catalogues_are_read_by_who_sees_no_row(mysql, target) -> None:
    """Columns and constraints of the learner's, counts of MySQL's; a missing right is never the learner's fault."""
    assert mysql.admin("SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'app' AND TABLE_NAME = 'orders'"
                       " AND COLUMN_NAME = %s", ["at"]) == [("datetime",)]
    assert mysql.admin("SELECT CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS") == [("not_in_debt",)]
    assert mysql.admin("SELECT COUNT(*) > 0 FROM performance_schema.threads") == [(1,)]
    for forbidden in ("SELECT * FROM app.buyers", "INSERT INTO app.buyers (name, balance_cents) VALUES ('Ada', 1)"):
        with pytest.raises(ServiceLost, match="denied"):
            mysql.admin(forbidden)


def test_no_code_of_the_learners_runs_with_other_rights(mysql, target) -> None:
    """It can name nobody else as the definer of a trigger or a view, and make no routine and no event."""
    for statement in (
        "CREATE DEFINER = 'root'@'%' TRIGGER t BEFORE INSERT ON buyers FOR EACH ROW SET @a = 1",
        f"CREATE DEFINER = '{mysql._user}_checker'@'%' VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "CREATE PROCEDURE p() SELECT 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DO DELETE FROM buyers",
    ):
        with pytest.raises(pymysql.Error, match="denied"):
            target.execute(statement)


def test_a_plant_that_waits_for_one_that_waits_for_it_is_tried_again(mysql, target) -> None:
    """MySQL ends one of the two: if it is the checker's, that is no verdict."""
    target.execute("CREATE TABLE a (id INT PRIMARY KEY, n INT)")
    target.execute("CREATE TABLE b (id INT PRIMARY KEY, n INT)")
    target.execute("INSERT INTO a VALUES (1, 0)")
    target.execute("INSERT INTO b VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)")
    target.execute("CREATE TRIGGER t AFTER UPDATE ON a FOR EACH ROW UPDATE b SET n = n + 1 WHERE id = 1")
    before = mysql.deadlocks()
    target.execute("BEGIN")
    target.execute("UPDATE b SET n = n + 1")  # more rows than the checker's: the checker's transaction is the victim
    with meanwhile(lambda: mysql.plant("UPDATE a SET n = n + 1")):
        reader = Waiting(mysql)
        eventually(reader.waiting)
        target.execute("UPDATE a SET n = n + 10")
        target.execute("COMMIT")
    assert mysql.value("SELECT n FROM a") == 11
    assert mysql.deadlocks() == before  # it was not the learner's


class Waiting:
    """A second reader: the first one's connection is in use."""

    def __init__(self, mysql: MySQL) -> None:
        self._admin = {f"{kind}_url": url for kind, url in mysql._links._urls.items()}
        self._admin |= {"user": mysql._user, "database": mysql._database}

    def waiting(self) -> bool:
        reader = MySQL(self._admin)
        try:
            return reader.waiting()
        finally:
            reader.close()


# --- attacks ---------------------------------------------------------------------------------------------------------


def test_a_trigger_leaves_nothing_in_the_checkers_session(mysql, target) -> None:
    """It may set what hides rows, shifts times and lets rows in that fit nowhere, and make a table that hides the real one."""
    target.execute("CREATE TRIGGER t BEFORE INSERT ON buyers FOR EACH ROW BEGIN"
                   " SET SESSION sql_select_limit = 0, SESSION time_zone = '+05:00', SESSION foreign_key_checks = 0,"
                   " SESSION unique_checks = 0, SESSION character_set_results = 'latin1', SESSION lock_wait_timeout = 1000;"
                   " CREATE TEMPORARY TABLE orders (id INT, seat INT, at DATETIME);"
                   " SET @a = GET_LOCK('mine', 0); END")
    mysql.plant(ADA)
    moment = datetime(2026, 11, 30, 12, tzinfo=UTC)
    mysql.plant("INSERT INTO orders (seat, at) VALUES (%s, %s)", [5, moment])
    assert mysql.rows("SELECT seat, at FROM orders") == [(5, moment)]
    assert target.execute("SELECT seat, at FROM orders") == ((5, moment.replace(tzinfo=None)),)
    assert mysql.refused("INSERT INTO orders (buyer_id) VALUES (99)") == "23000"
    assert target.execute("SELECT GET_LOCK('mine', 0)") == ((1,),)
    assert mysql.value("SELECT @@time_zone") == "+00:00"
    assert mysql.value("SELECT @@lock_wait_timeout") == 5


def test_refused_is_not_deceived_by_a_trigger(mysql, target) -> None:
    """What the first row's trigger sets does not hold for the next question."""
    target.execute("CREATE TRIGGER t BEFORE INSERT ON buyers FOR EACH ROW SET SESSION foreign_key_checks = 0")
    assert mysql.refused(ADA) is None
    assert mysql.refused("INSERT INTO orders (buyer_id) VALUES (99)") == "23000"


@pytest.mark.parametrize("query", [
    "SELECT * FROM buyers", "SELECT * FROM app.buyers", "SELECT * FROM `app`.`buyers`", "SELECT 1 FROM orders o JOIN buyers b",
    "INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 1)", "UPDATE buyers SET name = 'x'", "DELETE FROM buyers",
])
def test_a_view_in_place_of_a_table_is_a_wrong_type(mysql, target, query) -> None:
    """It can tell the checker other rows than the server: by ``USER()``, with anybody's rights."""
    target.execute("RENAME TABLE buyers TO real_buyers")
    target.execute("CREATE SQL SECURITY INVOKER VIEW buyers AS SELECT * FROM real_buyers WHERE USER() LIKE '%checker%'")
    for ask in (mysql.rows, mysql.plant, mysql.refused):
        with pytest.raises(SchemaWrong, match="a view") as raised:
            ask(query)
        assert raised.value.reason == "schema-wrong-type"


def test_a_table_of_the_learners_session_alone_is_missing(mysql, target) -> None:
    """What the server keeps in a temporary table is in no database."""
    target.execute("CREATE TEMPORARY TABLE tickets (id INT)")
    with pytest.raises(SchemaWrong) as raised:
        mysql.rows("SELECT * FROM tickets")
    assert raised.value.reason == "schema-missing-table"


def test_the_learner_can_touch_no_count(mysql, target) -> None:
    """Neither read nor empty what it is counted in, nor switch that off, for all or for itself."""
    for statement in (
        "TRUNCATE TABLE performance_schema.events_errors_summary_by_user_by_error",
        "TRUNCATE TABLE performance_schema.events_statements_history_long",
        "UPDATE performance_schema.setup_consumers SET ENABLED = 'NO'",
        "UPDATE performance_schema.threads SET INSTRUMENTED = 'NO', HISTORY = 'NO'",
        "CALL sys.ps_setup_disable_thread(CONNECTION_ID())",
        "SET GLOBAL innodb_monitor_disable = 'trx_rw_commits'", "SET SESSION sql_log_off = 1", "FLUSH STATUS",
    ):
        with pytest.raises(pymysql.Error, match="denied"):
            target.execute(statement)
