"""Which statements touch data, and what came on top between two readings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.checks.errors import ServiceLost
from orchestrator.services.postgres.evidence.plans import Log, Plan, plan_of
from orchestrator.services.postgres.evidence.statements import Statement, difference, touches_data

NAMES = frozenset({"buyers", "events", "Orders", "sold", "größe"})


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM buyers WHERE id = $1",
        "select 1 from BUYERS",
        'INSERT INTO "buyers" ("name") VALUES ($1)',
        'SELECT "public"."Orders".* FROM "public"."Orders"',
        "SELECT * FROM public.events",
        "WITH s AS (SELECT 1 FROM events) UPDATE buyers SET x = $1",
        "-- the buyers\nDELETE FROM events",
        "/* a */ /* b */ TABLE events",
        "SELECT sold($1)",
        "CALL sold()",
        "COPY events FROM STDIN",
        "DECLARE c CURSOR FOR SELECT * FROM events",
        "PREPARE p AS SELECT * FROM events",
        "MERGE INTO events USING x ON true WHEN MATCHED THEN DELETE",
        "(SELECT 1 FROM events) UNION SELECT 2",
        "SELECT * FROM größe",
        "SELECT $tag$ not this $tag$, * FROM events",
        "DO $1",
        "CREATE TEMP TABLE mine AS SELECT * FROM events",
        "EXPLAIN ANALYZE SELECT * FROM events",
        "SELECT query_to_xml($1, $2, $3, $4)",
        "SELECT pg_temp.sum_of($1)",
    ],
)
def test_data_is_touched(text: str) -> None:
    """Tables and functions by name, however written; cursors, prepared statements and COPY."""
    assert touches_data(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT $1",
        "SELECT version()",
        "BEGIN",
        "SET application_name = 'buyers'",
        "SHOW search_path",
        "CREATE TABLE buyers (id int)",
        "TRUNCATE buyers",
        "SELECT oid FROM pg_catalog.pg_class WHERE relname = 'buyers'",
        "SELECT 'it''s the buyers'",
        "SELECT E'\\x' 'buyers'",
        "SELECT $1 -- FROM buyers",
        "SELECT $1 /* FROM buyers */",
        "SELECT $$ buyers $$",
        'SELECT "Buyers"',
        "SELECT orders",
        "SELECT my_buyers, buyers2, events$",
    ],
)
def test_data_is_not_touched(text: str) -> None:
    """Utility statements, pings, the catalogue, and names that are only mentioned."""
    assert not touches_data(text, NAMES)


def test_only_what_came_on_top_counts() -> None:
    """New statements and new calls of known ones; those that did not run again are left out."""
    before = {1: Statement("a", 5, 10), 2: Statement("b", 1, 1)}
    after = {1: Statement("a", 7, 30), 2: Statement("b", 1, 1), 3: Statement("c", 1, 0)}
    assert [Statement("a", 2, 20), Statement("c", 1, 0)] == difference(before, after)


@pytest.mark.parametrize("after", [{1: Statement("a", 4, 9)}, {}])
def test_counters_that_ran_backwards_are_ours(after: dict[int, Statement]) -> None:
    """Reset, restarted or thrown out: no verdict can be built on it."""
    with pytest.raises(ServiceLost):
        difference({1: Statement("a", 5, 10)}, after)


def test_a_plan_is_read_from_an_entry_of_the_log() -> None:
    """Only the learner's own, and only plans; all its nodes, the root first."""
    root = '{"Node Type": "A", "Plans": [{"Node Type": "B"}, {"Node Type": "C"}]}'
    text = f'duration: 0.1 ms  plan:\n{{"Query Text": "SELECT 1", "Plan": {root}}}'
    entry = {"user": "me", "dbname": "db", "message": text}
    plan = plan_of(entry, "me", "db")
    assert isinstance(plan, Plan)
    assert (plan.query, [node["Node Type"] for node in plan.nodes()]) == ("SELECT 1", ["A", "B", "C"])
    for other in (
        {"user": "checker"},
        {"dbname": "x"},
        {"message": "duration: 3 ms"},
        {"message": "an error plan:\n{"},
    ):
        assert plan_of({**entry, **other}, "me", "db") is None


class LateLog:
    """A connection to a PostgreSQL whose log arrives in pieces and goes on in another file."""

    def __init__(self, pieces: list[tuple[str, bytes]]) -> None:
        self._pieces = pieces
        self._files: dict[str, bytes] = {"one": b"from before\n"}
        self._current = "one"
        self._answer: Any = None

    def execute(self, query: str, params: list[Any] | None = None) -> LateLog:
        if "current_logfile" in query:
            if self._pieces:
                self._current, data = self._pieces.pop(0)
                self._files[self._current] = self._files.get(self._current, b"") + data
            self._answer = self._current
        elif "pg_stat_file" in query:
            self._answer = len(self._files[params[0]]) if params else None
        elif params:
            self._answer = self._files[params[0]][params[1] :]
        return self

    def fetchone(self) -> tuple[Any]:
        return (self._answer,)


def test_a_log_is_read_until_the_mark_arrived() -> None:
    """The log comes late, in pieces that end inside a line, and may go on in another file; nothing is lost or doubled."""
    lines = [json.dumps({"message": message}).encode() + b"\n" for message in ("a", "b", "mark", "c", "end")]
    pieces = [
        ("one", b""),
        ("one", lines[0] + lines[1][:5]),
        ("one", lines[1][5:]),
        ("two", lines[2] + lines[3] + lines[4]),
    ]
    log = Log(LateLog(pieces))  # type: ignore[arg-type]
    assert [entry["message"] for entry in log.read_to("mark")] == ["a", "b"]
    assert [entry["message"] for entry in log.read_to("end")] == ["c"]
