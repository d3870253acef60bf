"""``labs lint``."""

from __future__ import annotations

import dataclasses
import sys

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome, paint


@command("lint")
@argument("lab")
def cli(lab: str) -> Outcome:
    """Every problem of a lab, each with file and line; nothing of the lab is run.

    LAB is a name or a folder. What only a run can show is found by `labs verify`.
    """
    from orchestrator import services
    from orchestrator.catalog import lab_folder
    from orchestrator.lint.lint import lint
    from orchestrator.resources import is_packaged

    folder = lab_folder(lab)
    findings = lint(folder, services=services.names(), solutions=not is_packaged(folder))
    data = {"lab": folder.name, "folder": str(folder), "findings": [dataclasses.asdict(one) for one in findings]}
    if not findings:
        return Outcome(data, f"{folder.name}: no problem found; whether its checks are right says: labs verify {lab}")
    lines = []
    for one in findings:
        where = f"{one.file}:{one.line}" if one.line else one.file
        lines += [f"{where}: {paint(one.rule, 'red', stream=sys.stdout)}: {one.message}",
                  *([f"    {one.fix}"] if one.fix else [])]
    count = "1 problem" if len(findings) == 1 else f"{len(findings)} problems"
    return Outcome(data, "\n".join([*lines, "", f"{folder.name}: {count}"]), exit_code=4)

