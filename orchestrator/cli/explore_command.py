"""``labs explore``."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, engine_option, option
from orchestrator.cli.outcome import Outcome, paint
from orchestrator.cli.talker import Talker

if TYPE_CHECKING:
    from orchestrator.errors import UsageError
    from orchestrator.judge.showing import Showing
    from orchestrator.model import Lab, Milestone
    from orchestrator.report.explored import Discoveries
    from orchestrator.report.result import CheckResult, MilestoneResult, Report
    from orchestrator.report.terminal import Paint
    from orchestrator.report.timeline import Timeline

DETAIL_WIDTH = 78
"""Columns of a line below an error: two less than a terminal has at least."""


@command("explore")
@argument("milestone")
@option("--step", type=click.IntRange(min=1), help="Only this step of each request (default: every step).")
@option("--seed", type=click.IntRange(min=0), help="Repeat a run with the same values (default: random).")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@engine_option
def cli(
    milestone: str, step: int | None, seed: int | None, workspace: Path | None, engine: str | None,
) -> Outcome:
    """Show every step of a request, and what happens when it is interrupted there.

    A step is what your server sends to a service and the answer. labs starts your server and the services, sends a
    request, and stops it at each step in turn: your server is held while another request goes through, or it is
    killed, or its connection is cut. Then it looks at the stored data. This gives no verdict: a milestone passes
    only with `labs check`.
    """
    from orchestrator.catalog.commit import commit_of
    from orchestrator.catalog.labs import find_lab
    from orchestrator.cli.toolbox import open_toolbox
    from orchestrator.environments.warm import may_stay
    from orchestrator.judge.alone import explore_alone
    from orchestrator.judge.request import RunRequest
    from orchestrator.judge.showing import Showing
    from orchestrator.report.explored import to_data
    from orchestrator.system.home import find_home
    from orchestrator.workspace.progress import add_timelines
    from orchestrator.workspace.select import PlannedMilestone
    from orchestrator.workspace.workspace_toml import read_folder

    found = read_folder(workspace)
    lab = find_lab(found.lab)
    chosen = explorable(lab, milestone)
    showing = Showing(step or 0)
    request = RunRequest(
        lab, found, (PlannedMilestone(chosen, "asked"),), secrets.randbelow(2**32) if seed is None else seed,
        find_home().cache, commit_of(lab.folder), showing=showing)
    with open_toolbox(engine) as opened, _Quiet() as listener:
        report = explore_alone(request, opened, listener, warm=may_stay(os.environ))
    add_timelines(found.folder, listener.timelines)
    explored = explored_of(report, showing, chosen)
    if step is not None and explored.explorations and not explored.rows:
        raise no_such_step(explored)
    return Outcome(to_data(explored) | {"report": _report(report)}, text(report, explored), exit_code=report.exit_code)


def explorable(lab: Lab, name: str) -> Milestone:
    """The milestone of this name; ``UsageError`` if there is none, or if no check of it explores."""
    from orchestrator.catalog.labs import find_milestones
    from orchestrator.errors import UsageError
    from orchestrator.judge.showing import explores, that_explore
    from orchestrator.report.trace_terminal import cut

    found = find_milestones(lab, name)
    if len(found) == 1 and explores(found[0]):
        return found[0]
    others = that_explore(lab)
    if not others:
        raise UsageError(f"{lab.name} has no milestone that can be explored", code="explores-nothing",
                         hint=f"labs check {name}")
    near = next((one for one in others if one.track == found[0].track), others[0])
    wide = max(len(one.id) for one in others)
    one_asked = found[0].id == name
    raise UsageError(
        f"no request of {name} can be explored step by step" if one_asked
        else f"{name} has {len(found)} milestones; explore one of them",
        code="explores-nothing" if one_asked else "explore-one", hint=f"labs explore {near.id}",
        details=["these can be explored:", *(cut(f"{one.id:<{wide}}  {one.title}", DETAIL_WIDTH) for one in others)])


def explored_of(report: Report, showing: Showing, milestone: Milestone) -> Discoveries:
    """What was found, beside the run in which it was found."""
    from orchestrator.report.explored import Discoveries

    products = {name: str(product) for name, product in report.products.items()}
    return Discoveries(report.lab, milestone.id, milestone.title, report.seed, showing.step, report.seconds,
                       report.engine, products, tuple(showing.explorations))


def text(report: Report, explored: Discoveries) -> str:
    """For people: the explorations, and what stopped one of them; without any, why there are none."""
    from orchestrator.report import explored_terminal, terminal

    def painted(words: str, colour: str) -> str:
        return paint(words, colour, stream=sys.stdout)

    if not explored.explorations:
        return "\n".join(not_explored(report, explored.milestone, painted))
    width = shutil.get_terminal_size((80, 24)).columns
    stopped = [line for check in unexplored(report, explored) for line in terminal.check_lines(check, painted)]
    note = ["", "Stopped before the last step:", *stopped] if stopped else []
    return "\n".join([explored_terminal.render(explored, width=width, paint=painted), *note])


def not_explored(report: Report, milestone: str, painted: Paint) -> list[str]:
    """Why no request came to its first step, and what to do first; nothing of a verdict."""
    from orchestrator.model import Verdict
    from orchestrator.report import terminal

    if report.interrupted:
        return [f"{milestone} was not explored: it was stopped before the first step. Everything is cleaned up."]
    early = any(one.verdict in (Verdict.FAIL, Verdict.TIMEOUT) for one in report.milestones)
    lines = [f"{milestone} cannot be explored yet. This was wrong before the first step:" if early
             else f"{milestone} was not explored: no request came to its first step."]
    for one in report.milestones:
        lines += terminal.what_was_found(one, painted)
        if one.verdict in (Verdict.FAIL, Verdict.TIMEOUT):
            first = f"labs check {one.id}   (it judges first what this milestone needs)"
        else:
            first = one.advice
        lines += ["", f"{painted('next', 'cyan')}: {first}"] if first else []
    return lines


def unexplored(report: Report, explored: Discoveries) -> list[CheckResult]:
    """Checks that did not pass for another reason than what a row says."""
    from orchestrator.model import Verdict

    told = {one.check for one in explored.explorations for row in one.rows if row.broken is not None}
    return [check for one in report.milestones for check in one.checks
            if check.verdict is not Verdict.PASS and check.id not in told]


def no_such_step(explored: Discoveries) -> UsageError:
    """``--step`` is higher than any request has steps."""
    from orchestrator.errors import UsageError

    most = max(len(one.steps) for one in explored.explorations)
    return UsageError(f"nothing is tried at step {explored.step}; the longest request has {most} "
                      f"step{'' if most == 1 else 's'}", code="unknown-step", hint=f"labs explore {explored.milestone}")


def _report(report: Report) -> object:
    from orchestrator.report.json import to_data

    return to_data(report)


class _Quiet(Talker):
    """Says where the run is, and no verdict; keeps the time lines."""

    def __init__(self) -> None:
        super().__init__()
        self.timelines: list[Timeline] = []

    def __enter__(self) -> _Quiet:
        super().__enter__()
        return self

    def on_timeline(self, timeline: Timeline) -> None:
        self.timelines = [timeline]

    def on_milestone(self, result: MilestoneResult) -> None:
        """It has no verdict here."""
