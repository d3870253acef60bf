"""Rules for what checks read and plant: every table, column and key must be in ``storage.md``, fields in openapi.yaml.

Read from the strings in the checks, so some things are not seen: names that are put together when a check runs,
columns of expressions, keys in variables that are assigned more than once. Better a problem missed than a false one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.lint.model import Finding
from orchestrator.lint.source import Source, calls_in, text_of

HOLE = "\0"
SQL_CALLS = ("rows", "one", "value", "plant", "refused", "execute")
"""Of ``postgres`` and of connections; what ``admin`` runs is the checker's own."""
REDIS_CALLS = ("get", "pttl", "type", "zset", "plant", "delete", "keys")
OWN = "labs"
"""How the checker's own tables and keys begin."""
TABLES = re.compile(r"\b(?:FROM|JOIN)\s+(?:ONLY\s+)?([a-z_][\w.]*+)(?!\s*\()|"
                    r"(?<!FOR )(?<!DO )\b(?:INTO|UPDATE)\s+(?:ONLY\s+)?([a-z_][\w.]*+)", re.IGNORECASE)
INSERTED = re.compile(r"INSERT\s+INTO\s+([a-z_][\w.]*)\s*\(([^)]*)\)", re.IGNORECASE)
SELECTED = re.compile(r"SELECT\s+([a-z_][\w, \n]*?)\s+FROM\s+([a-z_][\w.]*)", re.IGNORECASE)
COMPARED = re.compile(r"\b(?:WHERE|AND|SET|ORDER BY|GROUP BY)\s+([a-z_]\w*)\s*(?:::\w+)?\s*(?:=|<|>|IN\b|IS\b|$)",
                      re.IGNORECASE)
WITH = re.compile(r"(?:WITH|,)\s+(?:RECURSIVE\s+)?([a-z_]\w*)\s+AS\s*\(", re.IGNORECASE)
SYSTEM = re.compile(r"pg_|information_schema")
WORDS = frozenset({"select", "set", "only", "lateral", "true", "false", "null", "not", "exists", "distinct", "all",
                   "case", "current_timestamp"})


def lint_storage(lab: Path, sources: Mapping[str, Source]) -> Iterator[Finding]:
    """What checks name and no contract does."""
    storage, openapi = _text(lab / "storage.md"), _text(lab / "openapi.yaml")
    for source in sources.values():
        for name, call in calls_in(source.tree):
            fixture, _, method = name.rpartition(".")
            if not call.args or not fixture:
                continue
            first = text_of(call.args[0], HOLE)
            if fixture.endswith("redis") and method in REDIS_CALLS:
                key = first or _assigned(source, call.args[0]) or ""
                if _prefix(key) not in storage:
                    yield _missing(source, call, f"the Redis key {key.replace(HOLE, '{}')!r}", "storage.md")
            elif method in SQL_CALLS and first and not fixture.endswith("redis"):
                for what, word in _names(first):
                    if not _named(word, storage):
                        yield _missing(source, call, f"the {what} {word}", "storage.md")
            elif name == "expect.field" and openapi:
                field = text_of(call.args[1], HOLE) if len(call.args) > 1 else None
                if field and HOLE not in field and not _named(field, openapi):
                    yield _missing(source, call, f"the field {field}", "openapi.yaml")


def _named(word: str, contract: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", contract) is not None


def _names(sql: str) -> Iterator[tuple[str, str]]:
    """``("table" | "column", name)`` of one statement, as far as they are the learner's."""
    if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", sql, re.IGNORECASE):
        return
    own = {name.lower() for name in WITH.findall(sql)} | WORDS
    tables = [(read or written).removeprefix("public.") for read, written in TABLES.findall(sql)]
    if any(SYSTEM.match(table) for table in tables):
        return
    theirs = [table for table in tables if "." not in table and not table.startswith(OWN) and table.lower() not in own]
    yield from (("table", table) for table in dict.fromkeys(theirs))
    if len(theirs) != len(tables):
        return
    columns = [part for _, some in INSERTED.findall(sql) for part in some.split(",")]
    columns += [part for some, _ in SELECTED.findall(sql) for part in some.split(",")]
    columns += COMPARED.findall(sql)
    for column in dict.fromkeys(one.strip() for one in columns):
        if re.fullmatch(r"[a-z_]\w*", column) and column.lower() not in own:
            yield "column", column


def _prefix(key: str) -> str:
    """The part of a key that says what it is: up to its first colon, or all of it; ``""`` for the checker's own."""
    fixed = key.split(HOLE)[0]
    if not fixed or fixed.startswith(OWN) or fixed in ("*",):
        return ""
    return fixed[: fixed.index(":") + 1] if ":" in fixed else fixed


def _assigned(source: Source, node: ast.AST) -> str | None:
    """The string that a name stands for, if all its assignments in the file say the same kind of key."""
    if not isinstance(node, ast.Name):
        return None
    texts = set()
    for one in ast.walk(source.tree):
        if isinstance(one, ast.Assign):
            for target in one.targets:
                if isinstance(target, ast.Name) and target.id == node.id:
                    texts.add(text_of(one.value, HOLE))
                elif isinstance(target, ast.Tuple) and isinstance(one.value, ast.Tuple):
                    texts |= {text_of(value, HOLE) for name, value in zip(target.elts, one.value.elts, strict=False)
                              if isinstance(name, ast.Name) and name.id == node.id}
    return texts.pop() if len(texts) == 1 else None


def _missing(source: Source, call: ast.Call, what: str, contract: str) -> Finding:
    return Finding(source.file, call.lineno, "not-in-contract", f"uses {what}, which {contract} does not name",
                   f"name it in {contract}: a learner knows nothing else")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
