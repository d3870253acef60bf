"""``labs brief``."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import click

from orchestrator.cli.command import argument, command, option
from orchestrator.cli.outcome import Outcome, colours

MOST_WIDTH = 100


@command("brief")
@argument("milestone", required=False)
@option("--lab", help="The lab, outside your server's folder.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
def cli(milestone: str | None, lab: str | None, workspace: Path | None) -> Outcome:
    """What to build, on one screen: the next milestone's brief, or that of MILESTONE."""
    from orchestrator.catalog.labs import find_lab, find_milestones
    from orchestrator.workspace.progress import read_passed
    from orchestrator.workspace.select import next_milestone
    from orchestrator.workspace.standing import brief_of
    from orchestrator.workspace.tracks import own_part
    from orchestrator.workspace.workspace_toml import read_folder

    passed: frozenset[str] = frozenset()
    found = None
    if lab is None:
        found = read_folder(workspace)
        lab = found.lab
    known = find_lab(lab)
    if found is not None:
        passed = read_passed(found.folder, known)
    part = known if found is None else own_part(known, found)
    chosen = find_milestones(known, milestone)[0] if milestone else next_milestone(part, passed)
    if chosen is None:
        return Outcome({"lab": known.name}, "Every milestone has passed. One of them again: labs brief TRACK/STEP")
    text = brief_of(chosen)
    needs = f"  needs {', '.join(chosen.needs)}" if chosen.needs else ""
    footer = f"{chosen.id}  {chosen.points} points{needs}\n\nlabs check {chosen.id}"
    data = {"id": chosen.id, "title": chosen.title, "path": str(chosen.brief), "points": chosen.points,
            "needs": list(chosen.needs), "text": text}
    return Outcome(data, f"{rendered(text)}\n{footer}")


def rendered(text: str) -> str:
    """Markdown for this terminal; as it is where no terminal looks."""
    if not sys.stdout.isatty():
        return text
    from rich.console import Console
    from rich.markdown import Markdown

    width = min(shutil.get_terminal_size((80, 24)).columns, MOST_WIDTH)
    buffer = io.StringIO()
    coloured = colours(sys.stdout)
    # Into text, not to the screen: there is one place that prints.
    console = Console(file=buffer, width=width, force_terminal=coloured, no_color=not coloured, highlight=False,
                      legacy_windows=False)
    console.print(Markdown(text, hyperlinks=False))
    shown = "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
    encoding = sys.stdout.encoding or "utf-8"
    return shown if encoding.lower().replace("-", "") == "utf8" else text
