"""Which milestones a run judges, in which role, and which of them a failure in the run blocks. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import UsageError
from orchestrator.model import Lab, Milestone, Verdict

Role = Literal["next", "regression", "asked", "need", "later"]

FAILED = frozenset({Verdict.FAIL, Verdict.TIMEOUT, Verdict.INVALID, Verdict.BLOCKED})
"""Verdicts of a need that block what needs it. ``error`` and ``unjudged`` say nothing about the server, so they do not."""


@dataclass(frozen=True, slots=True)
class PlannedMilestone:
    """A milestone and why it is in the plan. ``later``: listed, not run."""

    milestone: Milestone
    role: Role


def select(
    lab: Lab, passed: Mapping[str, str], content: str, *, names: Collection[str] = (), everything: bool = False
) -> tuple[PlannedMilestone, ...]:
    """The plan of a run, needs before what needs them, else in the lab's order.

    ``passed`` maps milestone id -> the content key it passed with; ``content`` is the workspace's key now. Without
    ``names`` and ``everything``: the next milestone, the passed ones as regression, the rest ``later``. ``names`` are
    ``TRACK`` or ``TRACK/STEP``; what they need comes with them unless it passed with this very content. Unknown
    names: ``UsageError`` with the nearest known ones.
    """
    if everything:
        return _ordered(lab, {milestone.id: "asked" for milestone in lab.milestones})
    if not names:
        return _ordered(lab, _progress(lab, passed))
    roles: dict[str, Role] = {}
    for name in names:
        for milestone_id in _named(lab, name):
            roles[milestone_id] = "asked"
    for milestone_id in tuple(roles):
        for need in _unproved(lab, milestone_id, passed, content):
            roles.setdefault(need, "need")
    return _ordered(lab, roles)


def next_milestone(lab: Lab, passed: Collection[str]) -> Milestone | None:
    """The first milestone in the lab's order that has not passed and whose needs have; ``None`` when all have."""
    for milestone in lab.milestones:
        if milestone.id not in passed and all(need in passed for need in milestone.needs):
            return milestone
    return None


def blocker(milestone: Milestone, verdicts: Mapping[str, Verdict]) -> str | None:
    """The need that did not pass in this run, or ``None``. ``verdicts`` are those of the run so far, by id."""
    return next((need for need in milestone.needs if verdicts.get(need) in FAILED), None)


def _progress(lab: Lab, passed: Mapping[str, str]) -> dict[str, Role]:
    following = next_milestone(lab, passed)
    roles: dict[str, Role] = {}
    for milestone in lab.milestones:
        if milestone.id in passed:
            roles[milestone.id] = "regression"
        else:
            roles[milestone.id] = "next" if milestone is following else "later"
    return roles


def _named(lab: Lab, name: str) -> list[str]:
    """The ids that ``TRACK`` or ``TRACK/STEP`` means."""
    ids = [milestone.id for milestone in lab.milestones if name in (milestone.id, milestone.track)]
    if ids:
        return ids
    known = [track.id for track in lab.tracks] + [milestone.id for milestone in lab.milestones]
    if "/" not in name:  # a step alone, or a misspelt track: both are near something a person may mean
        known += [milestone.step for milestone in lab.milestones]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    full = [m.id for m in lab.milestones if near and near[0] in (m.id, m.step)] or near
    raise UsageError(
        f"the lab {lab.name} has no track or milestone '{name}'" + (f"; did you mean '{full[0]}'?" if full else ""),
        code="unknown-milestone",
        hint=f"labs info {lab.name}",
    )


def _unproved(lab: Lab, milestone_id: str, passed: Mapping[str, str], content: str) -> list[str]:
    """What this milestone needs, directly or not, and has not been proved for this content.

    A proved need ends the walk: it was judged together with its own needs.
    """
    found: dict[str, None] = {}
    waiting = list(lab.milestone(milestone_id).needs)
    while waiting:
        need = waiting.pop()
        if need not in found and passed.get(need) != content:
            found[need] = None
            waiting.extend(lab.milestone(need).needs)
    return list(found)


def _ordered(lab: Lab, roles: Mapping[str, Role]) -> tuple[PlannedMilestone, ...]:
    """The lab's order, except that a need never stands behind what needs it."""
    placed: dict[str, PlannedMilestone] = {}

    def place(milestone: Milestone, above: frozenset[str]) -> None:
        if milestone.id in placed or milestone.id in above:
            return
        for need in milestone.needs:
            place(lab.milestone(need), above | {milestone.id})
        if milestone.id in roles:
            placed[milestone.id] = PlannedMilestone(milestone, roles[milestone.id])

    for milestone in lab.milestones:
        place(milestone, frozenset())
    return tuple(placed.values())
