"""What is wrong with check files as programs: checks that learners cannot read, that cannot run, or cannot fail.

Not seen: modules imported by a computed name; a sleep inside a library; a comparison that is always true unless it is
``assert`` or ``expect.true`` of a constant; values that are fixed in one part of a check while another part draws.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from orchestrator.checks.shared_code import CONFTEST, FIXTURES
from orchestrator.lint.check_files import CheckFile, CheckFiles, Function, Reach, is_true, keyword
from orchestrator.lint.finding import Finding

EXPECT = "orchestrator.checks.expect"
SLEEPS = ("time.sleep", "asyncio.sleep")
SKIPS = ("pytest.skip", "pytest.xfail", "pytest.importorskip", "pytest.mark.skip", "pytest.mark.skipif",
         "pytest.mark.xfail", "unittest.skip", "unittest.skipIf", "unittest.skipUnless", "unittest.expectedFailure")
DECIDES = ("pytest.fail", "pytest.raises")
RANDOM = ("random", "secrets", "uuid")
"""Python's own sources of chance: no seed repeats them, so a check that draws from them goes by luck."""
FRESH = "fresh"
SERVER = "server"
ALLOWED = ("pytest", "orchestrator.checks")


def findings(check_files: CheckFiles) -> Iterator[Finding]:
    """Everything about the check files themselves."""
    yield from check_files.findings
    for file in check_files.by_name.values():
        yield from _imports(file)
        yield from _marks_and_sleeps(file)
        yield from _swallowed(file)
        if file.name not in check_files.shared:
            yield from _out_of_place(file)
            for check in file.checks.values():
                yield from _form(file, check)
                yield from _power(file, check, check_files.reach(file, check))


def _imports(file: CheckFile) -> Iterator[Finding]:
    typing_only = {id(inner) for node in ast.walk(file.tree) if isinstance(node, ast.If)
                   and file.dotted(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
                   for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(file.tree):
        if id(node) in typing_only:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{one.name}" if node.module == "orchestrator" else node.module or ""
                     for one in node.names[:None if node.module == "orchestrator" else 1]]
        for name in names:
            allowed = name.split(".")[0] in sys.stdlib_module_names or any(
                name == one or name.startswith(f"{one}.") for one in ALLOWED)
            if name.split(".")[0] in RANDOM:
                yield Finding(file.name, _line(node), "own-chance", f"imports {name}: values that no seed repeats, so "
                              "a failure cannot be tried again", "draw from the fixture fresh")
            if not allowed:
                yield Finding(file.name, _line(node), "foreign-import",
                              f"imports {name}, which is not there where checks run",
                              f"use the standard library, pytest or orchestrator.checks; shared code is fixtures in "
                              f"{CONFTEST} or {FIXTURES}/")


def _marks_and_sleeps(file: CheckFile) -> Iterator[Finding]:
    starred = {name.rsplit(".", 1)[1] for name in SLEEPS if name.rsplit(".", 1)[0] in file.starred}
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        name = file.dotted(node)
        if name in SLEEPS or (isinstance(node, ast.Name) and node.id in starred):
            yield Finding(file.name, _line(node), "sleeps", f"uses {name or 'sleep'}: too short on a slow machine, "
                          "too long on a fast one", "wait for what must become true: expect.eventually or wait.until")
        elif name in SKIPS:
            yield Finding(file.name, _line(node), "skip-or-xfail", f"uses {name}; a check must run and decide",
                          "take it out; what this machine cannot offer is unjudged by itself")


def _swallowed(file: CheckFile) -> Iterator[Finding]:
    fix = "catch the one error that is meant, or raise again"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ExceptHandler) and _catches_all(file, node.type) and not _passes_on(file, node):
            what = "except:" if node.type is None else f"except {ast.unparse(node.type)}:"
            yield Finding(file.name, node.lineno, "swallows", f"`{what}` swallows failures of the server and of "
                          "services", fix)
        elif isinstance(node, ast.Call) and file.dotted(node.func) == "contextlib.suppress" and any(
                _catches_all(file, one) for one in node.args):
            yield Finding(file.name, node.lineno, "swallows", "suppresses every Exception", fix)


def _catches_all(file: CheckFile, caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_catches_all(file, one) for one in caught.elts)
    return caught is None or file.dotted(caught) in ("Exception", "BaseException", "builtins.Exception",
                                                       "builtins.BaseException")


