"""``@promises("seat-sold-once", ...)``: which promises of the lab a check judges. Read from the syntax tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])

MARK = "orchestrator.checks.promises"
"""The decorator's full name, for those who read check files as syntax trees."""


def promises(*names: str) -> Callable[[F], F]:
    """The check judges these promises of ``openapi.yaml``, ``storage.md`` and the briefs. Changes nothing else."""
    if not names or not all(isinstance(one, str) for one in names):
        raise TypeError('@promises("name", ...) needs the names of promises, as texts')
    return lambda check: check
