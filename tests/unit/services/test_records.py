"""From PostgreSQL's log and Redis' MONITOR to records."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.services.postgres import record as postgres_record
from orchestrator.services.postgres import service as postgres
from orchestrator.services.redis import record as redis_record

PLAN = 'duration: 0.2 ms  plan:\n{"Query Text": "SELECT a FROM t WHERE b = $1", "Plan": %s}'
SCAN = '{"Node Type": "Seq Scan", "Relation Name": "t", "Actual Rows": 3, "Actual Loops": 1, "Rows Removed by Filter": %d}'


def entry(message: str, **values: Any) -> dict[str, Any]:
    """A line of the JSON log, of the learner's role unless said otherwise."""
    return {"timestamp": "2026-01-02 03:04:05.500 UTC", "user": "learner", "session_id": "a.1", "error_severity": "LOG",
            "message": message, **values}


def done(text: str, how: str = "execute <unnamed>", **values: Any) -> dict[str, Any]:
    return entry(f"duration: 500.000 ms  {how}: {text}", **values)


def test_a_statement_with_its_parameters() -> None:
    (record,) = postgres_record.records_of(
        [done("SELECT a FROM t WHERE b = $1", detail="Parameters: $1 = 'x'")], "learner")

    assert (record.text, record.seconds, record.rows, record.source, record.session) == (
        "SELECT a FROM t WHERE b = $1  [$1 = 'x']", 0.5, None, "log", "a.1")
    assert record.at == pytest.approx(1767323045.0)  # it ended half a second later


@pytest.mark.parametrize("before", [True, False])
def test_a_plan_goes_to_its_statement(before: bool) -> None:
    """Sent in steps, the plan comes after the statement; else before it."""
    plan, statement = entry(PLAN % (SCAN % 0)), done("SELECT a FROM t WHERE b = $1")
    entries = [plan, statement] if before else [statement, plan]

    (record,) = postgres_record.records_of(entries, "learner")

    assert (record.rows, record.source, record.note) == (3, "log+plan", "")


def test_plans_find_the_statement_of_their_own_session() -> None:
    records = postgres_record.records_of(
        [done("SELECT a FROM t WHERE b = $1", session_id="a.1"), done("SELECT a FROM t WHERE b = $1", session_id="a.2"),
         entry(PLAN % (SCAN % 0), session_id="a.2")], "learner")

    assert [record.rows for record in records] == [None, 3]


def test_a_scan_that_read_much_for_nothing_is_worth_a_word() -> None:
    (record,) = postgres_record.records_of([entry(PLAN % (SCAN % 199_990)), done("SELECT a FROM t WHERE b = $1")],
                                           "learner")

    assert record.note == "Seq Scan on t: read 199990 rows for nothing"


def test_rows_that_were_changed_not_those_returned() -> None:
    modify = '{"Node Type": "ModifyTable", "Actual Rows": 0, "Plans": [%s]}' % (SCAN % 0)

    (record,) = postgres_record.records_of([entry(PLAN % modify), done("SELECT a FROM t WHERE b = $1")], "learner")

    assert record.rows == 3


def test_refusals_say_so() -> None:
    (record,) = postgres_record.records_of(
        [entry("duplicate key", error_severity="ERROR", state_code="23505", statement="INSERT INTO t")], "learner")

    assert (record.text, record.note, record.refused) == ("INSERT INTO t", "ERROR 23505: duplicate key", True)


@pytest.mark.parametrize("line", [
    done("SELECT 1", user="somebody"), done(""), done("", how="statement"),
    entry("duration: 1.0 ms  parse <unnamed>: SELECT 1"), entry("duration: 1.0 ms  bind <unnamed>: SELECT 1"),
    entry("connection received"), {}, {"user": "learner"},
])
def test_what_is_no_statement_of_the_learners_is_left_out(line: dict[str, Any]) -> None:
    assert postgres_record.records_of([line], "learner") == []


def lines(*commands: str, client: str = "127.0.0.1:5000") -> list[str]:
    return [f"1767323045.25{number:04d} [0 {client}] {command}" for number, command in enumerate(commands)]


def test_commands_as_they_were_sent() -> None:
    r"""Escapes are undone where the terminal's own escaping does not do better (``\x01`` stays)."""
    records = list(redis_record.records_of(lines('"SET" "k" "a b"', r'"GET" "q\"uote\\"', r'"GET" "\x01"', '"PING" ""')))

    assert [record.text for record in records] == ["SET k 'a b'", "GET 'q\"uote\\'", r"GET \x01", "PING ''"]
    assert records[0].at == pytest.approx(1767323045.25)
    assert {(record.service, record.source, record.session) for record in records} == {
        ("redis", "monitor", "127.0.0.1:5000")}


def test_our_own_connections_are_left_out() -> None:
    """From the moment at which they say their name; somebody else's name changes nothing."""
    ours = lines('"CLIENT" "SETNAME" "labs-checks"', '"GET" "hold:1:1"', client="127.0.0.1:6000")
    theirs = lines('"CLIENT" "SETNAME" "shop"', '"GET" "hold:1:2"')

    assert [record.text for record in redis_record.records_of(ours + theirs)] == ["GET hold:1:2"]


@pytest.mark.parametrize("line", ["OK", "", "1.0 [0 1.1.1.1:1]", *lines('"HELLO" "3" "AUTH" "(redacted)"'),
                                  *lines('"AUTH" "(redacted)"'), *lines('"CLIENT" "SETINFO" "LIB-NAME" "x"')])
def test_greetings_and_noise_are_left_out(line: str) -> None:
    assert list(redis_record.records_of([line])) == []


def test_the_end_of_the_log_is_shown_without_what_was_recorded() -> None:
    """Statements and plans are for `labs trace`; refusals and PostgreSQL's own words stay."""
    log = ("\t\t\"Plan Rows\": 7\n2026 UTC [1] LOG:  starting PostgreSQL\n"
           "2026 UTC [2] LOG:  duration: 0.1 ms  plan:\n\t{\n\t  \"Query Text\": \"SELECT\"\n\t}\n"
           "2026 UTC [2] LOG:  duration: 0.1 ms  execute x: SELECT $1\n2026 UTC [2] DETAIL:  Parameters: $1 = '1'\n"
           "2026 UTC [3] LOG:  labs-record-1\n2026 UTC [3] CONTEXT:  PL/pgSQL\n2026 UTC [3] STATEMENT:  DO $$\n\tx\n"
           "2026 UTC [2] ERROR:  duplicate key\n2026 UTC [2] DETAIL:  Key (a)=(1) exists.\n"
           "2026 UTC [2] STATEMENT:  INSERT\n\tINTO t\n")

    assert [line.split("] ")[-1] for line in postgres._without_records(log)] == [
        "LOG:  starting PostgreSQL", "ERROR:  duplicate key", "DETAIL:  Key (a)=(1) exists.", "STATEMENT:  INSERT",
        "\tINTO t"]
