"""Which statements the learner's server sent: ``pg_stat_statements``, before and after.

It counts a statement as soon as it ends, by its shape (constants taken out). Counted are those of the learner's role in
its database that read or write data and name something that is there: a table, a view, a function. So ``BEGIN``,
``SET``, ``SELECT 1``, ``SELECT version()`` and what drivers ask the catalogue are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestrator.checks.errors import ServiceLost
from orchestrator.services.postgres.evidence.connections import Connection, Connections, lost

_DATA = frozenset({
    "select", "insert", "update", "delete", "merge", "with", "values", "table", "call", "copy", "declare", "prepare",
    "explain",
})
"""First words of statements that read or write data. ``PREPARE`` is what an ``EXECUTE`` is listed as."""

_ANYTHING = "do"
"""First word of a statement whose whole text is hidden: it may do anything, so it counts."""

_BY_TEXT = frozenset({
    "query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "cursor_to_xml", "table_to_xml",
    "table_to_xml_and_xmlschema", "schema_to_xml", "schema_to_xml_and_xmlschema", "database_to_xml",
    "database_to_xml_and_xmlschema", "ts_stat", "ts_rewrite", "pg_temp",
})
"""PostgreSQL's own functions that run a statement given as text or read a table by its name; where functions and views
of one session are."""

_TOKEN = re.compile(
    r"""(?P<skip>--[^\n]*|/\*.*?\*/|\s+|[eEbBxXnN]?'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|\$\d+)"""
    r'|"(?P<quoted>(?:[^"]|"")*)"|(?P<word>[^\W\d][\w$]*)|.', re.DOTALL)

_COUNTS = """
    SELECT s.queryid, sum(s.calls)::bigint, sum(s.rows)::bigint, min(s.query)
    FROM pg_stat_statements(true) AS s
    JOIN pg_roles AS r ON r.oid = s.userid
    JOIN pg_database AS d ON d.oid = s.dbid
    WHERE r.rolname = %s AND d.datname = %s AND s.toplevel AND s.queryid IS NOT NULL
    GROUP BY s.queryid
"""

_NAMES = """
    WITH theirs AS (
        SELECT oid FROM pg_namespace WHERE nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
    ), extended AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
    SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace IN (TABLE theirs)
       AND ('pg_class'::regclass, oid) NOT IN (TABLE extended)
    UNION
    SELECT proname FROM pg_proc WHERE pronamespace IN (TABLE theirs)
       AND ('pg_proc'::regclass, oid) NOT IN (TABLE extended)
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's text (constants as ``$1``), how often it ran and how many rows it returned or changed."""

    text: str
    calls: int
    rows: int


@dataclass(slots=True)
class Statements:
    """What was sent while the block ran; empty until it has ended. ``calls`` is the sum over ``list``."""

    list: list[Statement] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(statement.calls for statement in self.list)


@contextmanager
def counted(links: Connections, user: str, database: str) -> Iterator[Statements]:
    """Fill a ``Statements`` with what the role sent in the database while the block ran."""
    result = Statements()
    before, lost_before = _counts(links, user, database), _forgotten(links)
    yield result
    after, lost_after = _counts(links, user, database), _forgotten(links)
    if lost_before != lost_after:
        raise ServiceLost("postgres", "its statement counters overflowed: some thousand different statements were sent")
    with lost(), links.witness() as connection:
        names = frozenset(row[0] for row in connection.execute(_NAMES.encode()).fetchall())
    result.list = [statement for statement in difference(before, after) if touches_data(statement.text, names)]


def difference(before: Mapping[int, Statement], after: Mapping[int, Statement]) -> list[Statement]:
    """What came on top between two readings. ``ServiceLost`` if a count ran backwards: then it was reset."""
    found = []
    for queryid, now in after.items():
        then = before.get(queryid, Statement(now.text, 0, 0))
        if now.calls < then.calls or now.rows < then.rows:
            raise ServiceLost("postgres", "its statement counters were reset during the measurement")
        if now.calls > then.calls:
            found.append(Statement(now.text, now.calls - then.calls, now.rows - then.rows))
    if before.keys() - after.keys():
        raise ServiceLost("postgres", "its statement counters were reset during the measurement")
    return found


def touches_data(text: str, names: frozenset[str]) -> bool:
    """Whether a statement reads or writes data and names one of ``names`` (as PostgreSQL folds names)."""
    words = list(names_in(text))
    first = words[0].lower() if words else ""
    reads = first in _DATA or (first == "create" and "as" in words)
    return first == _ANYTHING or (reads and any(word in names or word in _BY_TEXT for word in words))


def relations_in(text: str) -> Iterator[str]:
    """Names in a statement that stand where a table's does."""
    before = ""
    for word in names_in(text):
        if before in ("from", "join", "into", "update", "only", "public"):
            yield word
        before = word


def names_in(text: str) -> Iterator[str]:
    """Words and quoted names in a statement, without comments, constants and parameters; unquoted ones folded."""
    for token in _TOKEN.finditer(text):
        if token["word"] is not None:
            yield token["word"].lower()
        elif token["quoted"] is not None:
            yield token["quoted"].replace('""', '"')


def _counts(links: Connections, user: str, database: str) -> dict[int, Statement]:
    with lost(), links.statistics() as connection:
        return _read(connection, user, database)


def _forgotten(links: Connections) -> int:
    """How often counts were thrown away because there were too many different statements."""
    with lost(), links.statistics() as connection:
        row = connection.execute("SELECT dealloc FROM pg_stat_statements_info").fetchone()
    return int(row[0]) if row else 0


def _read(connection: Connection, user: str, database: str) -> dict[int, Statement]:
    rows = connection.execute(_COUNTS.encode(), [user, database]).fetchall()
    return {queryid: Statement(text or "", calls, returned) for queryid, calls, returned, text in rows}
