"""``labs clean``."""

from __future__ import annotations

from orchestrator.cli.command import command, confirm, dry_run_option, engine_option, name_option, yes_option
from orchestrator.cli.outcome import Outcome, say


@command("clean")
@name_option
@engine_option
@dry_run_option
@yes_option
def cli(name: str | None, engine: str | None, dry_run: bool, yes: bool) -> Outcome:
    """Remove services with all their data; only what labs made, and only yours."""
    from orchestrator.cli.live import Live
    from orchestrator.cli.toolbox import named_or_all, open_toolbox
    from orchestrator.environments.failed import remove_kept

    with open_toolbox(engine) as toolbox:
        names = named_or_all(toolbox, name)
        found = [instance for one in names for instance in toolbox.environments.instances(one)]
        kept = remove_kept(toolbox) if name is None and not dry_run else []
        if not found:
            text = f"removed {len(kept)} service(s) of a failed check" if kept else "nothing to remove"
            return Outcome({"removed": kept}, text)
        services = list(dict.fromkeys((instance.spec.name_given, instance.spec.service) for instance in found))
        for environment, service in services:
            say(f"  {environment}: {service} and its data")
        if dry_run:
            return Outcome({"plan": [instance.spec.name for instance in found]})
        confirm("Remove it?", yes=yes)
        with Live([instance.spec.service for instance in found]) as live:
            toolbox.environments.clean(names, on_progress=live.progress)
        removed = [*kept, *(instance.spec.name for instance in found)]
        return Outcome({"removed": removed}, f"removed {len(kept) + len(services)} service(s)")
