"""Where a learner stands in a lab: track by track, the next milestone, and how it went the last time."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.model import Lab, Milestone
from orchestrator.report.result import MilestoneResult, Report
from orchestrator.system.text import without_anchors, without_steering
from orchestrator.workspace.select import next_milestone


@dataclass(frozen=True, slots=True)
class TrackStanding:
    """How many of a track's milestones have passed."""

    id: str
    title: str
    passed: int
    total: int


@dataclass(frozen=True, slots=True)
class Standing:
    """``following`` is the next milestone (``None``: all passed), ``last`` its result in the last run if it has one.

    ``core``: how many of the lab's core milestones have passed, and how many there are.
    """

    lab: Lab
    tracks: tuple[TrackStanding, ...]
    following: Milestone | None
    last: MilestoneResult | None
    runs: int
    core: tuple[int, int]

    @property
    def passed(self) -> int:
        return sum(track.passed for track in self.tracks)


def standing(lab: Lab, passed: Collection[str], report: Report | None, runs: Sequence[Mapping[str, Any]]) -> Standing:
    """From what the workspace remembers. Milestones that the lab does not have (any more) do not count."""
    tracks = []
    for track in lab.tracks:
        own = [one.id for one in lab.milestones if one.track == track.id]
        tracks.append(TrackStanding(track.id, track.title, sum(one in passed for one in own), len(own)))
    following = next_milestone(lab, passed)
    results = {one.id: one for one in report.milestones if one.role != "later"} if report is not None else {}
    last = results.get(following.id) if following is not None else None
    core = [one.id in passed for one in lab.milestones if one.level == "core"]
    return Standing(lab, tuple(tracks), following, last, len(runs), (sum(core), len(core)))


def brief_of(milestone: Milestone) -> str:
    """A milestone's brief without the names of its promises, harmless for a terminal: it is read before anybody trusts
    the lab."""
    return without_steering(without_anchors(milestone.brief.read_text(encoding="utf-8")))


def goal(brief: str, *, most: int = 400) -> str:
    """The first paragraph of a brief, which says what a user of the product wants, as one line."""
    paragraphs = [part for part in re.split(r"\n\s*\n", brief) if part.strip() and not part.lstrip().startswith("#")]
    first = " ".join(paragraphs[0].split()) if paragraphs else ""
    return first if len(first) <= most else first[: most - 3].rsplit(" ", 1)[0] + "..."
