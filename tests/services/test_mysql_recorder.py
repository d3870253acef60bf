"""What MySQL records of the learner's server is all of it, and only that, whatever the learner tries."""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from typing import Any

import pymysql
import pytest
from support.mysql import eventually, meanwhile
from support.services import Service

from orchestrator.services.base import Recorded
from orchestrator.services.mysql.evidence.reader import MySQL
from orchestrator.services.mysql.record import MysqlRecorder


@pytest.fixture
def recorder(mysql_service: Service, mysql: MySQL) -> MysqlRecorder:
    """Begun on a fresh space."""
    recorder = mysql_service.recipe.record(mysql_service.endpoint, mysql_service.credentials)
    assert isinstance(recorder, MysqlRecorder)
    return recorder


def connect(service: Service, user: str = "", **options: object) -> pymysql.Connection:
    own, at = service.credentials, service.endpoint
    return pymysql.connect(host=at.host, port=at.port, user=own.user, password=own.password, database=own.database,
                           autocommit=True, **options)  # type: ignore[call-overload]


def _prepared_by_the_protocol(target: Any, text: bytes) -> None:
    """A statement without parameters and rows, as drivers with real prepared statements send it."""
    target._execute_command(0x16, text)
    number = target._read_packet().get_all_data()[1:5]
    target._execute_command(0x17, number + bytes([0]) + struct.pack("<I", 1))
    target._read_ok_packet()


def texts(recording: Recorded) -> list[str]:
    """Without what PyMySQL says when it has connected."""
    return [one.text for one in recording.records if not one.text.startswith(("SET NAMES", "SET AUTOCOMMIT"))]


def test_statements_with_rows_values_times_and_refusals(mysql_service, mysql, recorder) -> None:
    """In the order in which they were sent, by whom they were sent, at the time at which they began."""
    began = time.time()
    with connect(mysql_service) as target, target.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a INT PRIMARY KEY, b INT)")
        cursor.execute("INSERT INTO t SELECT * FROM (WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n"
                       " WHERE a < 1000) SELECT a, a AS b FROM n) AS x")
        cursor.execute("SELECT a FROM t WHERE b %% 500 = %s", [0])
        cursor.execute("INSERT INTO t SELECT a + 1000, b FROM t")
        cursor.execute("SELECT a FROM t WHERE b = 7 -- who asks")
        cursor.execute("SELECT SUM(b) FROM t")
        cursor.execute("SELECT SLEEP(0.05)")
        with pytest.raises(pymysql.IntegrityError):
            cursor.execute("INSERT INTO t VALUES (1, 1)")
        with pytest.raises(pymysql.ProgrammingError):
            cursor.execute("SELEC 1")
    mysql.plant("INSERT INTO t VALUES (9999, 1)")  # the checker's: not in the record
    mysql.rows("SELECT * FROM t")

    recording = recorder.stop()

    assert recording.gap == ""
    records = [one for one in recording.records if not one.text.startswith("SET ")]
    create, _, select, more, scan, total, sleep, refused, wrong = records
    assert create.text == "CREATE TABLE t (a INT PRIMARY KEY, b INT)"
    assert [one.rows for one in records] == [None, 1000, 2, 1000, 2, 1, 1, None, None]
    assert select.text == "SELECT a FROM t WHERE b % 500 = 0"
    assert (scan.note, scan.source) == ("no index: read 2000 rows for 2", "history")
    assert total.note == select.note == more.note == ""
    assert refused.refused
    assert refused.note.startswith("1062 (23000): Duplicate entry '1'")
    assert wrong.refused
    assert wrong.note.startswith("1064 (42000)")
    assert sleep.seconds is not None
    assert 0.05 <= sleep.seconds < 5
    ended = time.time()
    assert [began - 0.01 <= one.at <= ended for one in records] == [True] * len(records)
    assert [one.at for one in records] == sorted(one.at for one in records)
    assert wrong.at - sleep.at >= 0.05
    assert len({one.session for one in records}) == 1


def test_what_is_under_way_at_the_stop(mysql_service, mysql, recorder) -> None:
    """MySQL writes a statement down when it has ended, and answers it a moment before that."""
    with connect(mysql_service) as target, target.cursor() as cursor, \
            meanwhile(lambda: cursor.execute("SELECT SLEEP(0.3)")):
        eventually(lambda: any("SLEEP" in session.query for session in mysql.sessions()))

        assert texts(recorder.stop()) == ["SELECT SLEEP(0.3)"]


def test_what_does_not_end_is_not_waited_for(mysql_service, mysql, recorder) -> None:
    """The rest is there nevertheless."""

    def endless() -> None:
        with suppress(pymysql.Error), connect(mysql_service) as other, other.cursor() as asking:
            asking.execute("SELECT SLEEP(30)")

    with connect(mysql_service) as target, target.cursor() as cursor:
        cursor.execute("SELECT 1")
        with meanwhile(endless):
            eventually(lambda: any("SLEEP" in session.query for session in mysql.sessions()))
            began = time.monotonic()

            assert texts(recorder.stop()) == ["SELECT 1"]
            assert time.monotonic() - began < 10
            mysql.terminate()


