"""Which tables and columns a SQL text names, as ``sqlglot`` reads it in the dialect of a service. Pure.

Meant for accusing nobody wrongly. Columns that say their table are seen if it is one of the learner's; others only in
a SELECT, INSERT, UPDATE, DELETE or MERGE that touches nothing but plain tables of the learner and what the statement
makes of them. Left out are names of the checker (``labs_*``) and of the service (its ``reserved``), what has a part
that only a run knows, and statements that cannot be parsed.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from orchestrator.lint.check_files import HOLE
from orchestrator.services.parts import Names

if TYPE_CHECKING:
    from sqlglot.expressions import Expression, Table

OURS = "labs_*"
"""Names of the checker itself."""
_BEGINS = re.compile(
    r"\s*(?:SELECT\b.+\bFROM\s+[\w.\x00]+|INSERT\s+INTO\s+[\w.\x00]+\s*[(VSD]|UPDATE\s+[\w.\x00]+(\s+\w+)?\s+SET\b"
    r"|DELETE\s+FROM\s+[\w.\x00]+(\s+(WHERE|USING|RETURNING)\b|\s*$)"
    r"|WITH\s+(RECURSIVE\s+)?\w+\s*(\([^)]*\)\s*)?AS\s*\()",
    re.DOTALL)
_PARAMETER = re.compile(r"%s|%\(\w+\)s")
"""Of Python's drivers; ``$1``, ``?`` and ``:name`` are understood by ``sqlglot``."""
_UNKNOWN = re.compile(rf"[\w$]*{HOLE}[\w${HOLE}]*")
_FILLER = "labs_hole"
"""What stands for a part that only a run knows: a name of the checker. Or nothing, where that cannot be parsed."""
MOST_HOLES = 4
"""For which each choice of the two is tried."""


@dataclass(frozen=True, slots=True)
class Name:
    """A table or column of the learner's that a text names."""

    kind: Literal["table", "column"]
    name: str


def looks_like_sql(text: str) -> bool:
    """Whether a string begins as only a statement does; words of SQL are written in capitals."""
    return _BEGINS.match(text) is not None


@cache
def can_read() -> bool:
    """Whether ``sqlglot`` is installed, which is an author's extra."""
    return find_spec("sqlglot") is not None


def names(text: str, speakers: Sequence[Names]) -> list[Name]:
    """What the statements in the text name, each once, in the first of the services' dialects in which all can be read.

    What is reserved in one of them is nobody's name: of which service a text is may not be known. ``can_read`` must
    have said yes.
    """
    best: tuple[int, list[Name]] | None = None
    reserved = tuple(name for speaker in speakers for name in speaker.reserved)
    for speaker in (replace(one, reserved=reserved) for one in speakers):
        trees, whole = _statements(text, speaker.dialect)
        unread = trees.count(None)
        if best is None or unread < best[0]:
            best = unread, _named(trees, speaker, whole=whole)
    return best[1] if best is not None else []


def _named(trees: Sequence[Expression | None], speaker: Names, *, whole: bool) -> list[Name]:
    found: dict[Name, None] = {}
    made: set[str] = set()
    for tree in trees:
        if tree is not None:
            found |= dict.fromkeys(_ParsedStatement(tree, speaker, made, whole=whole).names())
    return list(found)


def _statements(text: str, dialect: str) -> tuple[list[Expression | None], bool]:
    """The statements of a text, ``None`` for one that cannot be parsed; whether something stands for each hole."""
    first, *others = _UNKNOWN.split(_PARAMETER.sub("NULL", text).replace("%%", "%"))
    choices: Iterable[tuple[str, ...]] = itertools.product((_FILLER, ""), repeat=len(others))
    if len(others) > MOST_HOLES:
        choices = ((_FILLER,) * len(others), ("",) * len(others))
    best: tuple[list[Expression | None], bool] | None = None
    for fillers in choices:
        parts = (filler + other for filler, other in zip(fillers, others, strict=True))
        trees = _parsed("".join((first, *parts)), dialect)
        if best is None or trees.count(None) < best[0].count(None):
            best = trees, all(fillers)
        if None not in trees:
            break
    return best or ([], True)


