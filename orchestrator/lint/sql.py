"""Which tables and columns a SQL text names: a tokenizer and the few places where a name can stand. Pure.

Meant for accusing nobody wrongly. Tables are seen after FROM, JOIN, INTO, UPDATE, TABLE and ANALYZE, columns in the
list of an INSERT; other columns only in a SELECT, INSERT, UPDATE or DELETE that touches nothing but plain tables of
the learner and common table expressions. Left out are names of the checker (``labs_*``) and of PostgreSQL (``pg_*``,
``information_schema``), what has a part that only a run knows, and what stands inside ``$$``. Outside an INSERT's list
a column that is called as a word of SQL (``name``, ``value``, ``key``) is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from orchestrator.lint.check_files import HOLE

_TOKEN = re.compile(
    rf"""(?P<skip>--[^\n]*|/\*.*?\*/|\s+)"""
    rf"""|(?P<string>[eEbBxXnN]?'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"""
    rf"""|(?P<hole>%s|%\(\w+\)s|\$\d+|[\w$]*{HOLE}[\w${HOLE}]*)"""
    rf"""|"(?P<quoted>(?:[^"]|"")*)"|(?P<word>[^\W\d][\w$]*)|(?P<number>\d[\w.]*)|(?P<mark>::|.)""", re.DOTALL)

_BEGINS = re.compile(
    r"\s*(?:SELECT\b.+\bFROM\s+[\w.\x00]+|INSERT\s+INTO\s+[\w.\x00]+\s*[(VSD]|UPDATE\s+[\w.\x00]+(\s+\w+)?\s+SET\b"
    r"|DELETE\s+FROM\s+[\w.\x00]+(\s+(WHERE|USING|RETURNING)\b|\s*$)"
    r"|WITH\s+(RECURSIVE\s+)?\w+\s*(\([^)]*\)\s*)?AS\s*\()",
    re.DOTALL)

def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


KEYWORDS = words("""
    abs absent action add admin after aggregate all alter always analyse analyze and any array as asc asymmetric at
    atomic before begin between bigint binary bit boolean both by bytea cascade case cast char character check coalesce
    collate column columns comment commit committed concurrently conflict constraint constraints content copy create
    cross cube current current_catalog current_date current_role current_schema current_time current_timestamp
    current_user cursor cycle data date day dec decimal declare default deferrable deferred delete desc distinct do
    domain double drop each else enable end epoch escape except exclude excluded execute exists explain extension
    extract false fetch filter first float following for force foreign format from full function generated global
    grant greatest group grouping groups having hour identity if ilike immediate in including increment index inherit
    initially inner inout insensitive insert
    instead int int2 int4 int8 integer intersect interval into is isnull isolation join
    json jsonb key language last lateral leading least left level like limit listen local localtime localtimestamp lock
    locked logged match matched materialized merge method minute minvalue month name names national natural nchar new
    next no none not nothing notify notnull nowait null nullif nulls numeric object of off offset oid oids old on only
    option options or order ordinality others out outer over overlaps overlay owned owner partition path percent
    placing plan policy position preceding precision prepare primary procedure range read real recursive references
    refresh regclass regtype release rename repeatable replace reset restart restrict return returning returns revoke
    right role rollback rollup row rows rule savepoint schema scroll second security select sequence serial
    serializable session session_user set sets setof share show similar simple skip smallint some sql start statement
    statistics stored substring symmetric system table tables tablesample tableoid temp temporary text then ties time
    timestamp timestamptz timetz to trailing transaction treat trigger trim true truncate type unbounded uncommitted
    union unique unknown unlogged until update user using uuid vacuum valid value values varchar variadic varying
    verbose view volatile when where window with within without work write xmin xmax cmin cmax ctid xml year zone
""")

_INSIDE_FROM = frozenset({"extract", "substring", "trim", "overlay", "position"})
_NO_UPDATE = frozenset({"for", "on", "do", "or", "after", "before", "key", "of"})
_DML = frozenset({"select", "insert", "update", "delete", "with"})
_OBJECTS = frozenset({"table", "view", "sequence", "function", "schema", "index", "trigger", "type", "materialized"})


@dataclass(frozen=True, slots=True)
class Name:
    """A table or column of the learner's that a text names."""

    kind: Literal["table", "column"]
    name: str


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    def word(self, *texts: str) -> bool:
        """One of these words of SQL, in any case."""
        return self.kind == "word" and self.text in texts


_END = _Token("end", "")


def looks_like_sql(text: str) -> bool:
    """Whether a string begins as only a statement does; words of SQL are written in capitals."""
    return _BEGINS.match(text) is not None


def names(text: str) -> list[Name]:
    """What the statements in the text name, each once."""
    found: dict[Name, None] = {}
    for statement in _statements(text):
        found |= dict.fromkeys(_ParsedStatement(statement).names())
    return list(found)


