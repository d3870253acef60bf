"""One `labs check`: what is judged, by the `labs run` that runs this server already or else alone, and remembered."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from orchestrator.attach import host
from orchestrator.environments.toolbox import Toolbox
from orchestrator.judge.alone import judge_alone
from orchestrator.judge.attempt import Listener
from orchestrator.judge.forking import ForkServer
from orchestrator.judge.request import RunRequest
from orchestrator.model import Lab, Milestone, Workspace
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.timeline import Timeline
from orchestrator.system.home import find_home
from orchestrator.workspace.content import content_key
from orchestrator.workspace.progress import read_progress, record_progress, record_timelines
from orchestrator.workspace.select import PlannedMilestone, select
from orchestrator.workspace.tracks import own_part


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What to judge. ``asked``: milestones by name; none: the next one and those that passed. ``seed``: to repeat.

    ``only``: no regression and no needs beside it.
    """

    lab: Lab
    lab_commit: str
    workspace: Workspace
    asked: Sequence[Milestone] = ()
    everything: bool = False
    seed: int | None = None
    only: bool = False
    keep_failed: bool = True
    judges: int | None = None
    """Milestones at a time; ``None``: as the machine allows."""
    forks: ForkServer | None = None
    """Where pytest's children come from, if that was begun before."""


def check(order: CheckOrder, open_toolbox: Callable[[], AbstractContextManager[Toolbox]],
          listener: Listener, planned: Callable[[Sequence[PlannedMilestone]], None] = lambda _: None,
          ) -> tuple[Report, bool]:
    """The report, and whether the workspace remembers it. A toolbox is opened only if it is judged alone.

    ``planned`` is told what will be judged, before it begins.
    """
    lab, folder = order.lab, order.workspace.folder
    content = content_key(order.workspace)
    part = lab if order.asked else own_part(lab, order.workspace)
    chosen = select(part, passed=read_progress(folder, lab), asked=order.asked, everything=order.everything,
                    content=content, only=order.only)
    planned(tuple(one for one in chosen if one.role != "later"))
    home = find_home()
    request = RunRequest(lab=lab, workspace=order.workspace, milestones=chosen, lab_commit=order.lab_commit,
                         seed=secrets.randbelow(2**32) if order.seed is None else order.seed, cache=home.cache)
    keeping = _Keeping(listener)
    report = host.ask(home, request, keeping)
    if report is None:
        with open_toolbox() as toolbox:
            report = judge_alone(request, toolbox, keeping, keep_failed=order.keep_failed, judges=order.judges,
                                 forks=order.forks)
    record_timelines(folder, keeping.timelines.values())
    return report, record_progress(folder, report, content, lab)


class _Keeping:
    """A listener that keeps the time lines; the one of a second attempt at a milestone replaces the first."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.timelines: dict[str, Timeline] = {}

    def on_phase(self, milestone: str, phase: str) -> None:
        self._listener.on_phase(milestone, phase)

    def on_check(self, milestone: str, result: CheckResult) -> None:
        self._listener.on_check(milestone, result)

    def on_timeline(self, timeline: Timeline) -> None:
        self.timelines[timeline.milestone] = timeline
        self._listener.on_timeline(timeline)

    def on_milestone(self, result: MilestoneResult) -> None:
        self._listener.on_milestone(result)
