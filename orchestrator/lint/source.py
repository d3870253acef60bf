"""Python files of a lab as syntax trees, and what can be said of their functions without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its path relative to the lab, its tree, its functions by name (fixtures and helpers, too)."""

    file: str
    tree: ast.Module

    @property
    def functions(self) -> dict[str, Function]:
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, Function)}

    @property
    def checks(self) -> list[Function]:
        """The ``test_*`` functions at the top."""
        return [node for node in self.tree.body if isinstance(node, Function) and node.name.startswith("test_")]

    @property
    def texts(self) -> set[str]:
        """All string constants."""
        return {node.value for node in ast.walk(self.tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def read_source(lab: Path, path: Path) -> Source | tuple[int, str]:
    """The file, or the line and words of what makes it unreadable."""
    try:
        tree = ast.parse(path.read_bytes(), filename=path.name)
    except SyntaxError as error:
        return error.lineno or 0, f"is not Python: {error.msg}"
    except (OSError, ValueError, RecursionError) as error:
        return 0, f"cannot be read: {error}"
    return Source(path.relative_to(lab).as_posix(), tree)


def reached(check: Function, *sources: Source) -> list[Function]:
    """The check, and every function of these files that it uses as a fixture or calls, whatever way leads there."""
    known = {name: function for source in sources for name, function in source.functions.items()}
    found: dict[str, Function] = {check.name: check}
    waiting = [check]
    while waiting:
        function = waiting.pop()
        for name in names_in(function):
            if name in known and name not in found:
                found[name] = known[name]
                waiting.append(known[name])
    return list(found.values())


def names_in(function: Function) -> set[str]:
    """Arguments of a function, which are fixtures, and every name that it reads."""
    arguments = function.args
    names = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    return names | {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}


def calls_in(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call below a node with its dotted name: ``postgres.rows``, ``Call``."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            name = dotted(one.func)
            if name:
                yield name, one


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of names and attributes; ``""`` for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = dotted(node.value)
        return f"{above}.{node.attr}" if above else ""
    return ""


def text_of(node: ast.AST | None, hole: str = "\0") -> str | None:
    """A string as it is written, with ``hole`` for what is only known when it runs; ``None`` for no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else hole for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left, hole), text_of(node.right, hole)
        return None if left is None and right is None else (left or hole) + (right or hole)
    return None
