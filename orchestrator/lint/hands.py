"""Statements that a check gives to an administrator's method of a service's fixture, and that must not be given there.

What they are the service says (``Names.hands``). Seen are calls on the fixture's name with a text that can be read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from orchestrator.lint.check_files import HOLE, CheckFile, CheckFiles, text_of
from orchestrator.lint.finding import Finding
from orchestrator.services.parts import Names


def findings(check_files: CheckFiles, services: Mapping[str, Names]) -> Iterator[Finding]:
    """One finding for each rule that a call breaks."""
    for file in check_files.by_name.values():
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Call) and node.args:
                yield from _broken(file, node, services)


def _broken(file: CheckFile, call: ast.Call, services: Mapping[str, Names]) -> Iterator[Finding]:
    method = call.func
    if not (isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name)):
        return
    names = services.get(method.value.id)
    text = text_of(call.args[0], file.names_at(call)) if names else None
    if names is None or text is None:
        return
    for rule in names.hands:
        if rule.method == method.attr and re.search(rule.pattern, text.replace(HOLE, "x"), re.IGNORECASE):
            yield Finding(file.name, call.lineno, rule.id, f"{method.value.id}.{method.attr}: {rule.what}", rule.fix)
