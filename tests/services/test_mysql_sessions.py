"""What MySQL counts of a learner's sessions is all of theirs, and nothing of the checker's."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest
from support.mysql import ADA, Target, eventually, learner, learner_with_tables, meanwhile
from support.services import Service

from orchestrator.checks.errors import ServiceLost
from orchestrator.services.mysql.evidence.reader import MySQL


@pytest.fixture
def target(mysql_service: Service, mysql: MySQL) -> Iterator[Target]:
    """The learner's server on MySQL, with its tables made."""
    with learner_with_tables(mysql_service) as connection:
        yield connection


# --- sessions --------------------------------------------------------------------------------------------------------


def test_sessions_are_the_learners(mysql, mysql_service, target) -> None:
    """The checker's own connections are in neither the list nor the count, however many it opens."""
    mysql.rows("SELECT 1")
    opened = mysql.sessions_opened()
    with learner(mysql_service, program_name="box-office"), mysql.as_learner() as own:
        own.execute("SELECT 1")
        mysql.plant(ADA)
        assert [("", "sleep"), ("box-office", "sleep")] == [(one.program, one.state) for one in mysql.sessions()]
        assert opened + 1 == mysql.sessions_opened()


def test_settings_are_those_of_each_session(mysql, mysql_service, target) -> None:
    with learner(mysql_service, autocommit=False, charset="latin1") as other:
        other.execute("SET SESSION sql_mode = ''")
        other.execute("SET SESSION transaction_isolation = 'SERIALIZABLE'")
        plain, loose = mysql.session_settings()
    assert (plain.strict, plain.isolation, plain.autocommit, plain.collation_connection) == (
        True, "REPEATABLE-READ", True, "utf8mb4_0900_ai_ci")
    assert (loose.strict, loose.sql_mode, loose.isolation, loose.autocommit, loose.character_set_client) == (
        False, "", "SERIALIZABLE", False, "latin1")
    assert plain.id == target.connection.thread_id()


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_holds_for_the_learner_and_not_for_the_checker(mysql, mysql_service, target, limit) -> None:
    """With its connections used up the learner is refused while evidence is still read; then all is as before."""
    with mysql.limit_connections(limit):
        with pytest.raises(pymysql.OperationalError):
            Target(mysql_service)
        assert mysql.value("SELECT COUNT(*) FROM buyers") == 0
        assert target.execute("SELECT 1") == ((1,),)
    with learner(mysql_service):
        pass


def test_evidence_is_read_when_the_learner_takes_every_connection(mysql, mysql_service, target) -> None:
    hogs: list[Target] = []
    try:
        with pytest.raises(pymysql.OperationalError):
            hogs.extend(iter(lambda: Target(mysql_service), None))
        assert len(mysql.sessions()) == len(hogs) + 1
        assert mysql.value("SELECT COUNT(*) FROM buyers") == 0
    finally:
        for hog in hogs:
            hog.close()


def test_terminate_ends_the_learners_sessions_only(mysql, target) -> None:
    with mysql.as_learner() as own:
        assert mysql.terminate() == 1
        assert mysql.sessions() == []
        own.execute("SELECT 1")
    with pytest.raises(pymysql.Error):
        target.execute("SELECT 1")


# --- counts ----------------------------------------------------------------------------------------------------------


def test_deadlocks_of_the_learners_are_counted(mysql, mysql_service, target) -> None:
    """Also those that its server has caught and tried again, and of a session that has ended; a wait is none."""
    target.execute("CREATE TABLE n (id INT PRIMARY KEY, n INT)")
    target.execute("INSERT INTO n VALUES (1, 0), (2, 0)")
    before = mysql.deadlocks()
    with learner(mysql_service) as other:
        for one, row in ((target, 1), (other, 2)):
            one.execute("BEGIN")
            one.execute("UPDATE n SET n = n + 1 WHERE id = %s", [row])
        errors: list[pymysql.Error] = []

        def cross(one: Target, row: int) -> None:
            try:
                one.execute("UPDATE n SET n = n + 1 WHERE id = %s", [row])
            except pymysql.OperationalError as error:
                errors.append(error)

        with meanwhile(lambda: cross(target, 2)):
            eventually(mysql.waiting)
            assert mysql.deadlocks() == before
            cross(other, 1)
    assert [error.args[0] for error in errors] == [1213]
    assert mysql.deadlocks() == before + 1


def test_who_waits_for_a_lock_is_seen(mysql, mysql_service, target) -> None:
    """Of a row, of a table and of a name; who merely holds one does not wait."""
    target.execute(ADA)
    with learner(mysql_service) as other:
        for hold, wait in (("UPDATE buyers SET name = 'Bo'", "UPDATE buyers SET name = 'Cy'"),
                           ("SELECT * FROM buyers", "ALTER TABLE buyers ADD COLUMN more INT"),
                           ("SELECT GET_LOCK('a', 0)", "SELECT GET_LOCK('a', 10)")):
            target.execute("BEGIN")
            target.execute(hold)
            assert not mysql.waiting()
            with meanwhile(lambda wait=wait: other.execute(wait)):
                eventually(mysql.waiting)
                target.execute("COMMIT")
                target.execute("SELECT RELEASE_ALL_LOCKS()")
            assert not mysql.waiting()


def test_written_changes_when_a_transaction_that_wrote_has_ended(mysql, mysql_service, target) -> None:
    """And not by reading, neither the learner's nor the checker's; MySQL itself may write something meanwhile."""

    def changes(statement: str) -> bool:
        before = mysql.written()
        target.execute(statement)
        return mysql.written() != before

    assert changes(ADA)
    assert changes("CREATE TABLE more (id INT)")
    eventually(lambda: not changes("SELECT * FROM buyers"))
    target.execute("BEGIN")
    eventually(lambda: not changes("UPDATE buyers SET balance_cents = balance_cents + 1"))
    eventually(lambda: not mysql.rows("SELECT * FROM orders") and not changes("SELECT * FROM buyers"))
    assert changes("COMMIT")
    eventually(lambda: not changes("SELECT * FROM buyers"))


def test_what_is_written_without_transactions_counts_too(mysql, target) -> None:
    target.execute("CREATE TABLE loose (id INT) ENGINE = MyISAM")
    before = mysql.written()
    target.execute("INSERT INTO loose VALUES (1)")
    assert mysql.written() != before


# --- the service -----------------------------------------------------------------------------------------------------


def test_the_reader_goes_on_after_a_restart(mysql, mysql_service, target) -> None:
    """A check that stops and starts MySQL needs no new reader."""
    assert mysql.value("SELECT COUNT(*) FROM buyers") == 0
    mysql_service.restart()
    assert mysql.value("SELECT COUNT(*) FROM buyers") == 0
    mysql.plant(ADA)
    assert mysql.sessions() == []


def test_an_unreachable_service_is_lost(mysql_service) -> None:
    """Not a fail: the learner did nothing wrong."""
    nowhere = {name: value.replace(str(mysql_service.endpoint), "127.0.0.1:1") for name, value in mysql_service.admin.items()}
    for ask in (lambda reader: reader.rows("SELECT 1"), lambda reader: reader.plant("SELECT 1"), lambda reader: reader.sessions(),
                lambda reader: reader.refused("SELECT 1")):
        with pytest.raises(ServiceLost):
            ask(MySQL(nowhere))
