"""Whether checks name services that the lab has, and those that their milestone lists: the others sleep.

Looked at are ``fault.down("x")`` and its like, ``services["x"]`` and the readers (fixtures named as a service), in
check files and in the code that they share. Not seen: names that only a run knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from orchestrator.catalog.manifest import Outline
from orchestrator.errors import did_you_mean
from orchestrator.lint.check_files import HOLE, CheckFile, CheckFiles, text_of
from orchestrator.lint.finding import Finding

LASTING = frozenset({"down", "shut", "hold", "stop", "pause", "kill"})
"""Faults that last as long as a block."""
FAULT, SERVICES = "fault", "services"
METHODS = LASTING | {"cut", "connections", "opened"}


def findings(outline: Outline | None, check_files: CheckFiles) -> Iterator[Finding]:
    """Services that checks name and that would not be there."""
    if outline is None:
        return
    unknown: set[tuple[str, str]] = set()
    for file in check_files.by_name.values():
        for node in ast.walk(file.tree):
            name = _named(file, node)
            if name and name not in outline.services and (file.name, name) not in unknown:
                unknown.add((file.name, name))
                yield Finding(file.name, _line(node), "unknown-service",
                              f"names the service {name}, which the lab does not list"
                              + did_you_mean(name, outline.services), "list it under [services] of lab.toml")
    for milestone in outline.milestones:
        used: dict[str, tuple[CheckFile, ast.AST]] = {}
        for file, check in check_files.checks_of(milestone):
            reach = check_files.reach(file, check)
            for name in reach.framework:  # a reader of a service is a fixture of the service's name
                used.setdefault(name, (file, check))
            for where, node in reach.nodes():
                used.setdefault(_named(where, node), (where, node))
        for role, players in outline.roles:
            if role in used and not set(players) & set(milestone.services):
                where, node = used[role]
                yield Finding(where.name, _line(node), "service-not-listed", f"uses the role {role}, which none of the "
                              f"services of {milestone.id} plays: the usual one would sleep until it is asked for",
                              f'services = [..., "{players[0] if players else role}"]')
        for name, (where, node) in used.items():
            if name in outline.services and name not in milestone.services:
                yield Finding(where.name, _line(node), "service-not-listed", f"uses the service {name}, which "
                              f"{milestone.id} does not list: it would sleep until it is asked for",
                              f'services = [..., "{name}"]')


def left_on(check_files: CheckFiles) -> Iterator[Finding]:
    """Faults that are begun by hand and last until the milestone's time is over, or that are never begun."""
    for file in check_files.by_name.values():
        for node in ast.walk(file.tree):
            call = node.value if isinstance(node, ast.Expr) else node.func.value if (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                and node.func.attr == "__enter__") else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in LASTING and (
                    file.dotted(call.func.value) == FAULT):
                said = "does nothing: it begins with a block" if isinstance(node, ast.Expr) else (
                    "is left on: nothing ends it")
                yield Finding(file.name, _line(node), "fault-left-on", f"fault.{call.func.attr}(...) {said}",
                              f"with fault.{call.func.attr}(...): and in the block what must be true meanwhile")


def _named(file: CheckFile, node: ast.AST) -> str:
    """The service that a piece of a check names; empty if none."""
    said: ast.expr | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if file.dotted(node.func.value) == FAULT and node.func.attr in METHODS:
            said = node.args[0]
    elif isinstance(node, ast.Subscript) and file.dotted(node.value) == SERVICES:
        said = node.slice
    text = None if said is None else text_of(said, file.names_at(node))
    return "" if text is None or HOLE in text else text


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))
