"""A milestone's attempt as a time line: requests, what the services recorded, faults; and as JSON and back.

Kept beside the report in ``.labs/trace.json`` and rendered from nothing else. Times are seconds since the first event.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.model import Record, Verdict
from orchestrator.system.shapes import fields_of

TIMELINE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One exchange with the learner's server. ``status`` is ``None`` where no answer came."""

    at: float
    seconds: float
    check: str
    method: str
    path: str
    body: str
    status: int | None
    response: str
    curl: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that the checker did beside requests: a fault began, a server was restarted."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """How people speak of a service's records: what one and several are called, what ``Record.source`` means."""

    entry: str = "record"
    entries: str = "records"
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is known of one attempt, each in order of time. ``checks``: id -> title; ``gaps``: service -> why."""

    milestone: str
    title: str
    verdict: Verdict
    reason: str
    seed: int
    checks: Mapping[str, str]
    failed: tuple[str, ...]
    """Ids of the checks that did not pass."""
    requests: tuple[Request, ...] = ()
    records: tuple[Record, ...] = ()
    marks: tuple[Mark, ...] = ()
    products: Mapping[str, str] = dataclasses.field(default_factory=dict)
    gaps: Mapping[str, str] = dataclasses.field(default_factory=dict)
    words: Mapping[str, Words] = dataclasses.field(default_factory=dict)
    """Service -> its words; kept here, so that a time line can be shown without the service."""

    @property
    def began(self) -> float:
        """The first event's time, in seconds since 1970; 0 if there is none."""
        groups = ([one.at for one in self.requests], [one.at for one in self.records], [one.at for one in self.marks])
        return min((at for times in groups for at in times), default=0.0)


def to_data(timeline: Timeline) -> dict[str, Any]:
    """As plain JSON values."""
    return {"timeline": TIMELINE_VERSION, **dataclasses.asdict(timeline)}


def from_data(data: object) -> Timeline:
    """The time line of ``to_data``'s values, also after a trip through JSON; ``ValueError`` for anything else."""
    try:
        if not isinstance(data, Mapping) or data["timeline"] != TIMELINE_VERSION:
            raise ValueError(f"its version is not {TIMELINE_VERSION}")
        # Time lines that were saved before there were words have none.
        values = fields_of(Timeline, data)
        return Timeline(**{
            **values,
            "verdict": Verdict(values["verdict"]),
            "failed": tuple(values["failed"]),
            "requests": tuple(Request(**fields_of(Request, one)) for one in values["requests"]),
            "records": tuple(Record(**fields_of(Record, one)) for one in values["records"]),
            "marks": tuple(Mark(**fields_of(Mark, one)) for one in values["marks"]),
            "words": {name: Words(**fields_of(Words, one)) for name, one in values.get("words", {}).items()},
        })
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a time line: {error}") from error
