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
    from orchestrator.cli.session import Session
    from orchestrator.model import Lab, Owner, Workspace

GRACE = 5.0
"""Seconds between Ctrl-C and SIGKILL for a server that does not end."""
USUAL_PORT = 8080
"""Where a starter listens if nobody says anything else."""


@command("run")
@argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@option("--fresh", is_flag=True, help="On empty services, also if a failed check left its own.")
@option("--port", type=click.IntRange(1, 65535), help="For a server on empty services; else 8080 if free.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@engine_option
def cli(argv: tuple[str, ...], fresh: bool, port: int | None, workspace: Path | None, engine: str | None) -> Outcome:
    """Run your server, or a debugger, where the last check failed: same data, same port.

    The curl lines that `labs check` printed work as pasted, until the next check. Where no check has failed, the
    services are new and empty, and `labs check` in another terminal judges the server that runs. With a debugger:

    \b
    labs run -- python -m pdb server.py
    labs run -- dlv debug .
    """
    from orchestrator.catalog.labs import find_lab
    from orchestrator.cli.check_command import read_folder
    from orchestrator.cli.session import open_session
    from orchestrator.environments.failed import newest_failed
    from orchestrator.errors import UsageError
    from orchestrator.ownership import leases

    found = read_folder(workspace)
    lab = find_lab(found.lab)
    with open_session(engine) as session, leases.hold(
            session.home, engine=session.engine.info().key, environment=f"run-{secrets.token_hex(4)}",
            purpose="judge") as owner:
        failed = newest_failed(session, found.folder)
        if failed is None or fresh:
            return on_empty_services(session, owner, lab, found, argv or found.run, port)
        if port not in (None, failed.port):
            raise UsageError(f"where {failed.milestone} failed, your server has the check's port, {failed.port}",
                             hint=f"labs run --fresh --port {port}")
        return where_it_failed(session, owner, lab, found, argv or found.run)


def where_it_failed(session: Session, owner: Owner, lab: Lab, workspace: Workspace, argv: Sequence[str]) -> Outcome:
    """Run it on the services that the last failed check left, on that check's port."""
    from orchestrator import services
    from orchestrator.environments.failed import failed_space

    with failed_space(session, workspace.folder) as (space, instances):
        build_first(workspace, lab.server.build_budget, session.home.cache)
        refuse_busy(space.port)
        given = services.variables((session.recipes[name], one.spec.endpoint, one.spec.credentials)
                                   for name, one in instances.items())
        say(f"{space.milestone} ({space.reason}), as the check left it")
        say(f"your server: http://127.0.0.1:{space.port}")
        for name in instances:
            say(f"look into it: labs connect {name} --failed")
        say("Ctrl-C ends it; the next labs check takes this space away\n")
        status = in_front(argv, workspace.folder, server_environment(lab, space.port, given, owner))
    return Outcome({"status": status, "milestone": space.milestone, "port": space.port}, exit_code=max(0, status))


def on_empty_services(session: Session, owner: Owner, lab: Lab, workspace: Workspace, argv: Sequence[str],
                      port: int | None) -> Outcome:
    """Run it on services of its own, empty at first and gone afterwards; `labs check` may ask for a verdict."""
    from orchestrator.attach.host import Host
    from orchestrator.attach.judge import Judge
    from orchestrator.judge.supervisor import RunRequest
    from orchestrator.judge.venue import Venue
    from orchestrator.system.files import make_folder
    from orchestrator.system.ports import free_port

    refuse_busy(port)
    folder = make_folder(session.home.runs / owner.lease)
    with Venue(lab, engine=session.engine, recipes=session.recipes, owner=owner, folder=folder) as venue:
        venue.begin()
        build_first(workspace, lab.server.build_budget, session.home.cache)
        trouble = venue.opened()
        if trouble is not None:
            raise trouble
        venue.space.fresh()
        given, port = venue.space.environment(), port or free_port(prefer=USUAL_PORT)
        for service, missing in venue.missing.items():
            say(f"without {service}: {missing}")
        say(f"your server: http://127.0.0.1:{port}")
        for name in (name for need in lab.services for name in session.recipes[need.name].urls if name in given):
            say(f"{name}={given[name]}")
        say("judge it as it runs: labs check, in another terminal")
        say("Ctrl-C ends it, and its services with their data\n")
        request = RunRequest(lab, workspace, (), 0, session.home.cache)
        with Judge(venue, request, session.engine_reason, port) as judge, Host(folder, request, judge):
            status = in_front(argv, workspace.folder, server_environment(lab, port, given, owner))
    return Outcome({"status": status, "milestone": "", "port": port}, exit_code=max(0, status))


def refuse_busy(port: int | None) -> None:
    """``EnvironmentFault`` if somebody else listens on the port that the server must have."""
    from orchestrator.errors import EnvironmentFault
    from orchestrator.targets.health import listens

    if port is not None and listens(port):
        raise EnvironmentFault(f"port {port} is taken by another program, perhaps by another labs run",
                               code="port-busy", hint=f"lsof -i :{port}")


def server_environment(lab: Lab, port: int, services: Mapping[str, str], owner: Owner) -> dict[str, str]:
    """What the server gets from `labs check`, too. By the lease it is found should we be killed."""
    from orchestrator.targets.environ import target_environment

    return target_environment(port=port, run_id=owner.lease, services=services, extra=lab.server.env)


def build_first(workspace: Workspace, budget: float, cache: Path) -> None:
    """Build what changed; ``UsageError`` with the tool's last lines if it cannot be built."""
    from orchestrator.errors import UsageError
    from orchestrator.targets.build import build
    from orchestrator.targets.process import TargetInvalid

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
