"""Which hint comes next: those of the last failure's reason first, then the general ones, each once. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.model import Hint, Milestone


@dataclass(frozen=True, slots=True)
class NextHint:
    """``hint`` is ``None`` when all were shown. ``number`` of ``total``, counting from 1."""

    hint: Hint | None
    number: int
    total: int


def next_hint(milestone: Milestone, reason: str, shown: Collection[str]) -> NextHint:
    """The first hint of this milestone that fits and was not shown. ``shown`` holds hints' texts."""
    fitting = [hint for hint in milestone.hints if hint.reason and hint.reason == reason]
    fitting += [hint for hint in milestone.hints if not hint.reason]
    for number, hint in enumerate(fitting, 1):
        if hint.text not in shown:
            return NextHint(hint, number, len(fitting))
    return NextHint(None, len(fitting), len(fitting))
