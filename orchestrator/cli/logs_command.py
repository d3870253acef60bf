"""``labs logs``."""

from __future__ import annotations

import subprocess

import click

from orchestrator.cli.command import argument, command, engine_option, name_option, option
from orchestrator.cli.outcome import Outcome


@command("logs")
@argument("service")
@option("--tail", type=click.IntRange(min=1), help="Only the last lines.")
@option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@name_option
@engine_option
def cli(service: str, tail: int | None, follow: bool, name: str | None, engine: str | None) -> Outcome:
    """What a service wrote."""
    from orchestrator.cli.session import check_service, environment_name, open_session

    with open_session(engine, quiet=True) as session:
        chosen = environment_name(session, name)
        check_service(session, service, chosen)
        instance = session.environments.instance(chosen, service)
        argv = session.engine.follow(instance.spec.name) if follow else None
        if argv:
            return Outcome(exit_code=subprocess.run(list(argv), check=False).returncode)
        text = session.engine.logs(instance.spec.name, tail=tail)
        return Outcome({"service": service, "lines": text.splitlines()}, text)