def _statements(text: str) -> Iterator[list[_Token]]:
    statement: list[_Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "tag" or match["string"] is not None:
            kind = "string"
        if kind == "skip":
            continue
        if kind == "mark" and match["mark"] == ";":
            yield statement
            statement = []
            continue
        if kind == "quoted":
            statement.append(_Token("name", match["quoted"].replace('""', '"')))
        elif kind == "word":
            statement.append(_Token("word", match["word"].lower()))
        else:
            statement.append(_Token(kind, match.group()))
    yield statement


class _ParsedStatement:
    """One statement's tokens, and what was understood of them."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._own: set[str] = set()
        """Names that the statement itself makes: common table expressions, aliases, what it creates."""
        self._tables: dict[str, None] = {}
        self._columns: dict[str, None] = {}
        self._used: set[int] = set()
        self._clear = bool(tokens) and tokens[0].word(*_DML)
        """Whether all that it reads from is known, so that every other name is a column."""

    def names(self) -> Iterator[Name]:
        """The learner's tables, then columns."""
        for place, token in enumerate(self._tokens):
            if token.word("as"):
                self._own_name(place + 1)
            elif self._is_name(place) and (self._at(place - 1).text == ")" or self._is_name(place - 1)):
                self._own_name(place)  # an alias without AS
            elif self._is_name(place) and self._at(place + 1).word("as"):
                after = place + 2
                while self._at(after).word("not", "materialized"):
                    after += 1
                if self._at(after).text == "(" and not self._at(place - 1).word("from", "join"):
                    self._own_name(place)
            elif token.word("create"):
                self._creates(place)
        self._read_tables()
        yield from (Name("table", name) for name in self._tables if name not in self._own)
        if self._clear:
            self._read_columns()
        yield from (Name("column", name) for name in self._columns if name not in self._own)

    def _at(self, place: int) -> _Token:
        return self._tokens[place] if 0 <= place < len(self._tokens) else _END

    def _is_name(self, place: int) -> bool:
        token = self._at(place)
        return token.kind == "name" or (token.kind == "word" and token.text not in KEYWORDS)

    def _own_name(self, place: int) -> None:
        if self._is_name(place) or self._at(place).kind == "word":
            self._own.add(self._at(place).text)
            self._used.add(place)

    def _creates(self, place: int) -> None:
        """What is created here is the checker's own, and its columns with it."""
        self._clear = False
        while self._at(place).kind == "word" and not self._at(place).word(*_OBJECTS):
            place += 1
        while self._at(place).word(*_OBJECTS, "if", "not", "exists", "concurrently"):
            place += 1
        while self._at(place).kind in ("word", "name") or self._at(place).text == ".":
            self._own_name(place)
            if self._at(place + 1).text != ".":
                break
            place += 2

    def _read_tables(self) -> None:
        openers: list[str] = []
        for place, token in enumerate(self._tokens):
            if token.text == "(":
                openers.append(self._at(place - 1).text)
            elif token.text == ")" and openers:
                openers.pop()
            elif token.word("from"):
                if not (openers and openers[-1] in _INSIDE_FROM) and not self._at(place - 1).word("distinct"):
                    self._read_list(place + 1)
            elif token.word("into"):
                self._read_table(place + 1, columns=True)
            elif token.word("join") or self._leads_to_table(place):
                self._read_table(place + 1)

    def _leads_to_table(self, place: int) -> bool:
        """Whether a word, which can stand elsewhere, too, has a table after it here."""
        token, before = self._at(place), self._at(place - 1)
        return (
            (token.word("using") and self._at(place + 1).text != "(")
            or (token.word("update") and not before.word(*_NO_UPDATE))
            or (token.word("table", "analyze", "truncate") and not before.word("create", "alter", "drop", "temp"))
        )

    def _read_list(self, place: int) -> None:
        """``FROM a x, b AS y``."""
        after = self._read_table(place)
        while after is not None and self._at(after).text == ",":
            after = self._read_table(after + 1)

    def _read_table(self, place: int, *, columns: bool = False) -> int | None:
        """A table, its alias and, with ``columns``, the list after it; the place behind, if all was understood."""
        while self._at(place).word("only", "lateral"):
            place += 1
        if not self._is_name(place):
            # A subquery brings its own FROM; a hole or anything else may be any table.
            inside = self._at(place).text == "(" and self._at(place + 1).word("select", "values", "with", "table")
            self._clear = self._clear and inside
            return None
        schema, last = "", place
        if self._at(place + 1).text == ".":
            schema, last = self._at(place).text, place + 2
        name = self._at(last).text
        self._used |= set(range(place, last + 1))
        if self._at(last).kind not in ("word", "name") or (not columns and self._at(last + 1).text == "("):
            self._clear = False
            return None
        if schema not in ("", "public") or name.startswith(("pg_", "labs_")):
            self._clear = False
        else:
            self._tables[name] = None
            if columns and self._at(last + 1).text == "(":
                self._read_column_list(last + 1)
        alias = last + 2 if self._at(last + 1).word("as") else last + 1
        if self._is_name(alias):
            self._own_name(alias)
            last = alias
            if self._at(last + 1).text == "(":
                self._clear = False
        return last + 1

    def _read_column_list(self, place: int) -> None:
        place += 1
        while self._at(place).kind in ("word", "name"):
            self._columns[self._at(place).text] = None
            self._used.add(place)
            if self._at(place + 1).text != ",":
                break
            place += 2

    def _read_columns(self) -> None:
        for place, token in enumerate(self._tokens):
            before, after = self._at(place - 1), self._at(place + 1)
            taken = place in self._used or token.text in self._own or token.text in self._tables
            # Before a bracket it is a function, after :: a type, before a string a type, too, before a dot a table.
            told = after.text in ("(", ".") or before.text == "::" or after.kind == "string"
            # ``extract(dow FROM ...)``: a word, not a column.
            told = told or (after.word("from") and before.text == "(" and self._at(place - 2).text in _INSIDE_FROM)
            if self._is_name(place) and not taken and not told and not token.text.startswith(("pg_", "labs_")):
                self._columns[token.text] = None
