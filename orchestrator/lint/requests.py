"""Whether what checks ask of a server, and of ``expect``, is there: routes of the contract, names of the module.

Looked at are ``server.get("/...")`` and its like. A part of a path that only a run knows may be anything; a path that
is meant to be unknown is written with such a part.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.checks import expect
from orchestrator.checks.routes import read_openapi, templates_of
from orchestrator.errors import did_you_mean
from orchestrator.lint.check_files import HOLE, CheckFile, CheckFiles, text_of
from orchestrator.lint.checks import EXPECT, SERVER
from orchestrator.lint.finding import Finding, read_text
from orchestrator.lint.openapi import CONTRACT

ASKS = {"get": 0, "post": 0, "put": 0, "patch": 0, "delete": 0, "head": 0, "stream": 0, "request": 1}
"""Method of ``server`` -> the place of the path among its arguments."""


def findings(lab: Path, check_files: CheckFiles) -> Iterator[Finding]:
    """Routes in no contract, and names that ``expect`` has not."""
    there = (lab / CONTRACT).exists()
    readable = there and isinstance(read_text(lab, CONTRACT), str)
    templates = templates_of(read_openapi(lab)) if readable else ()
    asked = False
    for file in check_files.by_name.values():
        seen: set[str] = set()
        for node in ast.walk(file.tree):
            yield from _unknown_name(file, node)
            path = _path(file, node)
            asked = asked or bool(path)
            if path and templates and path not in seen and not _known(path, templates):
                seen.add(path)
                shown = path.replace(HOLE, "...")
                yield Finding(file.name, getattr(node, "lineno", None), "unknown-route",
                              f"asks for {shown}, which {CONTRACT} does not have{did_you_mean(shown, templates)}",
                              f"add it to the paths of {CONTRACT}: learners know no other routes")
    if asked and not there:
        yield Finding(CONTRACT, None, "no-contract", "is not there, and checks ask a server for routes that learners "
                      "then cannot know", f"write {CONTRACT}: its paths, and what they answer")


def _unknown_name(file: CheckFile, node: ast.AST) -> Iterator[Finding]:
    if isinstance(node, ast.Attribute):
        whole = file.dotted(node)
        name = whole.removeprefix(f"{EXPECT}.")
        if name != whole and "." not in name and not hasattr(expect, name):
            known = [one for one in vars(expect) if not one.startswith("_")]
            yield Finding(file.name, node.lineno, "unknown-expect", f"expect has no {name}{did_you_mean(name, known)}",
                          "see docs/checks-api.md for what there is")


def _path(file: CheckFile, node: ast.AST) -> str:
    """The path that a call asks for, ``HOLE`` for what only a run knows; ``""`` for anything else."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    place = ASKS.get(node.func.attr)
    if place is None or file.dotted(node.func.value) != SERVER or len(node.args) <= place:
        return ""
    text = text_of(node.args[place], file.names_at(node)) or ""
    return text.split("?", 1)[0] if text.startswith("/") else ""


def _known(path: str, templates: Sequence[str]) -> bool:
    """Whether some route may be meant. A hole at the end may also hold a query, or more of the path."""
    parts = path.rstrip("/").split("/") if path != "/" else [""]
    return any(_fits(parts, template.rstrip("/").split("/")) for template in templates)


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if len(parts) != len(wanted):
        open_end = bool(parts) and parts[-1].endswith(HOLE) and len(parts) < len(wanted)
        return open_end and _fits(parts, wanted[:len(parts)])
    return all("{" in want or re.fullmatch(".*".join(map(re.escape, part.split(HOLE))), want)
               for part, want in zip(parts, wanted, strict=True))
