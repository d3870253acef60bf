"""Which hint comes next, and which of how many: those of failed checks' reasons first, then general ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.model import Hint, Milestone


@dataclass(frozen=True, slots=True)
class Numbered:
    """A hint, and which of how many of its kind it is, from 1. A kind: those of one reason, or the general ones."""

    hint: Hint
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class NextHint:
    """``new`` is ``None`` when all were shown. ``earlier``: what fits and was shown before; ``left``: after the new."""

    earlier: tuple[Numbered, ...]
    new: Numbered | None
    left: int


def next_hint(milestone: Milestone, reasons: Sequence[str], shown: Collection[str]) -> NextHint:
    """The first hint of this milestone that fits and was not shown. ``shown`` holds hints' texts.

    ``reasons``: of the checks that failed, the gravest first.
    """
    fitting: list[Numbered] = []
    for reason in (*dict.fromkeys(one for one in reasons if one), None):
        kind = [hint for hint in milestone.hints if (hint.reason or None) == reason]
        fitting += [Numbered(hint, number, len(kind)) for number, hint in enumerate(kind, 1)]
    new = next((one for one in fitting if one.hint.text not in shown), None)
    earlier = tuple(one for one in fitting if one.hint.text in shown)
    return NextHint(earlier, new, len(fitting) - len(earlier) - (new is not None))
