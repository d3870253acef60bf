"""``labs status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.command import command, engine_option, name_option
from orchestrator.cli.outcome import Outcome, counted, table
from orchestrator.system.text import listed

if TYPE_CHECKING:
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.ownership.warm_spaces import WarmSpace


@command("status")
@name_option
@engine_option
def cli(name: str | None, engine: str | None) -> Outcome:
    """What runs, and where; also the services of a labs run, and what a failed check has left to be looked into."""
    from orchestrator.attach.services import run_services
    from orchestrator.cli.service_lines import address, faults_of, status_data
    from orchestrator.cli.toolbox import open_started
    from orchestrator.environments.failed import all_failed
    from orchestrator.environments.warm import idle

    with open_started(engine) as started:
        found = [(toolbox, status) for toolbox in started.toolboxes for status in toolbox.environments.status(name)]
        statuses = [status for _, status in found]
        runs = [(one, one.toolbox.environments.status_of(one.instances))
                for toolbox in started.toolboxes for one in (run_services(toolbox) if name is None else ())]
        broken = {s.instance.spec.name: words for toolbox, s in found
                  if (words := ", ".join(dict.fromkeys(one.kind for one in faults_of(toolbox, s))))}
        rows = [("ENVIRONMENT", "SERVICE", "STATE", "ADDRESS", "PRODUCT", *(["FAULT"] if broken else []))]
        rows += [
            (s.instance.spec.name_given or "(labs run)", s.instance.spec.service,
             _state(s.answer, str(s.instance.state)), address(s), str(s.product or ""),
             *([broken.get(s.instance.spec.name, "")] if broken else []))
            for s in [*statuses, *(status for _, found_there in runs for status in found_there)]
        ]
        text = table(rows) if len(rows) > 1 else "nothing is started\n\nnext: labs start databases"
        text += "".join(f"\n\nlabs run of {one.workspace}: labs connect SERVICE --run" for one, _ in runs)
        kept = [one for toolbox in started.toolboxes for one in all_failed(toolbox) if name in (None, one.lab)]
        for one in kept:
            text += (f"\n\nkept: {one.story}\n"
                     "      (labs connect SERVICE --failed; it ends with the next labs check there, or with labs stop)")
        warm = [(toolbox, one) for toolbox in started.toolboxes for one in idle(toolbox.home, toolbox.engine)
                if name in (None, one.lab)]
        for toolbox, space in warm:
            text += (f"\n\nwarm: {_warm(toolbox, space)}\n      (it ends by itself, or with labs stop)")
        return Outcome({"services": [status_data(*one) for one in found],
                        "runs": [{"workspace": one.workspace,
                                  "services": [status_data(one.toolbox, status) for status in found_there]}
                                 for one, found_there in runs],
                        "kept": [{"milestone": one.milestone, "workspace": one.workspace} for one in kept],
                        "warm": [{"lab": space.lab, "services": sorted(space.recipes),
                                  "seconds_left": round(space.seconds_left)} for _, space in warm]}, text)


def _warm(toolbox: Toolbox, space: WarmSpace) -> str:
    """What runs on, for which next check, with how much memory and until when."""
    recipes = [toolbox.recipes[name] for name in sorted(space.recipes) if name in toolbox.recipes]
    titles, memory = listed([one.title for one in recipes]), sum(one.memory * one.nodes for one in recipes)
    return (f"{titles or space.lab}, for the next labs check of {space.lab}, about {memory // 1_000_000} MB, "
            f"{counted(max(1, round(space.seconds_left / 60)), 'minute')} more")


def _state(answer: str, state: str) -> str:
    """``ready``, or the engine's word and, where it runs but does not answer, what it said."""
    return answer if state != "running" or answer == "ready" else f"running, but {answer}"
