"""One run at a time, in a thread of its own, at a venue that stays warm; what happens is posted as events."""

from __future__ import annotations

import dataclasses
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Bug, LabsError, UsageError
from orchestrator.judge.request import RunRequest
from orchestrator.judge.supervisor import judge, prepare
from orchestrator.judge.venue import Venue
from orchestrator.model import Lab, Verdict, Workspace
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.timeline import Timeline
from orchestrator.system.interrupt import Cancel
from orchestrator.watch.events import Began, Event, Finished, MilestoneJudged, Noted, Phase, RunFailed
from orchestrator.watch.plan import make_plan
from orchestrator.workspace.content import content_key
from orchestrator.workspace.progress import read_passed, record_progress, record_timelines
from orchestrator.workspace.workspace_toml import read_workspace

END_BUDGET = 10.0
"""Seconds in which a run that is to end must have ended; closing the venue ends the rest."""
UNREMEMBERED = "your folder cannot be written, so what passes here is not remembered"


@dataclass(frozen=True, slots=True)
class Scene:
    """What stays the same from run to run."""

    folder: Path
    lab: Lab
    venue: Venue
    engine_reason: str
    cache: Path
    lab_commit: str = ""


class Runner:
    """Starts runs and ends them. ``start`` only when the run before has posted ``Finished``."""

    def __init__(self, scene: Scene, post: Callable[[Event], None]) -> None:
        self._scene = scene
        self._post = post
        self._cancel = Cancel()
        self._thread: threading.Thread | None = None
        self._timelines: dict[str, Timeline] = {}

    def start(self, milestone: str, *, ahead: bool) -> None:
        """Judge the folder as it is now; arguments as of ``make_plan``."""
        self._cancel = cancel = Cancel()
        self._thread = threading.Thread(target=self._run, args=(milestone, ahead, cancel), name="labs-watch-run",
                                        daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the run under way; ``Finished`` tells when it has ended."""
        self._cancel.ask()

    def end(self) -> None:
        """End the run under way, and wait for it."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(END_BUDGET)

    def _run(self, milestone: str, ahead: bool, cancel: Cancel) -> None:
        report = None
        try:
            report = self._judge(milestone, ahead, cancel)
        except LabsError as error:
            self._post(RunFailed(error))
        except Exception as error:
            trace = traceback.format_exc().splitlines() if os.environ.get("LABS_DEBUG") else []
            self._post(RunFailed(Bug(f"this is our mistake, not yours: {type(error).__name__}: {error}", details=trace,
                                  hint="LABS_DEBUG=1 labs watch   (shows where; please report it)")))
        finally:
            self._post(Finished(time.time(), report))

    def _judge(self, milestone: str, ahead: bool, cancel: Cancel) -> Report | None:
        scene = self._scene
        workspace = read_workspace(scene.folder)
        if workspace.lab != scene.lab.name:
            raise UsageError(f"workspace.toml is for the lab {workspace.lab!r} now, and {scene.lab.name!r} is watched",
                             hint="press q, then run labs watch again")
        content = content_key(workspace)
        plan = make_plan(scene.lab, read_passed(scene.folder, scene.lab), milestone=milestone, ahead=ahead)
        watched = plan.watched
        self._post(Began(content, watched.id if watched else "", watched.title if watched else ""))
        seed = secrets.randbelow(2**32)
        request = RunRequest(lab=scene.lab, workspace=workspace, milestones=plan.first(), seed=seed,
                             cache=scene.cache, lab_commit=scene.lab_commit)
        self._timelines = {}
        report = None
        if watched is not None:
            report = self._once(request, cancel, watched=True)
            if report.interrupted:
                return None
        if plan.passed and (report is None or _passed(report)):
            again = self._once(dataclasses.replace(request, milestones=plan.regression()), cancel, watched=False)
            if not again.interrupted:
                report = again if report is None else merged(report, again)
        if report is not None:
            self._remember(workspace, report, content)
        if watched is not None and not cancel.asked:
            prepare(scene.venue, watched)
        return report

    def _once(self, request: RunRequest, cancel: Cancel, *, watched: bool) -> Report:
        return judge(request, self._scene.venue, engine_reason=self._scene.engine_reason,
                     listener=_Posting(self._post, watched, self._timelines), cancel=cancel)

    def _remember(self, workspace: Workspace, report: Report, content: str) -> None:
        record_timelines(workspace.folder, self._timelines.values())
        if not record_progress(workspace.folder, report, content, self._scene.lab):
            self._post(Noted(UNREMEMBERED))


class _Posting:
    def __init__(self, post: Callable[[Event], None], watched: bool, timelines: dict[str, Timeline]) -> None:
        self._post = post
        self._watched = watched
        self._timelines = timelines

    def on_phase(self, milestone: str, phase: str) -> None:
        self._post(Phase(milestone, phase))

    def on_check(self, milestone: str, result: CheckResult) -> None:
        """The verdict comes soon enough."""

    def on_timeline(self, timeline: Timeline) -> None:
        self._timelines[timeline.milestone] = timeline

    def on_milestone(self, result: MilestoneResult) -> None:
        self._post(MilestoneJudged(result, self._watched, time.time()))


def merged(first: Report, second: Report) -> Report:
    """One report of two runs of the same content: what the second one judged stands in its place."""
    judged = {result.id: result for result in second.milestones}
    return dataclasses.replace(
        first, seconds=first.seconds + second.seconds,
        milestones=tuple(judged.get(result.id, result) for result in first.milestones),
    )


def _passed(report: Report) -> bool:
    return all(result.verdict is Verdict.PASS for result in report.milestones if result.role != "later")
