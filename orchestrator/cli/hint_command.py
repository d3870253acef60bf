"""``labs hint``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import argument, command, option
from orchestrator.cli.outcome import Outcome


@command("hint")
@argument("milestone", required=False)
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
def cli(milestone: str | None, workspace: Path | None) -> Outcome:
    """One hint for what failed last, a little more at each call; or for MILESTONE. Nothing failed: for the next one."""
    from orchestrator.cli.hints import hint
    from orchestrator.workspace.workspace_toml import read_folder

    found = read_folder(workspace)
    return hint(found, milestone)
