"""What MySQL itself recorded of the learner's role: statements with rows, times and refusals.

``prepare`` has the performance schema look at the learner's sessions alone, so nobody else's statements are in its long
history, and a session's stay there when it ends. The learner has no right to anything there: no ``SET`` of its own, no
prepared statement and no reset of a connection keeps one out. Reading it moves no counter of the learner's. Values of a
statement that was prepared by the protocol were sent beside it, and are not in it.

Times are those of the server's own clock of picoseconds: what it says now tells how long ago each was. A statement is
written down when it has ended, a moment after its answer was sent.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Record
from orchestrator.services.base import Recorded
from orchestrator.services.mysql_kin.clients import ADMIN_DATABASE, rows

if TYPE_CHECKING:
    from pymysql.connections import Connection

SOURCE = "history"
MOST_RECORDS = 3000
READ_MUCH = 1000
"""Rows that were read for nothing, from which on it is worth a word."""
_SUMMING = re.compile(r"\b(?:count|sum|min|max|avg|std\w*|var\w*|\w+_concat|json_\w+agg)\s*\("
                      r"|\bgroup\s+by\b|\bdistinct\b", re.IGNORECASE)
"""In a statement whose one row stands for many that had to be read."""
_OURS = (None, ADMIN_DATABASE)
"""Where logins and statements of ours are, which were recorded between a restart and ``prepare``."""
_MARKED = {"prepare_sql": "(prepare) ", "dealloc_prepared_stmt": "(close) ", "dealloc_sql": "(close) "}
"""Statements about a prepared one have its text in the history."""
PICO = 1e-12
ARRIVAL_BUDGET = 1.0

_STATEMENTS = """
    SELECT CURRENT_SCHEMA, THREAD_ID, EVENT_NAME, SQL_TEXT, TIMER_START, TIMER_WAIT, MYSQL_ERRNO,
           RETURNED_SQLSTATE, MESSAGE_TEXT, ROWS_AFFECTED, ROWS_SENT, ROWS_EXAMINED, NO_INDEX_USED
    FROM performance_schema.events_statements_history_long
    WHERE NESTING_EVENT_LEVEL = 0 AND SQL_TEXT IS NOT NULL
      AND (EVENT_NAME NOT IN ('statement/com/Prepare', 'statement/com/Close stmt') OR MYSQL_ERRNO <> 0)
    ORDER BY TIMER_START, EVENT_ID LIMIT %s
"""
_RUNNING = """
    SELECT COUNT(*) FROM performance_schema.events_statements_current AS s
    JOIN performance_schema.threads AS t USING (THREAD_ID)
    WHERE t.HISTORY = 'YES' AND t.TYPE = 'FOREGROUND' AND s.END_EVENT_ID IS NULL
"""
_NOW = "SELECT TIMER_START FROM performance_schema.events_statements_current WHERE THREAD_ID = PS_CURRENT_THREAD_ID()"
_LOOK_AT_ME = "UPDATE performance_schema.threads SET INSTRUMENTED = %s WHERE THREAD_ID = PS_CURRENT_THREAD_ID()"
_ON = """
    SELECT COUNT(*) = 3 FROM performance_schema.setup_consumers WHERE ENABLED = 'YES'
       AND NAME IN ('events_statements_history_long', 'events_statements_current', 'thread_instrumentation')
"""
_PLACES = "SELECT COUNT(*), @@performance_schema_events_statements_history_long_size" \
          " FROM performance_schema.events_statements_history_long"
_UNSEEN = """
    SELECT SUM(VARIABLE_VALUE) FROM performance_schema.global_status
    WHERE VARIABLE_NAME IN ('Performance_schema_thread_instances_lost', 'Performance_schema_users_lost')
