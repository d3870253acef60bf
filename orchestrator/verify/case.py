"""What a proof plans, and how it judges what it sees. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.report.lab_proof import RIGHT, Kind, Seen
from orchestrator.report.result import BLAMED
from orchestrator.verify.changes import Change


@dataclass(frozen=True, slots=True)
class Case:
    """One server that meets the checks of ``milestones``, in this order.

    ``server`` names where it comes from: an accepted solution, a starter's language, a kind of junk. ``patch`` is the
    text of a wrong solution or a variant. ``milestone`` is the one that the case is about; ``reason`` its reason id.
    """

    id: str
    kind: Kind
    server: str
    milestones: tuple[str, ...]
    milestone: str = ""
    reason: str = ""
    patch: str = ""
    change: Change | None = None
    variants: tuple[str, ...] = ()
    service: str = ""
    """For an outage: which service ends."""
    story: str = ""
    seed: int | None = None
    all_checks: bool = True
    """Whether the first check that fails is not yet enough."""
    checks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Milestone -> ids of its checks that could notice; one that is not named here has all of them tried."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a milestone's checks made a right server do: its answers by route, what its services recorded."""

    answers: tuple[tuple[str, int, tuple[tuple[str, str], ...], str], ...] = ()
    """``(route, status, headers, body)``: of each route and status the richest."""
    records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Service -> texts of what it recorded."""
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``"POST /orders 201"`` -> ids of the checks that got such an answer; empty if not all requests were kept."""


def answer_of(route: str, status: int | None) -> str:
    """The key of ``Observed.asked``."""
    return f"{route} {status}"


def judged(case: Case, seen: Mapping[str, Seen]) -> str:
    """Why what was seen is not what the case must show; ``""`` if it is."""
    broken = [f"{name}: {one.reason}: {one.what}" for name, one in seen.items() if one.verdict in ("error", "unjudged")]
    if case.kind == "outage":
        blamed = [f"{name} said {one.verdict} ({one.reason})" for name, one in seen.items() if one.verdict in BLAMED]
        return f"the service was ended by us, and the server is blamed: {'; '.join(blamed)}" if blamed else ""
    if broken:
        return f"a check or the machinery broke: {'; '.join(broken)}"
    if case.kind in RIGHT:
        rejected = "; ".join(
            f"rejected at {name}, {one.verdict} ({one.reason}): {one.what}: expected {one.expected}, seen {one.got}"
            for name, one in seen.items() if one.verdict != "pass")
        return f"their order matters, the checks were shuffled: {rejected}" if rejected and case.kind == "order" else (
            rejected)
    if case.kind in ("starter", "junk"):
        passed = [name for name, one in seen.items() if one.verdict == "pass"]
        checks = [check for one in seen.values() for check in one.passed_checks] if case.kind == "junk" else []
        return (f"passes {', '.join(passed)}" if passed
                else f"passes the checks {', '.join(checks)}" if checks else "")
    if case.kind == "wrong":
        return _judged_wrong(case, seen)
    return ""


def _judged_wrong(case: Case, seen: Mapping[str, Seen]) -> str:
    own = seen.get(case.milestone)
    others = [f"{name} ({one.verdict}, {one.reason})" for name, one in seen.items()
              if name != case.milestone and one.verdict != "pass"]
    if others:
        return f"must pass what its milestone needs, and does not pass {', '.join(others)}"
    if own is None:
        return f"{case.milestone} was not judged"
    if own.verdict == "pass":
        return f"passes {case.milestone}, which it must fail for {case.reason}"
    if (own.verdict, own.reason) != ("fail", case.reason):
        return f"must fail for {case.reason}; it got {own.verdict} for {own.reason}: {own.what}"
    return ""
