"""The problems of ``lab.toml`` as findings, and what it says about files that fits nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.catalog.manifest import Outline, OutlinedMilestone
from orchestrator.checks.shared_code import CONFTEST, FIXTURES
from orchestrator.errors import Problem, did_you_mean
from orchestrator.lint.check_files import CheckFile, CheckFiles
from orchestrator.lint.finding import Finding

FIXES: Mapping[str, str] = {
    "bad-toml": "mend the TOML at this place; strings stand in quotes, lists in brackets",
    "not-utf-8": "save the file as UTF-8",
    "too-large": "take out what is no part of a definition; texts belong into briefs",
    "cannot-read": "put a readable file there",
    "unknown-key": "take it out, or write it as labs schema lab has it",
    "missing-key": "add it; labs schema lab says what it must be",
    "bad-value": "give it a value as labs schema lab has it",
    "bad-lab-name": "rename the folder",
    "unknown-service": "use a service that labs knows, and list it under [services]; or bring one: compose = FILE",
    "known-service": "name it otherwise, here and in its Compose file",
    "bad-compose": "write it as the files in compose/ of labs are: one service, limits, ports on 127.0.0.1",
    "unknown-placeholder": "name one that there is, or take the braces out",
    "variable-twice": "give one of them another name",
    "milestone-twice": "give one of them another id",
    "unknown-track": "add the track, or mend the id",
    "unknown-need": "name a milestone of this lab",
    "needs-circle": "take out one of these needs",
    "no-such-file": "make the file, or mend the path",
    "path-outside": "use a path inside the lab, relative to its folder",
}
"""How to mend each kind of problem that ``orchestrator.catalog.manifest`` finds."""


def findings(problems: Sequence[Problem], outline: Outline | None, check_files: CheckFiles,
             lab: Path) -> Iterator[Finding]:
    """What the reader of ``lab.toml`` found, and how milestones and check files fit each other."""
    for problem in problems:
        yield Finding(problem.file, problem.line, problem.rule, problem.message, FIXES[problem.rule])
    if outline is None:
        return
    named: dict[str, str] = {}
    for milestone, checks in ((one, name) for one in outline.milestones for name in one.check_files):
        if checks in named and not _twins(outline, named[checks], milestone.id):
            yield Finding("lab.toml", milestone.line, "checks-shared", f"{milestone.id} has the check file of "
                          f"{named[checks]}, {checks}", "give each milestone files of its own")
        named.setdefault(checks, milestone.id)
        file = check_files.by_name.get(checks)
        if file is not None and not file.checks:
            yield Finding(checks, None, "no-checks", f"has no check, and {milestone.id} would pass nobody",
                          "write functions test_... at the top of the file")
        elif not checks.endswith(".py") and (lab / checks).is_file():
            yield Finding("lab.toml", milestone.line, "no-checks", f"{milestone.id}: {checks} is no Python file",
                          "name a file of pytest checks")
    for milestone in outline.milestones:
        yield from _twice(milestone, check_files)
    for name in (*check_files.by_name, *(one.file for one in check_files.findings)):
        if name not in named and Path(name).name.startswith("test_"):
            near = did_you_mean(name, [one for one in named if not (lab / one).is_file()])
            yield Finding(name, None, "checks-unused", f"no milestone names this check file{near}",
                          "name it in lab.toml, or delete it")
        elif name not in named and name not in check_files.shared and Path(name).name != "conftest.py":
            yield Finding(name, None, "checks-unused", "no check can import this file",
                          f"put shared code into fixtures of {CONFTEST} or {FIXTURES}/")


def _twice(milestone: OutlinedMilestone, check_files: CheckFiles) -> Iterator[Finding]:
    """Checks are told apart by their names, whichever of the milestone's files they are in."""
    first: dict[str, CheckFile] = {}
    for file, check in check_files.checks_of(milestone):
        if first.setdefault(check.name, file) is not file:
            yield Finding(file.name, check.lineno, "check-twice", f"{check.name} is in {first[check.name].name}, too, "
                          f"and both are checks of {milestone.id}", "give one of them another name")


def _twins(outline: Outline, one: str, other: str) -> bool:
    """Whether two milestones are the same one on two services that play one role."""
    (track, step), (another, same) = (name.split("/", 1) if "/" in name else (name, "") for name in (one, other))
    return step == same and any({track, another} <= set(players) for _, players in outline.roles)
