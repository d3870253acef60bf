"""One place where servers meet a lab's checks: a warm venue, and a built copy of each accepted solution."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.errors import LabsError
from orchestrator.judge.request import RunRequest
from orchestrator.judge.supervisor import judge
from orchestrator.judge.venue import Venue
from orchestrator.model import Verdict, Workspace
from orchestrator.report.lab_proof import CHANGED, Seen
from orchestrator.report.result import BLAMED, CheckResult, MilestoneResult
from orchestrator.report.timeline import Timeline
from orchestrator.system.interrupt import Cancel
from orchestrator.verify.case import Case, Observed
from orchestrator.verify.front import Config
from orchestrator.verify.observe import read_recording
from orchestrator.verify.solutions import Patch, Solutions, apply, restore
from orchestrator.workspace.select import PlannedMilestone
from orchestrator.workspace.workspace_toml import read_workspace

INTO_THE_CHECKS = 0.3
"""Seconds after which a service is ended in the middle of a milestone."""
OURS = ("-I", "-m")
EFFECT = "effect"
"""A file that the front makes when it changes something."""


class Stand:
    """Meets one case after the other. ``folder`` is its own; ``cancel`` ends the case under way."""

    def __init__(self, venue: Venue, *, solutions: Solutions, folder: Path, cache: Path, templates: tuple[str, ...],
                 seed: int) -> None:
        self.venue = venue
        self.cancel = Cancel()
        self._solutions = solutions
        self._folder = folder
        self._cache = cache
        self._templates = templates
        self._seed = seed

    def meet(self, case: Case) -> tuple[dict[str, Seen], Observed | None]:
        """What each milestone of the case said, and with a front that only looks what it saw."""
        record = self._folder / "recording.jsonl"
        record.unlink(missing_ok=True)
        effect = self._folder / EFFECT
        listener = _FirstBlame(self.cancel, stop_early=not case.all_checks)
        with self._workspace(case, record) as workspace:
            if case.kind in CHANGED:
                # The milestones one by one: the first that notices is enough.
                seen: dict[str, Seen] = {}
                for milestone in case.milestones:
                    effect.unlink(missing_ok=True)
                    seen |= self._judge(case, workspace, (milestone,), listener)
                    if case.change is not None and not effect.exists():
                        seen[milestone] = dataclasses.replace(seen[milestone], effect=False)
                    if seen[milestone].verdict in (*BLAMED, Verdict.ERROR):
                        break
                return seen, None
            with self._outage(case, listener):
                seen = self._judge(case, workspace, case.milestones, listener)
        if case.kind != "front":
            return seen, None
        # A service that a milestone is not about may be spoilt without anything to notice.
        services = self.venue.lab.milestone(case.milestone).services
        return seen, read_recording(record, self._templates, listener.timelines, services)

    def _judge(self, case: Case, workspace: Workspace, milestones: tuple[str, ...],
               listener: _FirstBlame) -> dict[str, Seen]:
        lab = self.venue.lab
        listener.begin()
        planned = tuple(PlannedMilestone(lab.milestone(one), "asked") for one in milestones)
        request = RunRequest(lab, workspace, planned, self._seed if case.seed is None else case.seed, self._cache,
                             shuffle="shuffled" in case.variants,
                             only={one: case.checks[one] for one in milestones if one in case.checks})
        report = judge(request, self.venue, engine_reason="a proof", listener=listener, cancel=listener.cancel)
        self.cancel.look()
        return {one.id: seen_of(one, listener.failed) for one in report.milestones}

    # --- servers -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _workspace(self, case: Case, record: Path) -> Iterator[Workspace]:
        if case.kind == "junk":
            words = [case.server, *(["healthy"] if "healthy" in case.variants else [])]
            yield self._program(sys.executable, *OURS, "orchestrator.verify.junk", *words)
        elif case.kind == "starter":
            yield self._starter(case.server) if case.server else self._program(sys.executable, "-c", "")
        else:
            folder, source = self.copy_of(case.server), self._solutions.folder / "accepted" / case.server
            changed: list[str] = []
            try:
                if case.patch:
                    changed = apply(folder, Patch(case.id, case.patch, case.server, case.story))
                workspace = read_workspace(folder)
                yield self._behind_front(workspace, case, record)
            finally:
                restore(folder, source, changed)

    def copy_of(self, accepted: str) -> Path:
        """This stand's own copy of an accepted solution: what is built in it stays from case to case."""
        return copy_accepted(self._solutions, accepted, self._folder)

    def _program(self, *words: str) -> Workspace:
        folder = self._folder / "program"
        folder.mkdir(exist_ok=True)
        return Workspace(folder, self.venue.lab.name, (), words)

    def _starter(self, language: str) -> Workspace:
        folder = self._folder / f"starter-{language}"
        if not folder.exists():
            shutil.copytree(self.venue.lab.folder / "starter" / language, folder, symlinks=True)
        return read_workspace(folder)

    def _behind_front(self, workspace: Workspace, case: Case, record: Path) -> Workspace:
        front = case.kind == "front" or case.change is not None or (case.kind == "variant" and case.variants)
        if not front:
            return workspace
        config = Config(self._templates, case.change, case.variants, record if case.kind == "front" else None,
                        self._folder / EFFECT if case.change else None)
        run = (sys.executable, *OURS, "orchestrator.verify.front", config.text(), "--", *workspace.run)
        return dataclasses.replace(workspace, run=run)

    # --- outages -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _outage(self, case: Case, listener: _FirstBlame) -> Iterator[None]:
        """The case's service ends before the run, or in the middle of each attempt; nobody heals it."""
        timers: list[threading.Timer] = []
        if case.kind == "outage":
            self.venue.begin({case.service})
            self.venue.opened()
            if "before" in case.variants:
                self._end_service(case.service)
            else:
                def strike() -> None:
                    timers.append(threading.Timer(INTO_THE_CHECKS, self._end_service, (case.service,)))
                    timers[-1].start()

                listener.on_checks = strike
        try:
            yield
        finally:
            listener.on_checks = None
            for timer in timers:
                timer.cancel()
                timer.join()

    def _end_service(self, service: str) -> None:
        owner = self.venue.owner
        for one in self.venue.engine.list(user=owner.user, installation=owner.installation):
            if one.spec.service == service and one.spec.owner.environment == owner.environment:
                with contextlib.suppress(LabsError):
                    self.venue.engine.kill(one.spec.name)


