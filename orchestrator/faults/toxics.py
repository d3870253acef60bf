"""Kinds of faults, in Toxiproxy's words for those of a link: what each does in one sentence, and its numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from orchestrator.errors import UsageError, did_you_mean

Direction = Literal["upstream", "downstream"]
"""``upstream``: from your server to the service; ``downstream``: the service's answers."""
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. ``numbers``: name -> its default, ``None`` if it must be given. ``link``: it is done to connections."""

    name: str
    about: str
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    link: bool = True


KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (
    Kind("latency", "all arrives MS milliseconds later, give or take JITTER", {"ms": None, "jitter": 0}),
    Kind("bandwidth", "at most RATE kilobytes a second pass on each connection", {"rate": None}),
    Kind("slow_close", "the end of a connection arrives MS milliseconds later", {"ms": None}),
    Kind("timeout", "nothing arrives; after MS the connection ends (0: never)", {"ms": 0}),
    Kind("reset_peer", "every connection is reset after MS milliseconds", {"ms": 0}),
    Kind("slicer", "data arrives in pieces of BYTES, MS milliseconds apart", {"bytes": None, "ms": 0}),
    Kind("limit_data", "a connection ends after BYTES have passed", {"bytes": None}),
    Kind("pause", "the service freezes: connections stay open, nothing answers", link=False),
    Kind("kill", "the service is killed, as by a crash (SIGKILL)", link=False),
    Kind("stop", "the service stops in good order", link=False),
    Kind("restart", "the service stops and starts again; nothing stays broken", link=False),
)}
LEAST = {"ms": 0.0, "jitter": 0.0, "rate": 1.0, "bytes": 1.0}
MOST = {"ms": 3_600_000.0, "jitter": 3_600_000.0, "rate": 10_000_000.0, "bytes": 1e12}
"""An hour, ten gigabytes a second: beyond these it is a typing error."""


@dataclass(frozen=True, slots=True)
class Toxic:
    """One fault of a link, in one direction. Two of the same kind are two: ``id`` tells them apart."""

    id: str
    kind: str
    direction: Direction
    numbers: Mapping[str, float] = field(hash=False)

    def seconds(self, name: str = "ms") -> float:
        """A number of milliseconds as seconds."""
        return self.numbers[name] / 1000


def kind_of(name: str) -> Kind:
    """The kind of this name, ``reset-peer`` for ``reset_peer``, too. ``UsageError("unknown-fault")``."""
    found = KINDS.get(name.replace("-", "_"))
    if found is None:
        raise UsageError(f"there is no fault {name!r}{did_you_mean(name, KINDS)}", code="unknown-fault",
                         hint="labs fault add --help   (every kind in one sentence)")
    return found


def numbers_of(kind: Kind, given: Mapping[str, float]) -> dict[str, float]:
    """What was given, and the defaults. ``UsageError`` for what is missing, too much, or no such number."""
    for name, value in given.items():
        if name not in kind.numbers:
            takes = " and ".join(f"--{one}" for one in kind.numbers) or "no numbers"
            raise UsageError(f"{kind.name} has no --{name}: it takes {takes}", code="fault-numbers",
                             hint="labs fault add --help")
        if not LEAST[name] <= value <= MOST[name]:
            raise UsageError(f"--{name} is from {LEAST[name]:.0f} to {MOST[name]:.0f}, not {value:g}",
                             code="fault-numbers", hint="labs fault add --help")
    missing = [name for name, default in kind.numbers.items() if default is None and name not in given]
    if missing:
        raise UsageError(f"{kind.name} needs --{missing[0]}", code="fault-numbers",
                         hint=f"labs fault add SERVICE {kind.name} --{missing[0]} {EXAMPLES[missing[0]]}")
    if given.get("jitter", 0) > given.get("ms", 0):
        raise UsageError("--jitter is at most --ms: nothing arrives before it was sent", code="fault-numbers",
                         hint="labs fault add SERVICE latency --ms 300 --jitter 100")
    return {name: float(given.get(name, default or 0)) for name, default in kind.numbers.items()}


EXAMPLES = {"ms": "300", "rate": "50", "bytes": "64"}
