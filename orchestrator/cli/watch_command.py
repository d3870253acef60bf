"""``labs watch``."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import command, engine_option, option
from orchestrator.cli.outcome import Outcome, paint, say
from orchestrator.errors import EnvironmentFault

if TYPE_CHECKING:
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.model import Lab, Workspace
    from orchestrator.watch.events import Event
    from orchestrator.watch.loop import Loop
    from orchestrator.watch.run import Scene

BUSY = "is watching this folder already"


@command("watch")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@engine_option
def cli(workspace: Path | None, engine: str | None) -> Outcome:
    """Judge the next milestone on every save, until you press q.

    The services stay up from run to run. Keys: n the next milestone, h a hint, t the trace, l your server's log, r
    judge again, q quit; space, b and the arrows scroll. Into a pipe it writes plain lines, until Ctrl-C.
    """
    from orchestrator.report.json import to_data
    from orchestrator.workspace.workspace_toml import read_folder

    found = read_folder(workspace)
    as_json = bool(click.get_current_context().params.get("as_json"))
    code, loop = watch(found, engine=engine, as_json=as_json)
    data = {"runs": loop.runs, "report": to_data(loop.report) if loop.report else None}
    return Outcome(data, exit_code=code, errors=_errors(code, found.folder))


def watch(workspace: Workspace, *, engine: str | None, as_json: bool = False) -> tuple[int, Loop]:
    """Hold what a watch needs, watch, and let go of it; the exit code and what was seen."""
    from orchestrator.catalog.labs import find_lab
    from orchestrator.cli.toolbox import open_toolbox
    from orchestrator.ownership.leases import lock
    from orchestrator.watch.events import Pressed
    from orchestrator.watch.files import Watcher
    from orchestrator.watch.keys import Keys
    from orchestrator.watch.loop import Loop, signals_to
    from orchestrator.watch.run import Runner
    from orchestrator.watch.show import Lines, Screen, can_draw
    from orchestrator.watch.view import View
    from orchestrator.workspace.tracks import own_part

    lab = own_part(find_lab(workspace.lab), workspace)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with ExitStack() as stack:
        toolbox = stack.enter_context(open_toolbox(engine))
        stack.enter_context(lock(toolbox.home, watch_name(workspace.folder), wait=0, doing=BUSY,
                                 hint="labs check   (works beside it)"))
        scene = stack.enter_context(_scene(toolbox, workspace, lab))
        # From here on a signal is an event; what was entered before is left in order.
        stack.enter_context(signals_to(events.put))
        stack.callback(partial(scene.venue.close, in_order=True))
        runner = Runner(scene, events.put)
        stack.callback(runner.end)
        watcher = stack.enter_context(Watcher(workspace, events.put))
        drawing = can_draw(sys.stdout) and not as_json
        keys = Keys(sys.stdin.fileno() if drawing else -1, lambda key: events.put(Pressed(key)))
        stack.enter_context(keys)
        show = (Screen(sys.stdout, keys=keys.there, paint=lambda text, colour: paint(text, colour, stream=sys.stdout))
                if drawing else Lines(sys.stderr if as_json else sys.stdout, say))
        loop = Loop(key=watcher.key, view=View(workspace.folder.name), runner=runner, keys=keys, show=show,
                    events=events, panels={
                        "log": lambda: ["your server's output:", *scene.venue.server_log(200).splitlines()],
                        "hint": lambda: show_hint(workspace, loop.milestone),
                        "trace": lambda: show_trace(workspace, loop.milestone),
                    })
        return loop.run(), loop


@contextmanager
def _scene(toolbox: Toolbox, workspace: Workspace, lab: Lab) -> Iterator[Scene]:
    """The venue under a lease of its own; its services are started at the first run."""
    from orchestrator.catalog.commit import commit_of
    from orchestrator.environments.toolbox import held
    from orchestrator.environments.warm import may_stay
    from orchestrator.judge.venue import Venue
    from orchestrator.judge.warmth import Warmth
    from orchestrator.watch.run import Scene

    warmth = Warmth(toolbox.home, toolbox.engine, lab.name) if may_stay(os.environ) else None
    with held(toolbox, "watch") as (owner, folder), Venue(
            lab, engine=toolbox.engine, recipes=toolbox.recipes, owner=owner, folder=folder, warmth=warmth) as venue:
        yield Scene(workspace.folder, lab, venue, toolbox.engine_reason, toolbox.home.cache, commit_of(lab.folder))


def watch_name(folder: Path) -> str:
    """The lock's name: one watch in a folder at a time, whatever way leads to it."""
    return "watch-" + hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def show_hint(workspace: Workspace, milestone: str) -> Sequence[str]:
    """What the key h shows: one more hint each time it is pressed, below those before, so that none is lost."""
    from orchestrator.cli.hints import hint

    found = hint(workspace, milestone or None)
    found.after()
    return found.text.splitlines()


def show_trace(workspace: Workspace, milestone: str) -> Sequence[str]:
    """What the key t shows: the last run's time line, as wide as the terminal."""
    from orchestrator.report.trace_terminal import render
    from orchestrator.workspace.progress import read_timelines

    timeline = read_timelines(workspace.folder).get(milestone)
    if timeline is None:
        return ["nothing was recorded of this milestone yet"]
    return render(timeline, width=shutil.get_terminal_size((80, 24)).columns).splitlines()


def _errors(code: int, folder: Path) -> tuple[EnvironmentFault, ...]:
    if code == 3:
        return (EnvironmentFault(f"{folder} is not there any more", code="workspace-gone"),)
    if code == 130:
        return (EnvironmentFault("stopped; everything is cleaned up", code="interrupted"),)
    return ()
