"""The report: one versioned result of a run. Every output format is rendered from it and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.model import Product, Verdict

BLAMED = frozenset({Verdict.FAIL, Verdict.TIMEOUT, Verdict.INVALID})
"""Verdicts that say something bad about the server; as text, too."""

REPORT_VERSION = 1
LOCAL = "local, not isolated"
ATTACHED = "local, attached to labs run"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The HTTP exchange that a failure is about, shortened; ``curl`` repeats it by hand."""

    method: str
    path: str
    request: str
    status: int | None
    response: str
    curl: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check. ``reason`` is the stable id; ``what``, ``expected`` and ``seen`` complete the message."""

    id: str
    title: str
    verdict: Verdict
    seconds: float
    reason: str = ""
    what: str = ""
    expected: str = ""
    seen: str = ""
    where: str = ""
    evidence: tuple[str, ...] = ()
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class MilestoneResult:
    """One milestone. ``phases`` are seconds by phase (space, start, checks, ...); log tails are escaped when shown."""

    id: str
    title: str
    verdict: Verdict
    role: str
    """``next``, ``regression``, ``asked``, ``need``, or ``later`` (not run)."""
    checks: tuple[CheckResult, ...] = ()
    reason: str = ""
    message: str = ""
    advice: str = ""
    brief: str = ""
    """Path of what the learner reads about it."""
    points: int = 0
    attempts: int = 1
    phases: Mapping[str, float] = field(default_factory=dict)
    port: int = 0
    """On which the server was asked, in its last attempt; 0: it was never started."""
    server_log: str = ""
    service_logs: Mapping[str, str] = field(default_factory=dict)
    logs_of_failure: bool = False
    """Both logs end at the first check that blamed the server; else at the server's end."""
    again: str = ""
    """Why it was judged once more, where that was no error: ``redis had to be started first``."""


@dataclass(frozen=True, slots=True)
class Report:
    """A run of checks. Times are RFC 3339 UTC, durations seconds. ``isolation`` is ``LOCAL`` or ``ATTACHED``."""

    lab: str
    lab_version: str
    lab_commit: str
    labs_version: str
    seed: int
    started_at: str
    seconds: float
    engine: str
    engine_reason: str
    isolation: str
    products: Mapping[str, Product]
    milestones: tuple[MilestoneResult, ...]
    interrupted: bool = False

    @property
    def attached(self) -> bool:
        """Whether a server was judged that `labs run` had started: not surely the one in the folder, so no progress."""
        return self.isolation == ATTACHED

    @property
    def exit_code(self) -> int:
        """0 passed · 1 a milestone failed · 3 machinery · 5 nothing checked · 130 interrupted."""
        ran = [m for m in self.milestones if m.role != "later"]
        verdicts = {m.verdict for m in ran}
        if self.interrupted:
            return 130
        if verdicts & BLAMED:
            return 1
        if verdicts & {Verdict.ERROR, Verdict.UNJUDGED}:
            return 3
        if Verdict.PASS not in verdicts:
            return 5
        return 0
