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
    """What a service wrote; `labs logs server`: your own server's last lines in the last check that failed."""
    if service == "server":
        return server_log(tail)
    from orchestrator.cli.session import check_service, environment_name, open_session

    with open_session(engine, quiet=True) as session:
        check_service(session, service)
        chosen = environment_name(session, name)
        instance = session.environments.instance(chosen, service)
        argv = session.engine.follow(instance.spec.name) if follow else None
        if argv:
            return Outcome(exit_code=subprocess.run(list(argv), check=False).returncode)
        text = session.engine.logs(instance.spec.name, tail=tail)
        return Outcome({"service": service, "lines": text.splitlines()}, text)


def server_log(tail: int | None) -> Outcome:
    """From the last report: the output of the server at the first milestone that did not pass."""
    from orchestrator.cli.check_command import read_folder
    from orchestrator.errors import UsageError
    from orchestrator.report.terminal import escape
    from orchestrator.workspace.progress import read_report

    report = read_report(read_folder(None).folder)
    result = next((one for one in report.milestones if one.server_log.strip()), None) if report else None
    if result is None:
        raise UsageError("the last check kept no output of your server", code="no-server-log", hint="labs check")
    lines = [escape(line) for line in result.server_log.splitlines()][-(tail or 0):]
    return Outcome({"service": "server", "milestone": result.id, "lines": lines}, "\n".join(lines))
