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

    labs = [find_lab(name) for name in lab_folders()]
    recipes = [services.recipe(name) for name in services.names()]
    own = [recipe for lab in labs for recipe in services.own_recipes(lab.services).values()]
    diagnoses = examine(find_home(), [*recipes, *own], labs)
    rows = [(one.level, one.subject, one.what) for one in diagnoses]
    remedies = [f"{one.subject}: {one.remedy}" for one in diagnoses if one.remedy]
    missing = any(one.level == "missing" for one in diagnoses)
    text = table(rows) + ("\n\nWhat helps:\n" + "\n".join(f"  {line}" for line in remedies) if remedies else "")
    return Outcome({"findings": [dataclasses.asdict(one) for one in diagnoses]}, text, exit_code=3 if missing else 0)