def _parsed(text: str, dialect: str) -> list[Expression | None]:
    from sqlglot import Dialect, TokenType
    from sqlglot.errors import SqlglotError

    # It warns of statements that it does not know, and goes on with them as a ``Command``.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    language = Dialect.get_or_raise(dialect)
    try:
        tokens = language.tokenize(text)
    except SqlglotError:
        return [None]
    parts: list[list[object]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            parts.append([])
        else:
            parts[-1].append(token)
    found: list[Expression | None] = []
    for part in filter(None, parts):
        try:
            found += language.parser().parse(part, text)  # type: ignore[arg-type]
        except (SqlglotError, RecursionError):
            found.append(None)
    return [_understood(tree, dialect) for tree in found]


def _understood(tree: Expression | None, dialect: str) -> Expression | None:
    """Without a first word that is not: ``EXPLAIN SELECT ...``, ``VACUUM ANALYZE orders``. No programs, no triggers."""
    from sqlglot import exp

    if isinstance(tree, exp.Create) and tree.args.get("kind") in ("TRIGGER", "FUNCTION", "PROCEDURE"):
        return None
    if not isinstance(tree, exp.Command):
        return tree
    rest = tree.args.get("expression")
    inner = _parsed(rest if isinstance(rest, str) else rest.name, dialect) if rest is not None else []
    return inner[0] if len(inner) == 1 else None


class _ParsedStatement:
    """One statement. ``made``: what this one and those before it in the same text created, the checker's own."""

    def __init__(self, tree: Expression, speaker: Names, made: set[str], *, whole: bool) -> None:
        from sqlglot import exp

        self._tree = tree
        self._speaker = speaker
        self._ctes = {one.alias.lower() for one in tree.find_all(exp.CTE)}
        self._own = {one.alias.lower() for one in tree.find_all(exp.Alias)}
        """Names of columns that the statement itself makes."""
        self._learners: set[str] = set()
        """Tables of the learner's and their aliases."""
        self._others: set[str] = set()
        """Everything else that has columns."""
        self._clear = whole and isinstance(tree, exp.Query | exp.Insert | exp.Update | exp.Delete | exp.Merge)
        """Whether all that it reads from is known, so that every name that stands alone is a column."""
        if isinstance(tree, exp.Create):
            target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
            made.add(target.name.lower())
        self._made = made

    def names(self) -> Iterator[Name]:
        """The learner's tables, then columns."""
        from sqlglot import exp

        for alias in self._tree.find_all(exp.TableAlias):
            self._own |= {one.name.lower() for one in alias.columns}
            if not isinstance(alias.parent, exp.Table):
                self._others.add(alias.name.lower())
                # A list of values has the columns that its alias names, a query those that it makes.
                self._clear &= isinstance(alias.parent, exp.CTE | exp.Subquery | exp.Values) or (
                    isinstance(alias.parent, exp.Lateral) and isinstance(alias.parent.this, exp.Subquery))
        tables = [one for one in self._tree.find_all(exp.Table) if self._is_the_learners(one)]
        yield from (Name("table", _spelt(one.this)) for one in tables)
        # A part that only a run knows may be more than a column: a join, an alias, a condition with a query.
        holes = [one for one in self._tree.find_all(exp.Identifier) if _FILLER in one.name]
        self._clear &= all(isinstance(one.parent, exp.Column) for one in holes)
        for one in (*self._listed(), *self._read()):
            if not self._is_foreign(one.name):
                yield Name("column", _spelt(one))

    def _is_the_learners(self, table: Table) -> bool:
        """Whether it is a table of the learner's; notes what its name and alias stand for."""
        from sqlglot import exp

        name, alias = table.name.lower(), table.alias.lower()
        if isinstance(table.parent, exp.Lock):  # FOR UPDATE OF an alias
            return False
        if not table.db and name in self._ctes:
            self._others |= {name, alias}
            return False
        if (not isinstance(table.this, exp.Identifier) or name in self._made or self._is_foreign(name)
                or (table.db and table.db.lower() not in self._speaker.schemas)):
            self._others |= {name, alias}
            self._clear = False
            return False
        self._learners |= {name, alias}
        return True

    def _is_foreign(self, name: str) -> bool:
        return any(fnmatchcase(name.lower(), pattern) for pattern in (OURS, *self._speaker.reserved))

    def _listed(self) -> Iterator[Expression]:
        """Columns in the list of an INSERT or COPY into a table of the learner's."""
        from sqlglot import exp

        for schema in self._tree.find_all(exp.Schema):
            into = schema.find_ancestor(exp.Insert, exp.Copy)
            if into is not None and schema.this.name.lower() in self._learners:
                yield from (one for one in schema.expressions if isinstance(one, exp.Identifier))

    def _read(self) -> Iterator[Expression]:
        from sqlglot import exp

        known = self._own | self._learners | self._others
        for column in self._tree.find_all(exp.Column):
            name, table = column.name.lower(), column.table.lower()
            if not isinstance(column.this, exp.Identifier) or (name == "default" and not column.this.quoted):
                continue
            if table in self._learners - self._others if table else self._clear and name not in known:
                yield column.this
        if self._clear:
            for join in self._tree.find_all(exp.Join):
                yield from join.args.get("using") or ()


def _spelt(identifier: Expression) -> str:
    """As it counts: in lower case unless it stands in quotes."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()
