"""Rules for check files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from orchestrator.lint.declared import Declared
from orchestrator.lint.model import Finding
from orchestrator.lint.source import KEBAB, Function, Source, calls_in, dotted, names_in, reached, read_source

OURS = "orchestrator.checks"
SLEEPS = ("time.sleep", "asyncio.sleep")
FRAMEWORK_REASONS = frozenset({
    "assertion", "no-answer", "no-event", "not-json", "stream-ended", "too-slow",
    "schema-locked", "schema-missing-column", "schema-missing-table", "schema-plant-refused", "schema-wrong-type",
    "build-failed", "build-timeout", "daemonised", "exited", "never-bound", "toolchain-missing",
})
"""Reasons that come from our fixtures and from starting the server, in any milestone."""
DECIDES = ("expect.", "pytest.raises", "pytest.fail")
SENDS = ("json", "content")


def read_checks(lab: Path, declared: Collection[Declared]) -> tuple[dict[str, Source], list[Finding]]:
    """Every Python file below ``checks/`` and those that milestones name, by path; and what cannot be read."""
    paths = {path for path in (lab / "checks").rglob("*.py") if "__pycache__" not in path.parts}
    paths |= {lab / one.checks for one in declared if one.checks and (lab / one.checks).is_file()}
    sources: dict[str, Source] = {}
    findings = []
    for path in sorted(paths):
        found = read_source(lab, path)
        if isinstance(found, Source):
            sources[found.file] = found
        else:
            findings.append(Finding(path.relative_to(lab).as_posix(), found[0], "python", f"the file {found[1]}"))
    return sources, findings


def shared(sources: Mapping[str, Source]) -> list[Source]:
    """The conftest files: what every check may use."""
    return [source for file, source in sources.items() if file.endswith("conftest.py")]


def lint_checks(declared: Collection[Declared], sources: Mapping[str, Source]) -> Iterator[Finding]:
    """All rules, over all files."""
    common = shared(sources)
    named: dict[str, str] = {}
    for one in declared:
        if one.checks in named:
            yield Finding("lab.toml", one.line, "shared-checks", f"{one.id} has the check file of {named[one.checks]}",
                          "one file a milestone")
        named.setdefault(one.checks, one.id)
        source = sources.get(one.checks)
        if source is None:
            continue
        if not source.checks:
            yield Finding(one.checks, 0, "no-checks", f"{one.id} has no checks: no function named test_... at the top",
                          "write one; a milestone without checks proves nothing")
        possible = FRAMEWORK_REASONS.union(*(file.texts for file in (source, *common)))
        for reason, line in one.reasons:
            if reason not in possible:
                yield Finding("lab.toml", line or one.line, "unknown-reason",
                              f"a hint of {one.id} is for the reason {reason}, which none of its checks can give",
                              f"name a reason= of {one.checks}")
    for file, source in sources.items():
        yield from _imports(source)
        yield from _sleeps(source)
        yield from _swallows(source)
        yield from _reasons(source)
        if source.checks and file not in named and Path(file).name.startswith("test_"):
            yield Finding(file, 0, "unused-checks", "no milestone of lab.toml names this file", "name it, or delete it")
        for check in source.checks:
            yield from _check(source, check, common)


def _check(source: Source, check: Function, common: list[Source]) -> Iterator[Finding]:
    def finding(rule: str, message: str, fix: str) -> Finding:
        return Finding(source.file, check.lineno, rule, f"{check.name} {message}", fix)

    if isinstance(check, ast.AsyncFunctionDef):
        yield finding("async-check", "is async", "use a plain function; server.parallel makes many requests at once")
    if not ast.get_docstring(check):
        yield finding("no-title", "has no docstring", "its first line is the title that learners read")
    for decorator in check.decorator_list:
        name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name.startswith("pytest.mark."):
            yield finding("marked-check", f"has the mark {name}", "a check always runs, once, and decides")
    functions = reached(check, source, *common)
    names = {name for function in functions for name in names_in(function)}
    if not any(_decides(function) for function in functions):
        yield finding("cannot-fail", "judges nothing: no expect, no assert", "a check that cannot fail proves nothing")
    sends = any(keyword.arg in SENDS for function in functions for _, call in calls_in(function)
                for keyword in call.keywords)
    plants = any(name.endswith(".plant") for function in functions for name, _ in calls_in(function))
    if (sends or plants) and "fresh" not in names:
        yield finding("fixed-values", "sends or plants values that are the same in every run",
                      "take them from the fixture fresh: a server could have fixed ones written into it")


def _swallows(source: Source) -> Iterator[Finding]:
    """A handler for everything that neither raises nor looks at what it caught."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and (
            node.type is None or dotted(node.type) in ("Exception", "BaseException")
        ):
            inside = [one for statement in node.body for one in ast.walk(statement)]
            used = any(isinstance(one, ast.Name) and one.id == node.name for one in inside)
            if not used and not any(isinstance(one, ast.Raise) for one in inside):
                yield Finding(source.file, node.lineno, "swallows", "catches everything, failures of the server too",
                              "name the exception that is expected")


def _decides(function: Function) -> bool:
    return any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(function)) or any(
        name.startswith(DECIDES) for name, _ in calls_in(function))


def _imports(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if not node.level else [f"{'.' * node.level}{node.module or ''}"]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "pytest" and not f"{name}.".startswith(f"{OURS}."):
                yield Finding(source.file, node.lineno, "foreign-import", f"imports {name}",
                              f"checks import the standard library, pytest and {OURS}; shared code is fixtures in "
                              "conftest.py")


def _sleeps(source: Source) -> Iterator[Finding]:
    """Under whatever name it was imported."""
    aliases: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "asyncio"):
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
    for name, call in calls_in(source.tree):
        first, _, rest = name.partition(".")
        full = aliases.get(first, first) + (f".{rest}" if rest else "")
        if full in SLEEPS:
            yield Finding(source.file, call.lineno, "sleep", f"calls {full}",
                          "wait for what is to happen: expect.eventually, wait.until, events of a stream")


def _reasons(source: Source) -> Iterator[Finding]:
    for _, call in calls_in(source.tree):
        for keyword in call.keywords:
            if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant):
                value = keyword.value.value
                if not isinstance(value, str) or not KEBAB.fullmatch(value):
                    yield Finding(source.file, keyword.value.lineno, "reason-form", f"the reason {value!r}",
                                  "lower case, words joined by dashes: lost-update")
