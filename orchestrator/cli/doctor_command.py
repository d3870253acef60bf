"""``labs doctor``."""

from __future__ import annotations

import dataclasses

from orchestrator.cli.command import command
from orchestrator.cli.outcome import Outcome, table


@command("doctor")
def cli() -> Outcome:
    """What is missing on this machine, and the command that gets it."""
    from pathlib import Path

    from orchestrator import services
    from orchestrator.catalog.labs import find_lab, lab_folders
    from orchestrator.errors import LabsError
    from orchestrator.machine.doctor import Diagnosis, examine
    from orchestrator.system.home import find_home
    from orchestrator.workspace.workspace_toml import find_workspace, read_workspace

    labs = [find_lab(name) for name in lab_folders()]
    # What no lab here uses is nobody's trouble.
    used = {need.name for lab in labs for need in lab.services}
    recipes = [services.recipe(name) for name in services.names() if name in used]
    own = [recipe for lab in labs for recipe in services.own_recipes(lab.services).values()]
    folder = find_workspace(Path.cwd())
    workspace, trouble = None, []
    try:
        workspace = None if folder is None else read_workspace(folder)
    except LabsError as error:
        trouble = [Diagnosis("missing", "your server", error.message, error.hint or "")]
    diagnoses = [*examine(find_home(), [*recipes, *own], labs, workspace), *trouble]
    rows = [(one.level, one.subject, one.what) for one in diagnoses]
    remedies = [f"{one.subject}: {one.remedy}" for one in diagnoses if one.remedy]
    missing = any(one.level == "missing" for one in diagnoses)
    text = table(rows) + ("\n\nWhat helps:\n" + "\n".join(f"  {line}" for line in remedies) if remedies else "")
    return Outcome({"findings": [dataclasses.asdict(one) for one in diagnoses]}, text, exit_code=3 if missing else 0)
