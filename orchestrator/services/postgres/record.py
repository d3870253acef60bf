"""What PostgreSQL's own log says of the learner's role: statements with parameters, rows and plans; refusals.

Switched on for the role alone, so that nobody else's statements are in it; sessions that begin later obey. The log is
written by a process of its own, a little later: a line of ours tells that everything before it has arrived.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Record
from orchestrator.services.base import Recorded

if TYPE_CHECKING:
    from psycopg import Connection

SETTINGS = {
    "log_min_duration_statement": "0",
    "log_parameter_max_length": "200",
    "log_parameter_max_length_on_error": "200",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_nested_statements": "on",
}
MOST_BYTES = 8 * 1024 * 1024
MOST_RECORDS = 3000
ARRIVAL_BUDGET = 2.0
LOG, PLANS = "log", "log+plan"
_DONE = re.compile(r"duration: ([\d.]+) ms  (?:statement|execute [^:]*): (.*)", re.DOTALL)
_PLAN = re.compile(r"duration: [\d.]+ ms  plan:\n(.*)", re.DOTALL)
_MARK = "labs-record-"
READ_MUCH = 1000
"""Rows that a scan looked at and threw away, from which on it is worth a word."""


class PostgresRecorder:
    """See ``Recorder``. ``connect`` opens the administrator's connection."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection[Any]]], user: str) -> None:
        from psycopg import sql

        self._connect = connect
        self._user = user
        with connect() as connection:
            for name, value in SETTINGS.items():
                connection.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(user), sql.SQL(name), sql.Literal(value)))
            row = connection.execute(
                "SELECT name, (pg_stat_file(name, true)).size, extract(epoch FROM clock_timestamp())::float8"
                " FROM pg_current_logfile('jsonlog') AS name").fetchone()
        self._log = str(row[0]) if row and row[0] else ""
        self._from = int(row[1]) if row and row[1] else 0
        # A service in a virtual machine has a clock of its own.
        self._ahead = float(row[2]) - time.time() if row else 0.0

    def stop(self) -> Recorded:
        if not self._log:
            return Recorded(gap="PostgreSQL does not write its log to a file here")
        try:
            with self._connect() as connection:
                data = self._read(connection)
        except (ConnectionError, EnvironmentFault) as error:
            return Recorded(gap=f"PostgreSQL's log could not be read: {error}")
        records = tuple(replace(record, at=record.at - self._ahead)
                        for record in records_of(_entries(data), self._user))
        gap = "only the beginning: there was more than can be shown" if (
            len(data) >= MOST_BYTES or len(records) > MOST_RECORDS) else ""
        return Recorded(records[:MOST_RECORDS], gap)

    def _read(self, connection: Connection[Any]) -> bytes:
        mark = _MARK + secrets.token_hex(8)
        connection.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$".encode())
        data = b""
        end = time.monotonic() + ARRIVAL_BUDGET
        while time.monotonic() < end and len(data) < MOST_BYTES:
            row = connection.execute("SELECT pg_read_binary_file(%s, %s, %s, true)",
                                     [self._log, self._from + len(data), MOST_BYTES - len(data)]).fetchone()
            data += bytes(row[0]) if row and row[0] else b""
            if mark.encode() in data:
                break
            time.sleep(0.005)
        return data


def records_of(entries: Iterable[Mapping[str, Any]], user: str) -> list[Record]:
    """The records in the log's entries (as ``jsonlog`` names things), of one role.

    A plan stands before its statement's entry or, when the statement was sent in steps, after it: it is matched by the
    session and the text. Empty statements, with which drivers try a connection, are left out.
    """
    found: list[Record] = []
    waiting: dict[tuple[str, str], list[int]] = {}
    plans: dict[tuple[str, str], Mapping[str, Any]] = {}
    for entry in entries:
        # What a function of the learner's says itself may look like anything.
        if entry.get("user") != user or str(entry.get("context", "")).split("\n")[0].endswith(" at RAISE"):
            continue
        message, session = str(entry.get("message", "")), str(entry.get("session_id", ""))
        ended = _time(entry.get("timestamp"))
        if match := _PLAN.match(message):
            plan = _json(match[1])
            key = (session, str(plan.get("Query Text", "")).strip())
            if places := waiting.get(key):
                place = places.pop()
                found[place] = _planned(found[place], plan)
            else:
                plans[key] = plan
        elif match := _DONE.match(message):
            text = match[2].strip()
            if not text:
                continue
            seconds = float(match[1]) / 1000
            record = Record("postgres", ended - seconds, _with_parameters(text, str(entry.get("detail", ""))), LOG,
                            seconds, None, session)
            known = plans.pop((session, text), None)
            if known is None:
                waiting.setdefault((session, text), []).append(len(found))
            found.append(record if known is None else _planned(record, known))
        elif entry.get("error_severity") in ("ERROR", "FATAL"):
            found.append(Record(
                "postgres", ended, str(entry.get("statement", "")).strip() or "(connecting)", LOG, None, None, session,
                f"{entry['error_severity']} {entry.get('state_code', '')}: {message}", refused=True))
    return found


def _planned(record: Record, plan: Mapping[str, Any]) -> Record:
    return replace(record, source=PLANS, rows=_rows(plan), note=_worth_saying(plan))


def _entries(data: bytes) -> Iterator[Mapping[str, Any]]:
    for line in data.split(b"\n"):
        entry = _json(line.decode(errors="replace"))
        if entry:
            yield entry


def _json(text: str) -> Mapping[str, Any]:
    """An object, or an empty one where there is none (the last line may be torn)."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _time(text: object) -> float:
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _with_parameters(text: str, detail: str) -> str:
    """The statement, its parameters' values after it as PostgreSQL wrote them."""
    values = re.sub(r"^(?:[Pp]arameters|[Qq]uery [Pp]arameters): ", "", detail)
    return f"{text}  [{values}]" if values and values != detail else text


def _rows(plan: Mapping[str, Any]) -> int | None:
    node = plan.get("Plan")
    if not isinstance(node, dict):
        return None
    if node.get("Node Type") == "ModifyTable" and not node.get("Actual Rows"):
        # Rows that it changed, not those that it returned.
        node = next(iter(node.get("Plans", [])), node)
    rows = node.get("Actual Rows")
    return round(rows * node.get("Actual Loops", 1)) if isinstance(rows, int | float) else None


def _worth_saying(plan: Mapping[str, Any]) -> str:
    """A scan that read many rows to throw them away; empty for a plan that needs no word."""
    waiting = [plan.get("Plan")]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        removed = node.get("Rows Removed by Filter", 0) * node.get("Actual Loops", 1)
        if removed >= READ_MUCH:
            return f"{node.get('Node Type')} on {node.get('Relation Name', '?')}: read {removed:.0f} rows for nothing"
        waiting += node.get("Plans", [])
    return ""
