"""``labs schema``."""

from __future__ import annotations

import json

import click

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome

SCHEMAS = {"lab": "orchestrator.catalog.manifest_schema", "workspace": "orchestrator.workspace.workspace_schema",
           "report": "orchestrator.report.schema"}
"""What there is a schema of -> the module whose ``schema()`` it is."""


@command("schema")
@argument("what", type=click.Choice(list(SCHEMAS)))
def cli(what: str) -> Outcome:
    """The JSON Schema of lab.toml, of workspace.toml or of a report, for editors and other programs."""
    from importlib import import_module

    schema = import_module(SCHEMAS[what]).schema()
    return Outcome(schema, json.dumps(schema, indent=2))