def test_what_the_learner_tries_in_order_to_hide(mysql_service, mysql, recorder) -> None:
    """Another mode, statements within statements, a new login on the same connection, an emptied history: all is seen."""
    tried = [
        "SET SESSION sql_mode = 'ANSI_QUOTES'", "SELECT 'a' /* b */", "PREPARE s FROM 'DELETE FROM t WHERE a = ?'", "SET @a = 1",
        "EXECUTE s USING @a", "DEALLOCATE PREPARE s",
        "/*!80000 SELECT 'in a comment' */", "SET @@SESSION.profiling = 0", "BEGIN", "DELETE FROM t", "ROLLBACK",
    ]
    refused = [
        "TRUNCATE TABLE performance_schema.events_statements_history_long",
        "UPDATE performance_schema.threads SET HISTORY = 'NO'",
        "UPDATE performance_schema.setup_consumers SET ENABLED = 'NO'",
        "SET SESSION sql_log_off = 1",
    ]
    with connect(mysql_service, client_flag=1 << 16) as target, target.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a INT)")
        for statement in tried:
            cursor.execute(statement)
        for statement in refused:
            with pytest.raises(pymysql.Error):
                cursor.execute(statement)
        _prepared_by_the_protocol(target, b"DELETE FROM t WHERE 1 = 0")
        target._execute_command(0x1F, "")  # type: ignore[attr-defined]
        target._read_ok_packet()  # type: ignore[attr-defined]
        target.select_db("app")
        cursor.execute("SELECT 'one'; SELECT 'two'")

    seen = texts(recorder.stop())

    assert seen == [
        "CREATE TABLE t (a INT)", *tried[:2], "(prepare) DELETE FROM t WHERE a = ?", tried[3], "DELETE FROM t WHERE a = ?",
        "(close) DELETE FROM t WHERE a = ?", *tried[6:], *refused, "DELETE FROM t WHERE 1 = 0",
        "SELECT 'one'", "SELECT 'two'",
    ]


def test_what_a_trigger_does_is_its_statements_matter(mysql_service, mysql, recorder) -> None:
    """Neither it nor the checker's statement that fires it is in the record."""
    with connect(mysql_service) as target, target.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a INT)")
        cursor.execute("CREATE TABLE log (a INT)")
        cursor.execute("CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (NEW.a)")
        mysql.plant("INSERT INTO t VALUES (1)")
        cursor.execute("INSERT INTO t VALUES (2)")

    assert texts(recorder.stop())[3:] == ["INSERT INTO t VALUES (2)"]


def test_a_password_is_not_recorded(mysql_service, recorder) -> None:
    with connect(mysql_service) as target, target.cursor() as cursor, pytest.raises(pymysql.Error):
        cursor.execute("CREATE USER x IDENTIFIED BY 'tell-nobody'")

    (text,) = texts(recorder.stop())
    assert text.startswith("CREATE USER")
    assert "tell-nobody" not in text


def test_recording_moves_no_count(mysql_service, mysql, recorder) -> None:
    """What evidence is read from says the same with a recorder that begins and ends meanwhile."""
    with connect(mysql_service) as target, target.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a INT)")
        before = mysql.sessions_opened(), mysql.deadlocks(), mysql.sessions(), mysql.session_settings()
        other = mysql_service.recipe.record(mysql_service.endpoint, mysql_service.credentials)
        other.stop()
        assert before == (mysql.sessions_opened(), mysql.deadlocks(), mysql.sessions(), mysql.session_settings())
    mysql_service.fresh()  # nothing is otherwise than it was made


def test_more_than_mysql_keeps_is_said(mysql_service, recorder) -> None:
    """Never a part that looks like the whole."""
    with mysql_service.recipe.record(mysql_service.endpoint, mysql_service.credentials)._connect() as admin, \
            admin.cursor() as cursor:
        cursor.execute("SELECT @@performance_schema_events_statements_history_long_size")
        places = cursor.fetchall()[0][0]
    with connect(mysql_service) as target, target.cursor() as cursor:
        for number in range(places + 1):
            cursor.execute(f"DO {number}")

    recording = recorder.stop()

    assert "only the" in recording.gap
    assert recording.records


def test_a_restart_is_said(mysql_service, recorder) -> None:
    """What was before is lost; what came after is there."""
    with connect(mysql_service) as target, target.cursor() as cursor:
        cursor.execute("SELECT 'before'")
    mysql_service.restart()
    with connect(mysql_service) as target, target.cursor() as cursor:
        cursor.execute("SELECT 'after'")

    recording = recorder.stop()

    assert texts(recording) == ["SELECT 'after'"]
    assert "restarted" in recording.gap
