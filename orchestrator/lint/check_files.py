"""A lab's check files as syntax trees: which checks there are, and what each of them uses. Nothing is imported.

Seen are functions at the top of a file, fixtures of the file and of the code that checks share (by parameter, by
``usefixtures``, by ``autouse``), and functions that are named where they are defined. Not seen: what is reached through
a variable, a class or ``getattr``.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from orchestrator.catalog.manifest import OutlinedMilestone
from orchestrator.checks.shared_code import shared_code
from orchestrator.lint.finding import Finding, read_bytes

HOLE = "\x00"
"""Stands in a text for a part that only a run knows."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class CheckFile:
    """A Python file of the lab. ``name`` is relative to the lab's folder."""

    name: str
    tree: ast.Module

    @cached_property
    def functions(self) -> dict[str, Function]:
        """The functions at the top of the file."""
        return {node.name: node for node in self.tree.body if isinstance(node, Function)}

    @cached_property
    def checks(self) -> dict[str, Function]:
        """The checks, as ``judge.verdict.expected_checks`` finds them."""
        return {name: node for name, node in self.functions.items() if name.startswith("test_")}

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Name in this file -> the full name of what was imported under it."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {one.asname or one.name.split(".")[0]: one.name if one.asname else one.name.split(".")[0]
                          for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        return found

    @cached_property
    def starred(self) -> tuple[str, ...]:
        """Modules of which everything was imported."""
        return tuple(name.removesuffix(".*") for name in self.aliases.values() if name.endswith(".*"))

    @cached_property
    def fixtures(self) -> dict[str, Function]:
        """The fixtures at the top of the file, by the names under which they are asked for."""
        found = {}
        for name, node in self.functions.items():
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                if self.dotted(call.func if call else decorator) in ("pytest.fixture", "pytest.yield_fixture"):
                    given = keyword(call, "name") if call else None
                    own = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else name
                    found[own] = node
        return found

    @cached_property
    def automatic(self) -> tuple[str, ...]:
        """The fixtures that nobody needs to ask for."""
        return tuple(name for name, node in self.fixtures.items() for decorator in node.decorator_list
                     if isinstance(decorator, ast.Call) and is_true(keyword(decorator, "autouse")))

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """Names at the top of the file that are given a value once."""
        return assigned(self.tree.body)

    def names_at(self, node: ast.AST) -> Mapping[str, ast.expr]:
        """What names stand for where this node is, as far as that is one thing."""
        return self._scopes.get(id(node), self.constants)

    @cached_property
    def _scopes(self) -> dict[int, Mapping[str, ast.expr]]:
        found: dict[int, Mapping[str, ast.expr]] = {}
        for function in self.functions.values():
            names = names_in(self, function)
            found |= {id(node): names for node in ast.walk(function)}
        return found

    def dotted(self, node: ast.AST) -> str:
        """``time.sleep`` for whatever this file calls it; ``""`` for what is no name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.aliases.get(node.id, node.id), *reversed(parts)])


@dataclass(frozen=True)
class Reach:
    """A check with all functions that it uses, itself first, and the fixtures of the framework that it asks for."""

    parts: tuple[tuple[CheckFile, Function], ...]
    framework: frozenset[str]

    def nodes(self) -> Iterator[tuple[CheckFile, ast.AST]]:
        """Every node in every function."""
        for file, function in self.parts:
            for node in ast.walk(function):
                yield file, node


@dataclass(frozen=True)
class CheckFiles:
    """All check files of a lab, and what could not be read of them."""

    by_name: Mapping[str, CheckFile]
    findings: tuple[Finding, ...] = ()
    shared: tuple[str, ...] = ()
    """The files whose fixtures every check has, whether they can be read or not."""
    _reaches: dict[tuple[str, str], Reach] = field(default_factory=dict)

    def of(self, milestone: OutlinedMilestone) -> tuple[CheckFile, ...]:
        """A milestone's files, as far as they can be read."""
        return tuple(self.by_name[name] for name in milestone.check_files if name in self.by_name)

    def checks_of(self, milestone: OutlinedMilestone) -> tuple[tuple[CheckFile, Function], ...]:
        """A milestone's checks, each with its file."""
        return tuple((file, check) for file in self.of(milestone) for check in file.checks.values())

    def shared_files(self) -> tuple[CheckFile, ...]:
        """The files whose fixtures every check has, as far as they can be read."""
        return tuple(self.by_name[name] for name in self.shared if name in self.by_name)

    def reach(self, file: CheckFile, check: Function) -> Reach:
        """What a check uses."""
        key = (file.name, check.name)
        if key not in self._reaches:
            self._reaches[key] = self._walk(file, check)
        return self._reaches[key]

    def _walk(self, file: CheckFile, check: Function) -> Reach:
        places = [file, *(one for one in self.shared_files() if one is not file)]
        parts: dict[int, tuple[CheckFile, Function]] = {}
        framework: set[str] = set()
        waiting: list[tuple[CheckFile, Function]] = [(file, check)]

        def ask(name: str, beyond: CheckFile | None = None) -> None:
            """A fixture; a file's own comes before the shared one of that name, which is ``beyond`` it."""
            left = places if beyond is None else places[places.index(beyond) + 1:]
            found = next(((place, place.fixtures[name]) for place in left if name in place.fixtures), None)
            if found is None:
                framework.add(name)
            else:
                waiting.append(found)

        for place in places:
            for name in place.automatic:
                ask(name)
        while waiting:
            where, function = waiting.pop()
            if id(function) in parts:
                continue
            parts[id(function)] = (where, function)
            if function is check or function in where.fixtures.values():
                for name in parameters(function):
                    # A fixture that asks for one of its own name means the shared one, or the framework's.
                    ask(name, beyond=where if where.fixtures.get(name) is function else None)
            for node in ast.walk(function):
                if isinstance(node, ast.Name) and node.id in where.functions:
                    waiting.append((where, where.functions[node.id]))
                elif isinstance(node, ast.Call) and asked_by_name(where, node):
                    for argument in node.args:
                        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                            ask(argument.value)
        return Reach(tuple(parts.values()), frozenset(framework))


