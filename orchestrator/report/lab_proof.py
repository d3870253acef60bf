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
Kind = Literal["accepted", "front", "starter", "junk", "wrong", "mutant", "fault", "edit", "variant", "repeat", "order",
               "slow", "outage"]
KINDS: Mapping[Kind, str] = {
    "accepted": "a right server passes",
    "front": "a right server passes behind the front through which it is changed",
    "starter": "an untouched starter passes nothing",
    "junk": "a junk server passes nothing and breaks nothing",
    "wrong": "a wrong server fails at its milestone for its reason",
    "mutant": "a right server with one harmful change is noticed",
    "fault": "a right server whose source has one known fault is noticed",
    "edit": "a right server with one small edit of its source is noticed, or the edit means nothing",
    "variant": "a right server with harmless changes passes",
    "repeat": "with other values the verdict stays",
    "order": "in another order of the checks the verdict stays",
    "slow": "on a quarter of the machine the verdict stays",
    "outage": "a service that somebody else ends is never the server's fault",
}
RIGHT: frozenset[Kind] = frozenset({"accepted", "front", "variant", "repeat", "order", "slow"})
"""Kinds of servers that must pass."""
CHANGED: tuple[Kind, ...] = ("mutant", "fault", "edit")
"""Right servers with one harmful change: in what they answer, or in their source."""
ALIKE: frozenset[Kind] = frozenset({"accepted", "front", "repeat"})
"""Kinds whose servers answer alike: verdicts that differ among them are flips."""
AGAIN = "again "
"""So begins the id of a case that is the same as another, tried again because that one was rejected."""


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
    effect: bool = True
    """Of a change on the way: whether any exchange was changed while this milestone looked."""


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
    patch: str = ""
    """Of a fault or an edit: what was changed in the source."""

    @property
    def holds(self) -> bool:
        return not self.said

    @property
    def idle(self) -> bool:
        """A change that never took effect: nothing was different, so nobody could notice."""
        return bool(self.seen) and not noticed(self) and not any(seen.effect for seen in self.seen.values())


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

    def score(self, milestone: str | None = None, kind: Kind = "mutant") -> tuple[int, int]:
        """Changes of a kind noticed, and those that could be noticed; of the lab or of one milestone."""
        counted = [one for one in self.of(kind, milestone) if not one.equivalent and not one.idle]
        return sum(noticed(one) for one in counted), len(counted)

    def idle(self, milestone: str | None = None) -> int:
        """Changes that never took effect."""
        return sum(one.idle for one in self.of("mutant", milestone))

    def survivors(self, kind: Kind = "mutant") -> tuple[CaseResult, ...]:
        """Harmful changes that nothing noticed, that took effect, and that the lab does not call unnoticeable."""
        return tuple(one for one in self.of(kind) if not one.equivalent and not noticed(one) and not one.idle)

    def timings(self, milestone: str) -> Mapping[str, float]:
        """Phase -> seconds of the first accepted server at a milestone; empty if none was judged there."""
        return next((one.seen[milestone].phases for kind in ("accepted", "front") for one in self.of(kind)
                     if milestone in one.seen), {})

    def low(self) -> bool:
        """Whether fewer changes or faults were noticed than a lab may have. Edits are shown only: many mean nothing."""
        scores = [self.score(kind=kind) for kind in ("mutant", "fault")]
        return any(killed < LEAST_SCORE * counted for killed, counted in scores)

    def flips(self) -> int:
        """Verdicts that were others in a repeat, or in another order of the checks."""
        return sum(seen.verdict != "pass" for kind in ("repeat", "order") for one in self.of(kind)
                   for seen in one.seen.values())

    def flipped(self) -> tuple[str, ...]:
        """Checks that passed one run of a right server and not another, each with what it said: they go by luck."""
        said: dict[tuple[str, str], tuple[int, str]] = {}
        runs: dict[tuple[str, str], int] = {}
        for one in (one for one in self.results if one.kind in RIGHT):
            # With harmless changes or in another order it is compared with itself only.
            group = "" if one.kind in ALIKE else one.id.removeprefix(AGAIN)
            for seen in one.seen.values():
                for check in {*seen.passed_checks, seen.check} - {""}:
                    runs[group, check] = runs.get((group, check), 0) + 1
                if seen.verdict != "pass" and seen.check:
                    count, _ = said.get((group, seen.check), (0, ""))
                    said[group, seen.check] = count + 1, f"{seen.verdict} ({seen.reason}) in {one.id}"
        return tuple(f"{check}: {count} of {runs[group, check]} runs of right servers: {how}"
                     for (group, check), (count, how) in said.items() if count < runs[group, check])


def to_data(proof: Proof) -> dict[str, Any]:
    """As plain JSON values, what follows from the results included."""
    noticed_, counted = proof.score()
    data = dataclasses.asdict(proof)
    results = data.pop("results")
    return {
        "proof": PROOF_VERSION, "holds": proof.holds, **data,
        "outcomes": [{"holds": one.holds, **shown} for one, shown in zip(proof.results, results, strict=True)],
        "score": {"noticed": noticed_, "counted": counted, "least": LEAST_SCORE},
        "source_score": dict(zip(("noticed", "counted"), proof.score(kind="fault"), strict=True)),
        "survivors": [one.id for kind in CHANGED for one in proof.survivors(kind)], "flips": proof.flips(),
        "flipped": proof.flipped(), "idle": proof.idle(),
    }


LEAST_SCORE = 0.9


def noticed(result: CaseResult) -> bool:
    """Whether any milestone blamed the server."""
    return any(seen.verdict in BLAMED for seen in result.seen.values())
