"""``labs clean``."""

from __future__ import annotations

from orchestrator.cli.command import command, confirm_loss, dry_run_option, engine_option, name_option, yes_option
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
    from orchestrator.environments.failed import all_failed, remove_kept

    with open_toolbox(engine) as toolbox:
        names = named_or_all(toolbox, name)
        found = [instance for one in names for instance in toolbox.environments.instances(one)]
        failed = all_failed(toolbox) if name is None else []
        if not found and not failed:
            return Outcome({"removed": []}, "nothing to remove")
        services = list(dict.fromkeys((instance.spec.name_given, instance.spec.service) for instance in found))
        for environment, service in services:
            say(f"  {environment}: {service} and its data")
        for space in failed:
            say(f"  {space.lab}: what {space.milestone} left when it failed, in {space.workspace}")
        if dry_run:
            planned = [*(instance.spec.name for instance in found), *(space.environment for space in failed)]
            return Outcome({"plan": planned})
        confirm_loss("Remove it?", yes=yes, command=f"labs clean {f'--name {name} ' if name else ''}--yes")
        kept = remove_kept(toolbox) if failed else []
        with Live([instance.spec.service for instance in found]) as live:
            toolbox.environments.clean(names, on_progress=live.progress)
        removed = [*kept, *(instance.spec.name for instance in found)]
        parts = [_counted(len(services), "service"), _counted(len(failed), "failed milestone") if kept else ""]
        return Outcome({"removed": removed}, f"removed {' and '.join(part for part in parts if part) or 'nothing'}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}" if count else ""
