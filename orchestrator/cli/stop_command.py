"""``labs stop``."""

from __future__ import annotations

from orchestrator.cli.command import argument, command, engine_option, name_option
from orchestrator.cli.outcome import Outcome, counted


@command("stop")
@argument("service", required=False)
@name_option
@engine_option
def cli(service: str | None, name: str | None, engine: str | None) -> Outcome:
    """Stop services; data, ports and passwords are kept."""
    from orchestrator.cli.live import Live
    from orchestrator.cli.toolbox import named_or_all, open_started, service_or_environment
    from orchestrator.environments.failed import remove_kept
    from orchestrator.environments.warm import end_all

    with open_started(engine) as started:
        service, name = service_or_environment(started, service, name)
        names = named_or_all(started, name)
        stopped: list[str] = []
        removed: list[str] = []
        warm: list[str] = []
        count = 0
        for toolbox, here in started.each(names):
            found = {i.spec.name: (n, i.spec.service) for n in here for i in toolbox.environments.instances(n)}
            with Live([one for _, one in found.values()]) as live:
                plan = toolbox.environments.stop(here, service, on_progress=live.progress)
            ended = [operation.name for operation in plan.changes]
            stopped += ended
            if name is None and service is None:
                removed += remove_kept(toolbox)
                warm += end_all(toolbox.home, toolbox.engine)
            # All nodes of a service are one service to people.
            count += len({found[one] for one in ended if one in found})
        lines = [f"stopped {counted(count, 'service')}; data is kept"] if stopped else []
        if removed:
            lines.append("what the last failed check left to look into is gone")
        if warm:
            lines.append("what ran on for the next labs check is gone; that one starts anew")
        return Outcome({"stopped": stopped, "removed": [*removed, *warm]}, "\n".join(lines) or "nothing was running")