class _FirstBlame:
    """Ends a run at the first check that blames the server, where that is enough; keeps what was recorded."""

    def __init__(self, outer: Cancel, *, stop_early: bool) -> None:
        self._outer = outer
        self._stop_early = stop_early
        self.cancel = outer
        self.failed: CheckResult | None = None
        self.timelines: list[Timeline] = []
        self.on_checks: Callable[[], None] | None = None

    def begin(self) -> None:
        """Before each run: a wish to end that was for the last one is over."""
        self.cancel = _Either(self._outer) if self._stop_early else self._outer
        self.failed = None

    def on_phase(self, _milestone: str, phase: str) -> None:
        if phase == "checks" and self.on_checks is not None:
            self.on_checks()

    def on_check(self, _milestone: str, result: CheckResult) -> None:
        if self._stop_early and self.failed is None and str(result.verdict) in BLAMED:
            self.failed = result
            self.cancel.ask()

    def on_timeline(self, timeline: Timeline) -> None:
        self.timelines.append(timeline)

    def on_milestone(self, result: MilestoneResult) -> None:
        """The report has it."""


class _Either(Cancel):
    """Ends one run; the wish to end all of them ends it, too."""

    def __init__(self, outer: Cancel) -> None:
        super().__init__()
        self._all = outer

    @property
    def asked(self) -> bool:
        return super().asked or self._all.asked

    def look(self) -> None:
        self._all.look()
        super().look()


def copy_accepted(solutions: Solutions, name: str, into: Path) -> Path:
    """The accepted solution's copy in a folder, made if it is not there."""
    folder = into / name
    if not folder.exists():
        shutil.copytree(solutions.folder / "accepted" / name, folder, symlinks=True)
    return folder


def seen_of(result: MilestoneResult, stopped_at: CheckResult | None = None) -> Seen:
    """What of a result a proof keeps. ``stopped_at``: the check after which the run was ended on purpose."""
    first = stopped_at if stopped_at is not None and result.reason == "interrupted" else next(
        (one for one in result.checks if one.verdict is result.verdict and one.verdict is not Verdict.PASS), None)
    seconds = sum(result.phases.values())
    passed = tuple(one.id for one in result.checks if one.verdict is Verdict.PASS)
    if first is None:
        return Seen(str(result.verdict), result.reason, "", result.message, passed_checks=passed, seconds=seconds,
                    attempts=result.attempts, phases=dict(result.phases))
    return Seen(str(first.verdict), first.reason, first.id, first.what, first.expected, first.seen, passed, seconds,
                result.attempts, dict(result.phases))

