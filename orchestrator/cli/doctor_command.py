"""``labs doctor``."""

from __future__ import annotations

import dataclasses

from orchestrator.cli.command import command
from orchestrator.cli.outcome import Outcome, table


@command("doctor")
def cli() -> Outcome:
    """What is missing on this machine, and the command that gets it."""
    from orchestrator import services
    from orchestrator.catalog.labs import find_lab, lab_folders
    from orchestrator.machine.doctor import examine
    from orchestrator.system.home import find_home

    recipes = [services.recipe(name) for name in services.names()]
    findings = examine(find_home(), recipes, [find_lab(name) for name in lab_folders()])
    rows = [(f.level, f.subject, f.what) for f in findings]
    remedies = [f"{f.subject}: {f.remedy}" for f in findings if f.remedy]
    missing = any(f.level == "missing" for f in findings)
    text = table(rows) + ("\n\nWhat helps:\n" + "\n".join(f"  {line}" for line in remedies) if remedies else "")
    return Outcome({"findings": [dataclasses.asdict(f) for f in findings]}, text, exit_code=3 if missing else 0)
