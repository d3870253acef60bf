"""The page of promises: which checks judge each one, which wrong solutions break it, and whether they were caught."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.checks.edges import edges_of, read_limits
from orchestrator.model import Lab
from orchestrator.report.lab_promises import Broken, PromiseKept
from orchestrator.report.lab_proof import CaseResult
from orchestrator.verify.solutions import Patch


def judged_by(lab: Lab) -> dict[str, list[str]]:
    """Promise -> ids of the checks that name it, as the checks' files say."""
    found: dict[str, list[str]] = {}
    for milestone in lab.milestones:
        for path in milestone.checks:
            for check, name in _marks(path.read_text(encoding="utf-8")):
                found.setdefault(name, []).append(f"{milestone.id}/{check}")
    return found


def _marks(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "promises":
                    yield from ((node.name, one.value) for one in mark.args
                                if isinstance(one, ast.Constant) and isinstance(one.value, str))


def page(promised: Sequence[tuple[str, str, str]], checks: Mapping[str, Sequence[str]], wrong: Sequence[Patch],
         results: Sequence[CaseResult], lab: Path) -> tuple[PromiseKept, ...]:
    """A line for each promise. ``promised``: name, place, text. ``results``: of the proof; may lack cases."""
    tried = {one.id: one for one in results if one.kind == "wrong"}
    limits = read_limits(lab)
    found = []
    for name, place, text in promised:
        broken = tuple(_broken(patch, checks.get(name, ()), tried) for patch in wrong if name in patch.promises)
        values = tuple(f"{edge.why}: {'taken' if edge.allowed else 'refused'}"
                       for edge in edges_of(limits.get(name, {})))
        found.append(PromiseKept(name, place, text, tuple(checks.get(name, ())), broken, values))
    return tuple(found)


def _broken(patch: Patch, checks: Sequence[str], tried: Mapping[str, CaseResult]) -> Broken:
    """Caught by one of the ``checks`` that name the promise: a wrong server meets all, and another may fail first."""
    result = tried.get(f"wrong {patch.name}")
    alone = len(patch.promises) == 1
    if result is None:
        return Broken(patch.name, alone, None)
    seen = result.seen.get(patch.milestone)
    return Broken(patch.name, alone, result.holds and seen is not None and any(
        check not in seen.passed_checks for check in checks if check.startswith(f"{patch.milestone}/")))
