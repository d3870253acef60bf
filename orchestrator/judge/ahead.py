"""The pytest child of the run that will probably come next, started while nobody waits: its imports take long."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from orchestrator.judge.child import Child
from orchestrator.model import Milestone

Files = tuple[tuple[str, int, int], ...]


class Ahead:
    """At most one child that waits. It is used once, for its own milestone, while the lab's checks are as they were."""

    def __init__(self) -> None:
        self._waiting: tuple[str, Files, Child] | None = None

    def prepare(self, milestone: Milestone, make: Callable[[], Child]) -> None:
        """Start a child for this milestone; the one that waited until now is ended."""
        self.close()
        files = check_files(milestone)
        self._waiting = (milestone.id, files, make())

    def take(self, milestone: Milestone) -> Child | None:
        """The child that waits, if it is this milestone's and good: from now on the caller's, who closes it."""
        if self._waiting is None or self._waiting[0] != milestone.id:
            return None
        _, files, child = self._waiting
        if files != check_files(milestone) or not child.alive():
            self.close()
            return None
        self._waiting = None
        return child

    def close(self) -> None:
        """End the child that waits, if any. Harmless twice."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting[2].close()


def check_files(milestone: Milestone) -> Files:
    """What tells whether the checks that a child has loaded are still those of the lab."""
    found: list[Any] = []
    with contextlib.suppress(OSError):
        for path in sorted(milestone.checks.parent.glob("*.py")):
            status = path.stat()
            found.append((path.name, status.st_mtime_ns, status.st_size))
    return tuple(found)
