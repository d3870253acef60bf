"""Small edits of a Python server's source, drawn by a seed: a comparison at its edge, a statement gone.

Written here and not taken from a mutation library: mutmut and cosmic-ray start a test-suite in the process of the code
that they change. A server is judged from outside, by checks that know nothing of its language; all that is needed is a
patch. An edit replaces the text of one node, so that the rest of the file stays as its author wrote it.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}
ARITHMETIC: Mapping[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.FloorDiv: "*"}


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of one file: ``start`` and ``end`` are places in its text."""

    file: str
    line: int
    start: int
    end: int
    new: str
    what: str


def edits(file: str, text: str) -> list[Edit]:
    """Every edit of a file, in its order; none of what is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    places = _Places(text)
    found = []
    for node in ast.walk(tree):
        for new, what in _of_node(node, places):
            assert isinstance(node, ast.expr | ast.stmt)
            start, end = places.of(node)
            found.append(Edit(file, node.lineno, start, end, new, what))
    return sorted(found, key=lambda one: (one.start, one.end, one.new))


def drawn(files: Mapping[str, str], seed: int, count: int) -> list[Edit]:
    """At most ``count`` edits of some files, the same ones for the same seed."""
    every = [one for name, text in sorted(files.items()) for one in edits(name, text)]
    lots = {one: hashlib.sha256(f"{seed} {one.file} {one.start} {one.end} {one.new}".encode()).digest()
            for one in every}
    return sorted(sorted(every, key=lots.__getitem__)[:count], key=lambda one: (one.file, one.start))


def as_patch(edit: Edit, text: str) -> str:
    """The edit of the file's text as ``git apply`` reads it."""
    new = text[:edit.start] + edit.new + text[edit.end:]
    lines = difflib.unified_diff(text.splitlines(keepends=True), new.splitlines(keepends=True),
                                 f"a/{edit.file}", f"b/{edit.file}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


class _Places:
    """Where nodes are in a text; ``ast`` counts bytes of a line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = [line.encode() for line in text.splitlines(keepends=True)]
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def of(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._place(node.lineno, node.col_offset), self._place(node.end_lineno, node.end_col_offset)

    def source(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.of(node)
        return self.text[start:end]

    def _place(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1][:column].decode())


def _of_node(node: ast.AST, places: _Places) -> Iterator[tuple[str, str]]:
    """The texts that may stand for a node, each with what the edit is."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        left, right = places.source(node.left), places.source(node.comparators[0])
        other = COMPARISONS[type(node.ops[0])]
        yield f"({left} {other} {right})", f"compares with {other}"
    elif isinstance(node, ast.BoolOp):
        word = "or" if isinstance(node.op, ast.And) else "and"
        yield f"({f' {word} '.join(f'({places.source(one)})' for one in node.values)})", f"{word} joins the conditions"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"({places.source(node.operand)})", "without not"
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not _is_text(node.left, node.right):
        other = ARITHMETIC[type(node.op)]
        yield f"({places.source(node.left)} {other} {places.source(node.right)})", f"computes with {other}"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield str(node.value + 1), f"{node.value + 1} instead of {node.value}"
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield str(not node.value), f"{not node.value} instead of {node.value}"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "pass", f"without {places.source(node.value.func)}(...)"
    elif isinstance(node, ast.Raise) and node.exc is not None:
        yield "pass", "without the raise"


def _is_text(*nodes: ast.expr) -> bool:
    return any(isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
               for node in nodes)
