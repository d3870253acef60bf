"""Listeners of runs."""

from __future__ import annotations

from orchestrator.report.result import CheckResult, MilestoneResult
from orchestrator.report.timeline import Timeline


class Quiet:
    """Hears and says nothing."""

    def on_phase(self, milestone: str, phase: str) -> None: ...

    def on_check(self, milestone: str, result: CheckResult) -> None: ...

    def on_timeline(self, timeline: Timeline) -> None: ...

    def on_milestone(self, result: MilestoneResult) -> None: ...
