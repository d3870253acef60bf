"""``labs connect``."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.command import argument, command, engine_option, name_option, option
from orchestrator.cli.outcome import Outcome, say

if TYPE_CHECKING:
    from orchestrator.attach.services import RunServices
    from orchestrator.environments.started import Started
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.model import Instance


@command("connect")
@argument("service")
@option("-c", "--command", "statement", help="Run one statement and print the answer.")
@option("--url", is_flag=True, help="Print the service's URL, for a GUI client.")
@option("--failed", is_flag=True, help="As the last failed check left it, not the one that labs start runs.")
@option("--run", is_flag=True, envvar=None, help="As the labs run in another terminal uses it.")
@name_option
@engine_option
def cli(
    service: str, statement: str | None, url: bool, failed: bool, run: bool, name: str | None, engine: str | None
) -> Outcome:
    """Open a service's own client (psql, redis-cli), or else a simple prompt, as your server's user."""
    from orchestrator.cli.statement_prompt import greeting, prompt
    from orchestrator.cli.toolbox import environment_of, open_started
    from orchestrator.environments.readiness import answer_within
    from orchestrator.environments.specs import reached
    from orchestrator.errors import EnvironmentFault
    from orchestrator.model import Ready, State
    from orchestrator.services.base import Interactive
    from orchestrator.workspace.workspace_toml import read_folder

    with open_started(engine, quiet=True) as started:
        if failed:
            folder = read_folder(None).folder
            toolbox = started.where_failed(folder)
            instance = failed_instance(toolbox, folder, service)
        elif run:
            toolbox, instance = run_instance(started, service)
        else:
            note_run(started, service)
            chosen = environment_of(started, service, name)
            toolbox = started.where(chosen, service)
            instance = toolbox.environments.instance(chosen, service)
        spec, recipe = instance.spec, toolbox.recipe_of(instance.spec)
        endpoint = reached(spec)
        if url:
            values = recipe.environment(endpoint, spec.credentials)
            text = next((values[name] for name in recipe.urls), str(endpoint))
            return Outcome({"url": text}, text)
        runs = instance.state is State.RUNNING
        if not runs or not isinstance(answer_within(recipe, spec.endpoint, spec.credentials), Ready):
            raise EnvironmentFault(f"{recipe.title} does not run", code="not-started",
                                   hint="labs run" if run else f"labs start {spec.lab} {service}"
                                   + ("" if spec.name_given in ("", spec.lab) else f" --name {spec.name_given}"))
        if not isinstance(recipe, Interactive):
            raise EnvironmentFault(f"{recipe.title} has nothing that labs connect could open", code="not-interactive",
                                   hint=f"labs connect {service} --url")
        if statement is not None:
            answer = recipe.run_statement(endpoint, spec.credentials, statement)
            return Outcome({"answer": answer}, answer)
        clients = [(program, client) for client in recipe.client(endpoint, spec.credentials, None)
                   if (program := shutil.which(client.argv[0]))]
        if not clients and not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise EnvironmentFault(f"no client program for {recipe.title} is installed here", code="client-missing",
                                   hint=f"labs connect {service} -c STATEMENT")
    sys.stdout.flush()
    for program, client in clients:
        # The client takes our place: it owns the terminal, its signals and its exit status.
        os.execve(program, list(client.argv), {**os.environ, **client.env})  # noqa: S606 - a list, no shell
    say(greeting(recipe.title))
    prompt(service, lambda line: recipe.run_statement(endpoint, spec.credentials, line))
    return Outcome()


def failed_instance(toolbox: Toolbox, folder: Path, service: str) -> Instance:
    """A service of the space in which the last check of the folder failed."""
    from orchestrator.catalog.labs import find_lab
    from orchestrator.environments.failed import look_into
    from orchestrator.errors import LabsError, UsageError, did_you_mean
    from orchestrator.workspace.workspace_toml import read_workspace

    def needed(milestone: str) -> bool:
        try:
            return service in find_lab(read_workspace(folder).lab).milestone(milestone).services
        except LabsError:  # the lab has gone, or has changed
            return False

    instances = {one.spec.service: one for one in look_into(toolbox, folder, needed) if one.spec.node == 1}
    if service not in instances:
        hint = f"labs connect {next(iter(instances))} --failed" if instances else "labs run"
        near = did_you_mean(service, instances)
        raise UsageError(f"the space of the failed milestone has no service {service!r}{near}",
                         code="unknown-service", hint=hint)
    return instances[service]


def run_instance(started: Started, service: str) -> tuple[Toolbox, Instance]:
    """A service of the labs run that is under way for the folder we are in, or elsewhere the newest there is."""
    from orchestrator.errors import UsageError, did_you_mean

    found = under_way(started)
    if found is None:
        raise UsageError("no labs run with services of its own is under way", code="no-run",
                         hint="labs run   (in another terminal; after a failed check: labs connect SERVICE --failed)")
    instances = {one.spec.service: one for one in found.instances if one.spec.node == 1}
    if service not in instances:
        raise UsageError(f"labs run has not started {service!r}: it starts when your server asks for it"
                         f"{did_you_mean(service, instances)}", code="unknown-service",
                         hint=f"labs connect {next(iter(instances))} --run")
    return found.toolbox, instances[service]


def note_run(started: Started, service: str) -> None:
    """Two databases at once: whoever looks for their server's rows in the wrong one should know."""
    found = under_way(started)
    if found is not None and service in {one.spec.service for one in found.instances}:
        say(f"note: labs run has services of its own; to look into those: labs connect {service} --run")


def under_way(started: Started) -> RunServices | None:
    """What the newest labs run of the folder we are in has started; outside of any such folder, the newest of all."""
    from orchestrator.attach.services import run_services
    from orchestrator.workspace.workspace_toml import find_workspace

    folder = find_workspace(Path.cwd())
    return next((one for toolbox in started.toolboxes for one in run_services(toolbox, folder)), None)