def read_check_files(lab: Path, named: Collection[str] = ()) -> CheckFiles:
    """Every Python file below ``checks/``, whether a milestone names it or not, and those ``named`` elsewhere."""
    files, findings = {}, []
    below = {path.relative_to(lab).as_posix() for path in (lab / "checks").rglob("*.py")}
    for name in sorted(below | {one for one in named if one.endswith(".py") and (lab / one).is_file()}):
        read = read_check_file(lab, name)
        if isinstance(read, Finding):
            findings.append(read)
        else:
            files[name] = read
    return CheckFiles(files, tuple(findings), tuple(path.relative_to(lab).as_posix() for path in shared_code(lab)))


def read_check_file(lab: Path, name: str) -> CheckFile | Finding:
    """One file, or why it is no Python."""
    content = read_bytes(lab, name)
    if isinstance(content, Finding):
        return content
    fix = "a check file is a Python file in UTF-8; python -m py_compile shows the place"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CheckFile(name, ast.parse(content))
    except SyntaxError as error:
        return Finding(name, error.lineno, "syntax-error", f"is not valid Python: {error.msg}", fix)
    except (ValueError, RecursionError, MemoryError) as error:
        return Finding(name, None, "syntax-error", f"is not valid Python: {error or type(error).__name__}", fix)


def asked_by_name(file: CheckFile, call: ast.Call) -> bool:
    """``@pytest.mark.usefixtures("x")`` or ``request.getfixturevalue("x")``."""
    return file.dotted(call.func) == "pytest.mark.usefixtures" or (
        isinstance(call.func, ast.Attribute) and call.func.attr == "getfixturevalue")


def parameters(function: Function) -> tuple[str, ...]:
    """The names that pytest gives values to."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    with_default = len(arguments.defaults)
    return tuple(one.arg for one in [*plain[:len(plain) - with_default], *arguments.kwonlyargs])


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Names that exactly one statement, at any depth, gives a value to."""
    found: dict[str, list[ast.expr]] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    _bind(target, node.value, found)
            elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
                found.setdefault(node.target.id, []).append(node.value or ast.Constant(None))
                if isinstance(node, ast.AugAssign):
                    found[node.target.id].append(node.value)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                _bind(node.optional_vars, node.context_expr, found)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def names_in(file: CheckFile, function: Function) -> dict[str, ast.expr]:
    """What the names in a function stand for, where that is one thing: its own first, then the file's."""
    own = assigned(function.body)
    bound = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    return {name: value for name, value in {**file.constants, **own}.items() if name in own or name not in bound}


def _bind(target: ast.expr, value: ast.expr, found: dict[str, list[ast.expr]]) -> None:
    if isinstance(target, ast.Name):
        found.setdefault(target.id, []).append(value)
    elif isinstance(target, ast.Tuple | ast.List):
        inner = value.elts if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts) else []
        for place, one in enumerate(target.elts):
            _bind(one, inner[place] if inner else ast.Constant(None), found)


def text_of(node: ast.expr, names: Mapping[str, ast.expr], depth: int = 0) -> str | None:
    """The text that an expression gives, ``HOLE`` for each part that only a run knows; ``None``: it may be anything."""
    if depth > 8:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(one.value if isinstance(one, ast.Constant) and isinstance(one.value, str)
                       else HOLE for one in node.values)
    if isinstance(node, ast.Name) and node.id in names:
        return text_of(names[node.id], names, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [text_of(side, names, depth + 1) for side in (node.left, node.right)]
        return None if sides == [None, None] else "".join(HOLE if side is None else side for side in sides)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        template = text_of(node.func.value, names, depth + 1)
        return None if template is None else re.sub(r"\{[^{}]*\}", HOLE, template)
    return None
