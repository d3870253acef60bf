"""The result of ``labs verify``: what was tried on a lab's checks, what came of it, what that says. Pure values.

Every form of a proof, on the screen, as JSON, as a page, is rendered from this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.report.lab_promises import PromiseKept
from orchestrator.report.result import BLAMED

PROOF_VERSION = 1
Kind = Literal["accepted", "front", "starter", "junk", "wrong", "mutant", "variant", "repeat", "slow", "outage"]
KINDS: Mapping[Kind, str] = {
    "accepted": "a right server passes",
    "front": "a right server passes behind the front through which it is changed",
    "starter": "an untouched starter passes nothing",
    "junk": "a junk server passes nothing and breaks nothing",
    "wrong": "a wrong server fails at its milestone for its reason",
    "mutant": "a right server with one harmful change is noticed",
    "variant": "a right server with harmless changes passes",
    "repeat": "with other values the verdict stays",
    "slow": "on a quarter of the machine the verdict stays",
    "outage": "a service that somebody else ends is never the server's fault",
}
RIGHT: frozenset[Kind] = frozenset({"accepted", "front", "variant", "repeat", "slow"})
"""Kinds of servers that must pass."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one milestone said of one server. ``check``: the first one that did not pass."""

    verdict: str
    reason: str = ""
    check: str = ""
    what: str = ""
    expected: str = ""
    got: str = ""
    passed_checks: tuple[str, ...] = ()
    seconds: float = 0.0
    attempts: int = 1
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one server that met the checks. ``milestone``: the one that it is about; empty: all it met.

    ``said``: why it does not prove what it should; empty when it holds. ``equivalent``: the lab's reason why no check
    can notice this change, which is then not tried. ``kept``: proved before, with the same content.
    """

    id: str
    kind: Kind
    milestone: str
    story: str
    seen: Mapping[str, Seen]
    said: str = ""
    equivalent: str = ""
    seconds: float = 0.0
    kept: bool = False

    @property
    def holds(self) -> bool:
        return not self.said


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of ``labs verify``; every form of it is rendered from this."""

    lab: str
    lab_version: str
    lab_commit: str
    labs_version: str
    content: str
    """Hash of the lab's folder."""
    quick: bool
    seed: int
    started_at: str
    seconds: float
    engine: str
    products: Mapping[str, str]
    milestones: tuple[str, ...]
    results: tuple[CaseResult, ...]
    not_run: Mapping[str, str] = field(default_factory=dict)
    """Kind -> why it could not be tried here."""
    budgets: Mapping[str, float] = field(default_factory=dict)
    """Milestone -> seconds that its checks may take."""
    from_brief: tuple[str, ...] = ()
    """Accepted servers whose writer saw the brief and the two contracts, and no check."""

    promises: tuple[PromiseKept, ...] = ()
    """What the lab binds a server to, each with what judges and breaks it; none in a lab that names none."""

    @property
    def holds(self) -> bool:
        return (bool(self.results) and all(one.holds for one in self.results) and not self.low()
                and all(one.holds for one in self.promises))

    def of(self, kind: Kind, milestone: str | None = None) -> tuple[CaseResult, ...]:
        """The results of a kind, or those of them that are about a milestone."""
        return tuple(one for one in self.results if one.kind == kind
                     and (milestone is None or one.milestone == milestone))

    def score(self, milestone: str | None = None) -> tuple[int, int]:
        """Mutants noticed, and mutants that could be noticed; of the lab or of one milestone."""
        counted = [one for one in self.of("mutant", milestone) if not one.equivalent]
        return sum(noticed(one) for one in counted), len(counted)

    def survivors(self) -> tuple[CaseResult, ...]:
        """Harmful changes that nothing noticed and that the lab does not call unnoticeable."""
        return tuple(one for one in self.of("mutant") if not one.equivalent and not noticed(one))

    def timings(self, milestone: str) -> Mapping[str, float]:
        """Phase -> seconds of the first accepted server at a milestone; empty if none was judged there."""
        return next((one.seen[milestone].phases for kind in ("accepted", "front") for one in self.of(kind)
                     if milestone in one.seen), {})

    def low(self) -> bool:
        """Whether fewer mutants were noticed than a lab may have."""
        killed, counted = self.score()
        return killed < LEAST_SCORE * counted

    def flips(self) -> int:
        """Verdicts that were others in a repeat."""
        return sum(seen.verdict != "pass" for one in self.of("repeat") for seen in one.seen.values())


def to_data(proof: Proof) -> dict[str, Any]:
    """As plain JSON values, what follows from the results included."""
    noticed_, counted = proof.score()
    data = dataclasses.asdict(proof)
    results = data.pop("results")
    return {
        "proof": PROOF_VERSION, "holds": proof.holds, **data,
        "outcomes": [{"holds": one.holds, **shown} for one, shown in zip(proof.results, results, strict=True)],
        "score": {"noticed": noticed_, "counted": counted, "least": LEAST_SCORE},
        "survivors": [one.id for one in proof.survivors()], "flips": proof.flips(),
    }


LEAST_SCORE = 0.9


def noticed(result: CaseResult) -> bool:
    """Whether any milestone blamed the server."""
    return any(seen.verdict in BLAMED for seen in result.seen.values())
