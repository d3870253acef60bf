"""Everything that can happen while a folder is watched. Values; they come from several threads through one queue."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import LabsError
from orchestrator.report.result import MilestoneResult, Report


@dataclass(frozen=True, slots=True)
class Changed:
    """The folder's content is another. ``paths``: which files, relative; ``at``: when it was saved (``time.time``)."""

    key: str
    paths: frozenset[str]
    at: float


@dataclass(frozen=True, slots=True)
class Gone:
    """The folder is not there any more."""


@dataclass(frozen=True, slots=True)
class Began:
    """A run knows what it judges: the content, and the watched milestone (``""`` when every one has passed)."""

    key: str
    milestone: str
    title: str


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a run begins; ``milestone`` may be the lab's name."""

    milestone: str
    name: str


@dataclass(frozen=True, slots=True)
class MilestoneJudged:
    """A milestone has its verdict. ``watched``: it is the one that this is about, not one that passed before."""

    result: MilestoneResult
    watched: bool
    at: float


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run could not be made: the folder, the engine or we are at fault."""

    error: LabsError


@dataclass(frozen=True, slots=True)
class Noted:
    """One sentence that a person should know."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A run is over, however it ended, and nothing of it runs any more. ``report``: unless it was cut short."""

    at: float
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key, as its character in lower case; ``up``, ``down``."""

    key: str


@dataclass(frozen=True, slots=True)
class Redraw:
    """The terminal has another size, or is ours again after a pause."""

    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """A signal wants us to end."""

    exit_code: int = 130


Event = Changed | Gone | Began | Phase | MilestoneJudged | RunFailed | Noted | Finished | Pressed | Redraw | Stop
