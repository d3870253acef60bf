"""Which fields a document names that stands in a check as a literal: a filter, an update, something to insert. Pure."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from orchestrator.lint.check_files import HOLE, text_of

FIRST_STAGES = "$match"
"""The stage of a pipeline whose fields are those of the collection; what comes after another stage may be new."""
DEEP = 20


def value_of(node: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    """What a name stands for, where that is one thing."""
    for _ in range(DEEP):
        if not isinstance(node, ast.Name) or node.id not in values:
            break
        node = values[node.id]
    return node


def fields(node: ast.expr, values: Mapping[str, ast.expr], opaque: Collection[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each field, as far as they are written out. ``opaque``: operators that are not looked into."""
    node = value_of(node, values)
    if not isinstance(node, ast.List | ast.Tuple):
        yield from _fields(node, values, opaque, 0)
        return
    for one in node.elts:
        stage = value_of(one, values)
        first = text_of(stage.keys[0], values) if isinstance(stage, ast.Dict) and stage.keys and stage.keys[0] else None
        if first is not None and first.startswith("$") and first != FIRST_STAGES:
            return
        yield from _fields(stage, values, opaque, 0)


def _fields(node: ast.expr, values: Mapping[str, ast.expr], opaque: Collection[str],
            depth: int) -> Iterator[tuple[int, str]]:
    node = value_of(node, values)
    if depth > DEEP:
        return
    if isinstance(node, ast.List | ast.Tuple):
        for one in node.elts:
            yield from _fields(one, values, opaque, depth + 1)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            name = text_of(key, values) if key is not None else None
            if name in opaque:
                continue
            if key is not None and name and HOLE not in name and not name.startswith("$"):
                yield key.lineno, name
            yield from _fields(value, values, opaque, depth + 1)
