"""What `labs explore` found: a milestone's explorations, each with the steps of a request and a row for each try.

The words come from the pytest child (``checks/showing.py``); nothing in them is believed to have the right type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXPLORED_VERSION = 1
DEEDS = ("hold", "mute", "crash", "cut", "lose", "late", "delay", "late-answer", "silence", "late-silence")


@dataclass(frozen=True, slots=True)
class StepShown:
    """One round trip to a service. ``text`` and ``kind`` are empty where its protocol cannot be read."""

    number: int
    service: str
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class NotKept:
    """What did not hold, as a check would say it."""

    reason: str
    what: str
    expected: str
    seen: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One try at one step. ``after``: after it, not before. ``answers``: of the request, then of the second one.

    ``waited``: the second request was not answered while the first was held. ``reached``: the request came to the step.
    """

    step: int
    after: bool
    answers: tuple[str, ...]
    waited: bool
    reached: bool
    broken: NotKept | None


@dataclass(frozen=True, slots=True)
class Exploration:
    """One thing (``deed``, of ``DEEDS``) done at each step of a request (``POST /orders``).

    ``title`` is the check's: what must stay true. ``during``: what happens while the request is held.
    """

    check: str
    title: str
    deed: str
    request: str
    during: str
    steps: tuple[StepShown, ...]
    rows: tuple[Tried, ...]

    @property
    def shape(self) -> tuple[str, ...]:
        """The same for two explorations of one request that went the same way."""
        return self.request, *(f"{step.service} {step.kind}" for step in self.steps)


@dataclass(frozen=True, slots=True)
class Discoveries:
    """All explorations of one milestone. ``step``: the one asked for; 0: each. ``seconds``: how long it took."""

    lab: str
    milestone: str
    title: str
    seed: int
    step: int
    seconds: float
    engine: str
    products: Mapping[str, str]
    explorations: tuple[Exploration, ...]

    @property
    def rows(self) -> tuple[Tried, ...]:
        """Every row of every exploration."""
        return tuple(row for one in self.explorations for row in one.rows)

    @property
    def broken(self) -> tuple[Tried, ...]:
        """Rows in which something did not hold."""
        return tuple(row for row in self.rows if row.broken is not None)


def to_data(explored: Discoveries) -> dict[str, Any]:
    """As plain JSON values."""
    return {"explored": EXPLORED_VERSION, **dataclasses.asdict(explored)}


def exploration(check: str, title: str, told: object) -> Exploration:
    """What a child told of one exploration; ``ValueError`` if it has not the form of one."""
    try:
        if not isinstance(told, Mapping) or told["deed"] not in DEEDS:
            raise ValueError("no deed")
        return Exploration(
            check, title, told["deed"], str(told["request"]), str(told["during"]),
            tuple(StepShown(int(one["number"]), str(one["service"]), str(one["text"]), str(one["kind"]))
                  for one in told["steps"]),
            tuple(_row(one) for one in told["rows"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an exploration: {error}") from error


def grouped(explorations: Sequence[Exploration]) -> list[list[Exploration]]:
    """Those of one request that went the same way stand together, in the order in which they were first heard of."""
    groups: dict[tuple[str, ...], list[Exploration]] = {}
    for one in explorations:
        groups.setdefault(one.shape, []).append(one)
    return list(groups.values())


def _row(value: Mapping[str, Any]) -> Tried:
    broken = value["broken"]
    return Tried(
        int(value["step"]), bool(value["after"]), tuple(str(one) for one in value["answers"]), bool(value["waited"]),
        bool(value["reached"]),
        None if broken is None else NotKept(*(str(broken[name]) for name in ("reason", "what", "expected", "seen"))),
    )
