"""Which plans PostgreSQL really ran: ``auto_explain``'s JSON in the service's own log.

``auto_explain`` is switched on for the whole (private) instance and taken over by sessions that are already open, so
the learner's connections stay as they are. The log is written by a process of its own, a little later: a line of ours
with a fresh value, written after the last plan, tells that everything before it has arrived.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from orchestrator.checks.errors import ServiceLost, Unjudged
from orchestrator.services.postgres.evidence.connections import Connection, Connections, lost

_SETTINGS = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_nested_statements": "on",
}
_DEADLINE = 10.0
_EVERY = 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement as it was run: its text and the root of its plan, named as PostgreSQL names things."""

    query: str
    root: dict[str, Any]

    @property
    def pages(self) -> int:
        """How many times the statement looked at a page (8 KB) of a table or an index, in memory or not."""
        return sum(int(self.root.get(f"Shared {name} Blocks", 0)) for name in ("Hit", "Read"))

    def nodes(self) -> Iterator[dict[str, Any]]:
        """All nodes, the root first (``"Node Type"``, ``"Relation Name"``, ``"Actual Rows"``, ...)."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.get("Plans", []))


@dataclass(slots=True)
class Plans:
    """The plans of the block, in the order in which they ended; empty until it has ended."""

    list: list[Plan] = field(default_factory=list)


@contextmanager
def recorded(links: Connections, user: str, database: str) -> Iterator[Plans]:
    """Fill a ``Plans`` with what the role ran in the database while the block ran."""
    result = Plans()
    with lost(), links.another_statistics() as connection:
        log = Log(connection)
        with _switched_on(connection, links):
            log.skip_to(_mark(connection))
            yield result
            lines = log.read_to(_mark(connection))
    result.list = [plan for line in lines if (plan := plan_of(line, user, database)) is not None]


def plan_of(entry: dict[str, Any], user: str, database: str) -> Plan | None:
    """The plan in one entry of the JSON log, or ``None`` if it is something else or somebody else's."""
    if entry.get("user") != user or entry.get("dbname") != database or told(entry):
        return None
    head, found, text = str(entry.get("message", "")).partition(" plan:\n")
    if not found or not head.startswith("duration: "):
        return None
    explained = json.loads(text)
    return Plan(str(explained.get("Query Text", "")), explained["Plan"])


def told(entry: Mapping[str, Any]) -> bool:
    """Whether a statement of a role's wrote this text to the log itself: ``RAISE`` can say anything."""
    first, *_ = str(entry.get("context", "")).splitlines() or [""]
    return entry.get("error_severity", "LOG") != "LOG" or first.endswith(" at RAISE")


@contextmanager
def _switched_on(connection: Connection, links: Connections) -> Iterator[None]:
    # An idle session from before: when it has taken over the setting, so have the others, which were told with it.
    with links.another_statistics() as witness:
        try:
            for name, value in _SETTINGS.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.SQL(name), sql.Literal(value)))
            connection.execute("SELECT pg_reload_conf()")
            _wait(lambda: _setting(witness) == "0", "it did not take over the setting for plans")
            yield
        finally:
            for name in _SETTINGS:
                connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.SQL(name)))
            connection.execute("SELECT pg_reload_conf()")


def _setting(connection: Connection) -> str:
    row = connection.execute("SELECT current_setting('auto_explain.log_min_duration', true)").fetchone()
    return str(row[0]) if row else ""


def _mark(connection: Connection) -> str:
    """Write a line of ours to the log; returns what is in it."""
    mark = f"labs-mark-{secrets.token_hex(8)}"
    connection.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$".encode())
    return mark


def _wait(done: Callable[[], bool], why: str) -> None:
    end = time.monotonic() + _DEADLINE
    while not done():
        if time.monotonic() > end:
            raise ServiceLost("postgres", f"{why} within {_DEADLINE:.0f} s")
        time.sleep(_EVERY)


class Log:
    """The JSON log from its present end on, also when PostgreSQL goes on in another file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = self._current()
        if self._name is None:
            raise Unjudged("PostgreSQL does not write its log to a file here, so its plans cannot be read",
                           "run the check in a judge space that labs made")
        self._offset = self._size(self._name)
        self._rest = b""

    def skip_to(self, mark: str) -> None:
        self.read_to(mark)

    def read_to(self, mark: str) -> list[dict[str, Any]]:
        """All entries up to the mark, waiting for it to arrive."""
        entries: list[dict[str, Any]] = []
        _wait(lambda: self._read_some(mark, entries), "its log did not arrive")
        return entries

    def _read_some(self, mark: str, entries: list[dict[str, Any]]) -> bool:
        latest = self._current()
        self._rest += self._new_bytes()
        *lines, self._rest = self._rest.split(b"\n")
        for number, line in enumerate(lines):
            entry = json.loads(line)
            if entry.get("message") == mark:
                self._rest = b"\n".join([*lines[number + 1:], self._rest])
                return True
            entries.append(entry)
        if latest is not None and latest != self._name:
            self._name, self._offset = latest, 0
        return False

    def _new_bytes(self) -> bytes:
        row = self._connection.execute(
            "SELECT pg_read_binary_file(%s, %s, 16777216, true)", [self._name, self._offset]).fetchone()
        data = bytes(row[0]) if row and row[0] is not None else b""
        self._offset += len(data)
        return data

    def _current(self) -> str | None:
        row = self._connection.execute("SELECT pg_current_logfile('jsonlog')").fetchone()
        return row[0] if row else None

    def _size(self, name: str) -> int:
        row = self._connection.execute("SELECT (pg_stat_file(%s, true)).size", [name]).fetchone()
        return row[0] or 0 if row else 0
