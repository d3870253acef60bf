"""``labs schema``."""

from __future__ import annotations

import json

import click

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome


@command("schema")
@argument("of", type=click.Choice(["lab", "workspace", "report"]))
def cli(of: str) -> Outcome:
    """JSON Schema of lab.toml, workspace.toml, or of the report that `labs check --json` gives.

    Editors complete and check the files with it.
    """
    if of == "lab":
        from orchestrator.manifest_schema import json_schema as schema
    elif of == "workspace":
        from orchestrator.target.workspace_schema import json_schema as schema
    else:
        from orchestrator.report.schema import schema
    found = schema()
    return Outcome(found, json.dumps(found, indent=2))
