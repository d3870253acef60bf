"""``labs logs``."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

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
    from orchestrator.cli.toolbox import environment_of, open_started

    with open_started(engine, quiet=True) as started:
        chosen = environment_of(started, service, name)
        toolbox = started.where(chosen, service)
        names = [one.spec.name for one in toolbox.environments.nodes(chosen, service)]
        commands = [argv for name in names if follow and (argv := toolbox.engine.follow(name)) is not None]
        if commands:
            return Outcome(exit_code=_follow(commands))
        logs = [toolbox.engine.logs(name, tail=tail) for name in names]
        text = logs[0] if len(logs) == 1 else "\n".join(
            f"node {number}:\n{log}" for number, log in enumerate(logs, 1))
        return Outcome({"service": service, "lines": text.splitlines()}, text)


def _follow(commands: Sequence[Sequence[str]]) -> int:
    """Several nodes write to the same terminal; the first status that is not 0."""
    running = [subprocess.Popen(list(argv)) for argv in commands]
    return next((status for one in running if (status := one.wait())), 0)


def server_log(tail: int | None) -> Outcome:
    """From the last report: the output of the server at the first milestone that did not pass."""
    from orchestrator.errors import UsageError
    from orchestrator.system.text import escape
    from orchestrator.workspace.progress import read_report
    from orchestrator.workspace.workspace_toml import read_folder

    report = read_report(read_folder(None).folder)
    result = next((one for one in report.milestones if one.server_log.strip()), None) if report else None
    if result is None:
        raise UsageError("the last check kept no output of your server", code="no-server-log", hint="labs check")
    lines = [escape(line) for line in result.server_log.splitlines()][-(tail or 0):]
    return Outcome({"service": "server", "milestone": result.id, "lines": lines}, "\n".join(lines))
