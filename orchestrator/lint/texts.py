"""The texts in a check file that a service reads: what its ``Names`` say of the methods of its fixture. Pure.

Followed are names that one statement gives a value to: ``orders = toy.database["orders"]``, ``with toy.pipeline() as
pipe``. Strings that begin as a SQL statement are SQL wherever they stand, if a service of the lab speaks it. Not seen:
texts that are put together elsewhere, keys inside scripts, documents inside objects of a driver's own classes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.lint import documents
from orchestrator.lint.check_files import HOLE, CheckFile, keyword, text_of
from orchestrator.lint.sql import looks_like_sql
from orchestrator.services.parts import Kind, Names, Takes

Values = Mapping[str, ast.expr]
Speakers = tuple[Names, ...]
"""The services of which a text may be, most often one."""
MOST_STEPS = 12
"""Names that are followed, one by another."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text, of the kinds that ``Names`` knows; fields of documents are fields."""

    line: int
    kind: Kind
    text: str
    speakers: Speakers


def texts(file: CheckFile, services: Mapping[str, Names]) -> Iterator[Text]:
    """All of them in a file, for these services."""
    sql = tuple(one for one in services.values() if one.dialect)
    for node in ast.walk(file.tree):
        values = file.names_at(node)
        if sql and isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            text = text_of(node, values)
            if text is not None and looks_like_sql(text):
                yield Text(node.lineno, "sql", text, sql)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            for takes, speakers in _said(file, node.func, values, services):
                yield from _taken(node, takes, speakers, values)
        elif isinstance(node, ast.Subscript):
            for takes, speakers in _said(file, node, values, services):
                yield from _texts(node.slice, takes.kind, speakers, values)


def _said(file: CheckFile, node: ast.Attribute | ast.Subscript, values: Values,
          services: Mapping[str, Names]) -> list[tuple[Takes, Speakers]]:
    """What a method takes, and by whom that is said."""
    way = way_to(file, node, values)
    fixture = way[0] if way else ""
    if fixture in services:
        names = services[fixture]
        found = names.methods.get("".join(way[1:]).removeprefix("."))
        if found is not None:
            return [(takes, (names,)) for takes in found]
        services = {fixture: names}
    if not isinstance(node, ast.Attribute):
        return []
    several: dict[Takes, Speakers] = {}
    for names in services.values():
        for takes in names.anywhere.get(node.attr, ()):
            several[takes] = (*several.get(takes, ()), names)
    return list(several.items())


def way_to(file: CheckFile, node: ast.expr, values: Values) -> list[str]:
    """``["toy", ".database", "[]", ".find"]`` for ``toy.database["x"].find``; empty for what is no way."""
    parts: list[str] = []
    for _ in range(MOST_STEPS):
        match node:
            case ast.Attribute():
                parts.append(f".{node.attr}")
                node = node.value
            case ast.Subscript():
                parts.append("[]")
                node = node.value
            case ast.Call():
                parts.append("()")
                node = node.func
            case ast.Name() if isinstance(values.get(node.id), ast.Attribute | ast.Subscript | ast.Call):
                node = values[node.id]
            case ast.Name():
                return [file.aliases.get(node.id, node.id), *reversed(parts)]
            case _:
                break
    return []


def _taken(call: ast.Call, takes: Takes, speakers: Speakers, values: Values) -> Iterator[Text]:
    """The texts of one argument, or of all from it on."""
    given = keyword(call, takes.keyword) if takes.keyword else None
    if given is not None:
        yield from _texts(given, takes.kind, speakers, values)
    elif takes.place is not None:
        end = None if takes.rest else takes.place + 1
        for argument in call.args[takes.place:end]:
            if isinstance(argument, ast.Starred):
                return
            yield from _texts(argument, takes.kind, speakers, values)


def _texts(node: ast.expr, kind: Kind, speakers: Speakers, values: Values) -> Iterator[Text]:
    node = documents.value_of(node, values)
    if kind == "document":
        for line, name in documents.fields(node, values, speakers[0].opaque):
            yield Text(line, "field", name, speakers)
    elif kind != "sql" and isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set):
        for one in node.keys if isinstance(node, ast.Dict) else node.elts:
            if one is not None:
                yield from _texts(one, kind, speakers, values)
    else:
        text = text_of(node, values)
        if text is not None and (kind in ("sql", "key") or HOLE not in text):
            yield Text(node.lineno, kind, text, speakers)
