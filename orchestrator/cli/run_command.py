"""``labs run``."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, engine_option, option
from orchestrator.cli.outcome import Outcome, say

if TYPE_CHECKING:
    from orchestrator.model import Workspace

GRACE = 5.0
"""Seconds between Ctrl-C and SIGKILL for a server that does not end."""


@command("run")
@argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@engine_option
def cli(argv: tuple[str, ...], workspace: Path | None, engine: str | None) -> Outcome:
    """Run your server, or a debugger, where the last check failed: same data, same port.

    The curl lines that `labs check` printed work as pasted, until the next check. With a debugger:

    \b
    labs run -- python -m pdb server.py
    labs run -- dlv debug .
    """
    from orchestrator.catalog import find_lab
    from orchestrator.cli.check_command import read_folder
    from orchestrator.cli.kept import failed_space
    from orchestrator.cli.session import open_session
    from orchestrator.errors import EnvironmentFault
    from orchestrator.model import Endpoint
    from orchestrator.target.environ import target_environment
    from orchestrator.target.health import listens

    found = read_folder(workspace)
    lab = find_lab(found.lab)
    with open_session(engine) as session, failed_space(session, found.folder) as (space, instances):
        build_first(found, lab.server.build_budget, session.home.cache)
        if listens(space.port):
            raise EnvironmentFault(f"port {space.port} is taken by another program, perhaps by another labs run",
                                   code="port-busy", hint=f"lsof -i :{space.port}")
        services: dict[str, str] = {}
        for name, instance in instances.items():
            services |= session.recipes[name].environment(Endpoint(instance.spec.port), instance.spec.credentials)
        environment = target_environment(port=space.port, run_id=secrets.token_hex(8), services=services,
                                         extra=lab.server.env)
        say(f"{space.milestone} ({space.reason}), as the check left it")
        say(f"your server: http://127.0.0.1:{space.port}")
        for name in instances:
            say(f"look into it: labs connect {name} --failed")
        say("Ctrl-C ends it; the next labs check takes this space away\n")
        status = in_front(argv or found.run, found.folder, environment)
    return Outcome({"status": status, "milestone": space.milestone, "port": space.port}, exit_code=max(0, status))


def build_first(workspace: Workspace, budget: float, cache: Path) -> None:
    """Build what changed; ``UsageError`` with the tool's last lines if it cannot be built."""
    from orchestrator.errors import UsageError
    from orchestrator.target.build import build
    from orchestrator.target.process import TargetInvalid

    try:
        build(workspace, budget=budget, cache=cache, on_line=say)
    except TargetInvalid as error:
        raise UsageError(error.message, code=error.reason, details=error.log.splitlines()[-20:],
                         hint="labs run   (when it can be built)") from error


def in_front(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run a program in the foreground, with this terminal; its exit status, 130 if it was interrupted."""
    from orchestrator.errors import UsageError

    program = argv[0]
    path = str(folder / program) if "/" in program else shutil.which(program, path=environment.get("PATH", os.defpath))
    if path is None or not Path(path).is_file():
        raise UsageError(f"{program} was not found", code="program-missing", hint="labs run -- PROGRAM ARGUMENTS...")
    sys.stdout.flush()
    process = subprocess.Popen([path, *argv[1:]], cwd=folder, env=dict(environment))
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal told the program, too; a SIGTERM told only us.
        with contextlib.suppress(OSError):
            process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 130
