"""``labs run``."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, engine_option, option
from orchestrator.cli.outcome import Outcome, say
from orchestrator.system.text import listed

if TYPE_CHECKING:
    from orchestrator.attach.running import Running, Starting
    from orchestrator.environments.toolbox import Toolbox


@command("run")
@argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@option("--fresh", is_flag=True, help="On empty services, also if a failed check left its own.")
@option("--port", type=click.IntRange(1, 65535), help="For a server on empty services; else 8080 if free.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@engine_option
def cli(argv: tuple[str, ...], fresh: bool, port: int | None, workspace: Path | None, engine: str | None) -> Outcome:
    """Run your server, or a debugger, where the last check failed: same data, same port.

    The curl lines that `labs check` printed work as pasted, until the next check. Where no check has failed, the
    services are new and empty, and `labs check` in another terminal judges the server that runs. A command of your
    own finds the programs and libraries of your server's .venv or node_modules:

    \b
    labs run -- python -m pdb server.py
    labs run -- dlv debug .
    """
    from orchestrator.attach.running import RunOrder, run_server
    from orchestrator.catalog.labs import find_lab
    from orchestrator.cli.toolbox import open_toolbox
    from orchestrator.environments.warm import may_stay
    from orchestrator.workspace.workspace_toml import read_folder

    found = read_folder(workspace)
    lab = find_lab(found.lab)
    with open_toolbox(engine) as opened:
        toolbox = opened.of_lab(lab)
        order = RunOrder(lab, found, argv or found.run, fresh, port, warm=may_stay(os.environ))
        status, running = run_server(toolbox, order, Talk(toolbox))
    milestone = running.failed.milestone if running.failed else ""
    return Outcome({"status": status, "milestone": milestone, "port": running.port}, exit_code=max(0, status))


@dataclass(frozen=True, slots=True)
class Talk:
    """Says on standard error what `labs run` does."""

    toolbox: Toolbox

    def starting(self, starting: Starting) -> None:
        """What comes now, before anything takes its time."""
        names = [self.toolbox.recipes[one].title if one in self.toolbox.recipes else one for one in starting.services]
        if names:
            how = "new and empty" if starting.failed is None else f"as {starting.failed.milestone} left them"
            say(f"preparing {listed(names)}, {how}")
        say(f"then your server: {shlex.join(starting.argv)}")
        say(f"it will listen on http://127.0.0.1:{starting.port}")

    def line(self, text: str) -> None:
        """What a build says."""
        say(text)

    def running(self, running: Running) -> None:
        """Where everything is."""
        tell(self.toolbox, running)


def tell(toolbox: Toolbox, running: Running) -> None:
    """What a person must know before their server writes into this terminal."""
    if running.failed is not None:
        say(f"{running.failed.milestone} ({running.failed.reason}), as the check left it")
        say(f"your server: http://127.0.0.1:{running.port}")
        for name in running.services:
            say(f"look into it: labs connect {name} --failed")
        say("Ctrl-C ends your server; the next labs check deletes this data\n")
        return
    for service, missing in running.missing.items():
        say(f"without {service}: {missing}")
    say(f"your server: http://127.0.0.1:{running.port}")
    for name in (name for service in running.services if service in toolbox.recipes
                 for name in toolbox.recipes[service].urls if name in running.variables):
        say(f"{name}={running.variables[name]}")
    if running.services:
        say("look into them: labs connect SERVICE --run, in another terminal")
    say("judge it as it runs: labs check, in another terminal")
    say("Ctrl-C ends your server, and what is in these services is deleted\n")
