"""Every problem of a lab at once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from orchestrator.errors import LabInvalid
from orchestrator.lint.checks import lint_checks, read_checks
from orchestrator.lint.declared import read_declared
from orchestrator.lint.files import lint_files
from orchestrator.lint.model import Finding
from orchestrator.lint.solutions import lint_solutions
from orchestrator.lint.storage import lint_storage
from orchestrator.manifest import read_lab


def lint(lab: Path, *, services: Collection[str], solutions: bool = True) -> tuple[Finding, ...]:
    """All findings, by file and line. Reads files; runs and imports nothing of the lab.

    ``services`` are the names of known recipes. Without ``solutions`` their absence is none of its problems.
    """
    findings: list[Finding] = []
    try:
        read_lab(lab, services=services)
    except LabInvalid as error:
        findings += [Finding(one.file, one.line or 0, "manifest", one.message) for one in error.problems]
    declared = read_declared(lab)
    sources, unreadable = read_checks(lab, declared)
    findings += [*unreadable, *lint_checks(declared, sources), *lint_storage(lab, sources), *lint_files(lab, declared)]
    if solutions:
        findings += lint_solutions(lab, declared, sources)
    return tuple(sorted(set(findings)))
