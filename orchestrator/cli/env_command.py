"""``labs env``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

import click

from orchestrator.cli.command import command, engine_option, name_option, option
from orchestrator.cli.outcome import Outcome, say


@command("env")
@option("--format", "format_", type=click.Choice(["dotenv", "export", "json"]), default="dotenv", show_default=True,
        help="dotenv for an .env file, export for a shell (eval), json for programs.")
@name_option
@engine_option
def cli(format_: str, name: str | None, engine: str | None) -> Outcome:
    """The variables that your server needs to reach the services."""
    from orchestrator.cli.toolbox import environment_name, lab_without, open_started
    from orchestrator.errors import EnvironmentFault

    with open_started(engine, quiet=True) as started:
        chosen = environment_name(started, name)
        values = started.where(chosen).environments.variables(chosen)
        if not values and lab_without(chosen):
            say(f"{chosen} has no services: your server needs no variables")
        elif not values:
            raise EnvironmentFault(f"the environment {chosen} is not started", code="not-started",
                                   hint=f"labs start {chosen}")
        return Outcome({"environment": chosen, "variables": values}, format_variables(values, format_))


def format_variables(values: Mapping[str, str], format_: str) -> str:
    """The variables as text: ``dotenv`` and ``export`` quote what a shell would change."""
    if format_ == "json":
        return json.dumps(dict(values), indent=2)
    prefix = "export " if format_ == "export" else ""
    return "\n".join(f"{prefix}{name}={shlex.quote(value)}" for name, value in values.items())