"""


class MysqlRecorder:
    """See ``Recorder``. ``connect`` opens the administrator's connection; ``incarnation`` is the recipe's."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection[Any]]],
                 incarnation: Callable[[], str]) -> None:
        self._connect = connect
        self._incarnation = incarnation
        self._before = incarnation()
        with connect() as connection:
            self._unseen = int(rows(connection, _UNSEEN)[0][0])
            self._on = bool(rows(connection, _ON)[0][0])
            if self._on:
                # Whoever reads from here on sees what is new, and how much of it.
                rows(connection, "TRUNCATE TABLE performance_schema.events_statements_history_long")

    def stop(self) -> Recorded:
        if not self._on:
            return Recorded(gap="MySQL keeps no history of statements here")
        try:
            restarted = self._incarnation() != self._before
            with self._connect() as connection:
                _wait_for_the_last(connection)
                now, clock = _now(connection), time.time()
                found = [row[1:] for row in rows(connection, _STATEMENTS, [MOST_RECORDS + 1])
                         if not (restarted and row[0] in _OURS)]
                kept, places = rows(connection, _PLACES)[0]
                unseen = int(rows(connection, _UNSEEN)[0][0])
        except (ConnectionError, EnvironmentFault) as error:
            return Recorded(gap=f"what MySQL recorded could not be read: {error}")
        records = tuple(records_of(found, now, clock)[:MOST_RECORDS])
        if restarted:
            return Recorded(records, "only the end: MySQL was restarted, and forgot what was before")
        if kept >= places:
            return Recorded(records, "only the end: there was more than MySQL keeps")
        if unseen != self._unseen:
            return Recorded(records, "some sessions are missing: there were more than MySQL looks at")
        return Recorded(records, "only the beginning: there was more than can be shown"
                        if len(found) > MOST_RECORDS else "")


def records_of(entries: Iterable[Sequence[Any]], now: int, clock: float) -> list[Record]:
    """The records in rows of the history; ``now``: the server's clock when ours was at ``clock``.

    What drivers send by themselves has no text and is not among them: pings, ends of prepared statements.
    """
    found = []
    for (thread, event, text, start, wait, number, state, message, changed, sent, examined, no_index) in entries:
        refused = bool(number)
        note = f"{number} ({state}): {message}" if refused else _worth_saying(
            str(text), max(int(changed), int(sent)), int(examined), no_index=bool(no_index))
        said = _MARKED.get(event.rpartition("/")[2], "") + str(text).strip()
        found.append(Record(
            "mysql", clock - (now - int(start)) * PICO, said, SOURCE, int(wait) * PICO,
            None if refused or _has_no_rows(event) else max(int(changed), int(sent)), str(thread), note,
            refused=refused))
    return found


def _has_no_rows(event: str) -> bool:
    """Of ``BEGIN``, ``SET`` and definitions nobody asks how many rows."""
    words = event.rpartition("/")[2]
    return words not in ("Execute", "Query", "execute_sql") and not words.startswith(
        ("select", "insert", "update", "delete", "replace", "load", "show", "table", "values"))


def _worth_saying(text: str, rows: int, examined: int, *, no_index: bool) -> str:
    """A table that was read whole, to throw most of it away; empty for a statement that needs no word."""
    if not no_index or examined - rows < READ_MUCH or _SUMMING.search(text):
        return ""
    return f"no index: read {examined} rows for {rows}"


def _wait_for_the_last(connection: Connection[Any]) -> None:
    """Until none of the learner's statements is under way, or for a while: one may take long."""
    end = time.monotonic() + ARRIVAL_BUDGET
    while rows(connection, _RUNNING)[0][0] and time.monotonic() < end:
        time.sleep(0.005)


def _now(connection: Connection[Any]) -> int:
    """The server's clock, in picoseconds: when a statement of ours began, which is looked at for once."""
    rows(connection, _LOOK_AT_ME, ["YES"])
    try:
        return int(rows(connection, _NOW)[0][0])
    finally:
        rows(connection, _LOOK_AT_ME, ["NO"])
