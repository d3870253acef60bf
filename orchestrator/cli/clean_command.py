"""``labs clean``."""

from __future__ import annotations

from orchestrator.cli.command import command, confirm_loss, dry_run_option, engine_option, name_option, yes_option
from orchestrator.cli.outcome import Outcome, counted, say


@command("clean")
@name_option
@engine_option
@dry_run_option
@yes_option
def cli(name: str | None, engine: str | None, dry_run: bool, yes: bool) -> Outcome:
    """Remove services with all their data; only what labs made, and only yours."""
    from orchestrator.cli.live import Live
    from orchestrator.cli.toolbox import named_or_all, open_started
    from orchestrator.environments.failed import all_failed, remove_kept
    from orchestrator.environments.warm import end_all, idle

    with open_started(engine) as started:
        names = named_or_all(started, name)
        found = [instance for one in names for instance in started.instances(one)]
        failed = [space for toolbox in started.toolboxes for space in all_failed(toolbox)] if name is None else []
        warm = [one for toolbox in started.toolboxes for one in idle(toolbox.home, toolbox.engine)
                ] if name is None else []
        if not found and not failed and not warm:
            return Outcome({"removed": []}, "nothing to remove")
        services = list(dict.fromkeys((instance.spec.name_given, instance.spec.service) for instance in found))
        for environment, service in services:
            say(f"  {environment}: {service} and its data")
        for space in failed:
            say(f"  {space.lab}: {space.story}")
        for one in warm:
            say(f"  {one.lab}: what runs on for the next labs check")
        if dry_run:
            planned = [*(instance.spec.name for instance in found), *(space.environment for space in failed),
                       *(one.environment for one in warm)]
            return Outcome({"plan": planned})
        confirm_loss("Remove it?", yes=yes, command=f"labs clean {f'--name {name} ' if name else ''}--yes")
        kept = [one for toolbox in started.toolboxes for one in remove_kept(toolbox)] if failed else []
        ended = [one for toolbox in started.toolboxes for one in end_all(toolbox.home, toolbox.engine)] if warm else []
        with Live([instance.spec.service for instance in found]) as live:
            for toolbox, here in started.each(names):
                toolbox.environments.clean(here, on_progress=live.progress)
        removed = [*kept, *ended, *(instance.spec.name for instance in found)]
        parts = [counted(len(services), "service")] if services else []
        parts += [counted(len(failed), "failed milestone")] if kept else []
        parts += ["what ran on for the next labs check"] if ended else []
        return Outcome({"removed": removed}, f"removed {' and '.join(parts) or 'nothing'}")
