"""``labs lint``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome, say

if TYPE_CHECKING:
    from orchestrator.lint.finding import Finding


@command("lint")
@argument("lab")
def cli(lab: str) -> Outcome:
    """Every problem of a lab, with file and line, without running anything of it.

    LAB is a name or a folder with a lab.toml.
    """
    from orchestrator.catalog.labs import folder_at
    from orchestrator.errors import LabInvalid
    from orchestrator.lint.lint import lint

    folder = folder_at(lab)
    told = lint(folder)
    found, notes = [one for one in told if not one.is_note], [one for one in told if one.is_note]
    for note in notes:
        say(f"note: {note}")
    data = {"lab": folder.name, "folder": str(folder), "findings": [asdict(finding) for finding in found],
            "notes": [asdict(note) for note in notes]}
    if not found:
        return Outcome(data, f"{folder.name}: no problems found; next, prove it: labs verify {lab}")
    # The findings are the answer and stand on standard output; the error says only how many there are.
    error = LabInvalid(f"{folder.name} has {_count(found)}", [], hint=f"mend them, then: labs lint {lab}")
    return Outcome(data, "\n".join(map(str, found)), exit_code=error.exit_code, errors=(error,))


def _count(found: list[Finding]) -> str:
    return "one problem" if len(found) == 1 else f"{len(found)} problems"
