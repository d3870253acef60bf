"""Every finding of a lab, in the order of its files. Reads, and runs nothing but ``git apply --check`` on a copy."""

from __future__ import annotations

from pathlib import Path

from orchestrator import services
from orchestrator.catalog.manifest import survey
from orchestrator.catalog.reasons import possible
from orchestrator.lint import (
    briefs,
    checks,
    files,
    given,
    hands,
    manifest,
    named_services,
    openapi,
    promises,
    requests,
    shared,
    solutions,
    storage,
)
from orchestrator.lint.check_files import read_check_files
from orchestrator.lint.finding import Finding


def lint(folder: Path) -> tuple[Finding, ...]:
    """What is wrong in the lab in ``folder``, and notes. Goes on with the rest where a file cannot be read."""
    outline, problems = survey(folder, services=services.names())
    check_files = read_check_files(folder, [name for one in outline.milestones for name in one.check_files]
                                   if outline else [])
    # Where no service is known, any may be meant.
    used = [name for name in (outline.services if outline else ()) if name in services.names()] or services.names()
    roles = dict(outline.roles) if outline else {}
    names = {name: services.names_of(name) for name in used}
    # A check speaks to whoever plays a role in the words of the usual one.
    names |= {role: names[players[0]] for role, players in roles.items() if players and players[0] in names}
    framework = possible(used)
    found = [
        *manifest.findings(problems, outline, check_files, folder),
        *files.findings(folder),
        *briefs.findings(folder, outline),
        *openapi.findings(folder),
        *checks.findings(check_files),
        *shared.findings(check_files),
        *requests.findings(folder, check_files),
        *given.findings(outline, check_files, framework),
        *storage.findings(folder, check_files, names),
        *promises.findings(folder, outline, check_files),
        *hands.findings(check_files, names),
        *named_services.findings(outline, check_files),
        *named_services.left_on(check_files),
        *solutions.findings(folder, outline, check_files, framework),
    ]
    cleaned = {_clean(finding): None for finding in found}
    return tuple(sorted(cleaned, key=lambda one: (one.file != "lab.toml", one.file, one.line or 0, one.rule)))


def _clean(finding: Finding) -> Finding:
    """Without characters that a terminal would obey or that cannot be written: names and texts are the lab's."""
    return Finding(_plain(finding.file), finding.line, finding.rule, _plain(finding.message), _plain(finding.fix))


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