def _passes_on(file: CheckFile, handler: ast.ExceptHandler) -> bool:
    """The handler raises, fails the check, or does something with the error."""
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Name) and node.id == handler.name)
        or (isinstance(node, ast.Call) and _judges(file, node))
        for statement in handler.body for node in ast.walk(statement))


def _out_of_place(file: CheckFile) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for node in file.tree.body:
        if isinstance(node, Function) and node.name.startswith("test_"):
            if node.name in seen:
                yield Finding(file.name, node.lineno, "check-twice",
                              f"{node.name} is there twice (line {seen[node.name]}); only the last one would run",
                              "give it another name")
            seen[node.name] = node.lineno
        elif isinstance(node, ast.ClassDef | ast.If | ast.Try | ast.With | ast.For | ast.While):
            # pytest would run these, and the judge, who reads the file, would not expect them.
            tested = not isinstance(node, ast.ClassDef) or node.name.startswith("Test")
            for inner in ast.walk(node) if tested else ():
                if isinstance(inner, Function) and inner.name.startswith("test_"):
                    yield Finding(file.name, inner.lineno, "check-not-at-top",
                                  f"{inner.name} is inside a {type(node).__name__.removesuffix('Def').lower()}; "
                                  "the judge finds checks at the top of the file only",
                                  "make it a function at the top of the file")


def _form(file: CheckFile, check: Function) -> Iterator[Finding]:
    if not (ast.get_docstring(check) or "").strip():
        yield Finding(file.name, check.lineno, "no-docstring",
                      f"{check.name} has no docstring; learners read it as the check's title",
                      "begin it with one sentence that says what is right")
    if isinstance(check, ast.AsyncFunctionDef):
        yield Finding(file.name, check.lineno, "async-check", f"{check.name} is async; pytest does not run it",
                      "make it a plain function; for requests at once there is server.parallel")
    if any(file.dotted(_called(one)) == "pytest.mark.parametrize" for one in check.decorator_list):
        yield Finding(file.name, check.lineno, "parametrised", f"{check.name} is parametrised; a check's id must be "
                      "readable from the file", "loop over the values inside the check")
    for node in _own_statements(check):
        if isinstance(node, ast.Yield | ast.YieldFrom) or (isinstance(node, ast.Return) and node.value is not None):
            yield Finding(file.name, _line(node), "check-returns", f"{check.name} gives a value, which nobody reads",
                          "judge it with expect")


def _power(file: CheckFile, check: Function, reach: Reach) -> Iterator[Finding]:
    """Whether the check can fail, and whether a server could know the answers beforehand."""
    if not any(_can_fail(where, node) for where, node in reach.nodes()):
        yield Finding(file.name, check.lineno, "cannot-fail",
                      f"{check.name} uses neither expect, assert nor the server: it passes whatever the server does",
                      "say with expect what must be true")
    sends = any(isinstance(node, ast.Call) and _has_body(node) for _, node in reach.nodes())
    if sends and not any(_draws(node, reach) for where, node in reach.nodes()):
        yield Finding(file.name, check.lineno, "fixed-values",
                      f"{check.name} sends a body, and no value in it is new in each run: a server could know the "
                      "answers", "draw names and numbers from the fixture fresh")


def _can_fail(file: CheckFile, node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant) or not node.test.value
    if isinstance(node, ast.Raise):
        return True
    if isinstance(node, ast.Name):
        return node.id == SERVER and isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.Call) and _judges(file, node)


def _judges(file: CheckFile, call: ast.Call) -> bool:
    name = file.dotted(call.func)
    if name == f"{EXPECT}.true":
        condition = call.args[0] if call.args else keyword(call, "condition")
        return not is_true(condition)
    return name in DECIDES or (name.startswith(f"{EXPECT}.") and name != f"{EXPECT}.shown")


def _has_body(call: ast.Call) -> bool:
    """A call with ``json=`` or ``content=`` that is something."""
    given = [keyword(call, name) for name in ("json", "content")]
    return any(one is not None and not (isinstance(one, ast.Constant) and one.value is None) for one in given)


def _draws(node: ast.AST, reach: Reach) -> bool:
    """The fixture ``fresh`` in use."""
    return (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id == FRESH
            and FRESH in reach.framework)


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _own_statements(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _line(node: ast.AST) -> int | None:
    return getattr(node, "lineno", None)
