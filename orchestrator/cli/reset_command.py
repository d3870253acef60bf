"""``labs reset``."""

from __future__ import annotations

from orchestrator.cli.command import (
    argument,
    command,
    confirm_loss,
    dry_run_option,
    engine_option,
    name_option,
    yes_option,
)
from orchestrator.cli.outcome import Outcome, say


@command("reset")
@argument("service", required=False)
@name_option
@engine_option
@dry_run_option
@yes_option
def cli(service: str | None, name: str | None, engine: str | None, dry_run: bool, yes: bool) -> Outcome:
    """Delete the data of a service, or of all; what ran runs again, empty, at the same address."""
    from orchestrator.cli.live import Live
    from orchestrator.cli.toolbox import environment_name, open_started, service_or_environment

    with open_started(engine) as started:
        service, name = service_or_environment(started, service, name)
        chosen = environment_name(started, name)
        toolbox = started.where(chosen, service)
        plan = toolbox.environments.plan_reset(chosen, service)
        if dry_run or not plan.operations:
            return Outcome({"plan": [str(operation) for operation in plan.operations]}, str(plan))
        services = sorted({operation.service for operation in plan.operations})
        say(f"all data of {', '.join(services)} in the environment {chosen} will be deleted")
        words = [word for word in ("labs reset", service, f"--name {chosen}", "--yes") if word]
        confirm_loss("Delete it?", yes=yes, command=" ".join(words))
        with Live(services) as live:
            toolbox.environments.reset(chosen, service, on_progress=live.progress)
        return Outcome({"reset": services}, f"{', '.join(services)}: empty now")
