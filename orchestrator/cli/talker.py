"""How far a run of checks is, on standard error: one line each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchestrator.cli.outcome import paint, say

if TYPE_CHECKING:
    from orchestrator.report.result import CheckResult, MilestoneResult
    from orchestrator.report.timeline import Timeline


class Talker:
    """A ``Listener`` that says what it hears."""

    def on_phase(self, milestone: str, phase: str) -> None:
        """A phase of a milestone's attempt begins (``build``, ``space``, ``start``, ``checks``)."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{milestone}: {phase} ...")
            sys.stderr.flush()

    def on_check(self, milestone: str, result: CheckResult) -> None:
        """A check has finished; the report will show it."""

    def on_timeline(self, timeline: Timeline) -> None:
        """What was recorded of an attempt; `labs trace` will show it."""

    def on_milestone(self, result: MilestoneResult) -> None:
        """A milestone has its verdict."""
        from orchestrator.report.terminal import milestone_line

        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K")
        say(milestone_line(result, paint))
