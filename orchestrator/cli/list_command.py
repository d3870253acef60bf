"""``labs list``."""

from __future__ import annotations

from orchestrator.cli.command import command
from orchestrator.cli.outcome import Outcome, table


@command("list")
def cli() -> Outcome:
    """List available labs."""
    from orchestrator.catalog.labs import find_lab, lab_folders
    from orchestrator.errors import LabInvalid

    rows, data, broken = [], [], []
    for name in lab_folders():
        try:
            lab = find_lab(name)
        except LabInvalid as error:
            broken.append(error)
            continue
        rows.append((name, f"{len(lab.milestones)} milestones", ", ".join(s.name for s in lab.services), lab.summary))
        data.append({"name": name, "title": lab.title, "summary": lab.summary, "version": lab.version,
                     "milestones": len(lab.milestones), "services": [s.name for s in lab.services]})
    text = table(rows) + "\n\nMore of one: labs info NAME" if rows else "no labs"
    return Outcome({"labs": data}, text, exit_code=4 if broken else 0, errors=tuple(broken))
