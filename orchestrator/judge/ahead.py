"""The pytest child of the milestone that will probably be judged next, started before anybody waits for it.

Its imports take long.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from orchestrator.checks.shared_code import shared_code
from orchestrator.judge.child import Child
from orchestrator.judge.child_process import Launch
from orchestrator.model import Milestone

Files = tuple[tuple[str, int, int], ...]


class Ahead:
    """At most one child that waits. It is used once, for its own milestone, while the lab's checks are as they were.

    ``folder``: where its output is kept. ``lab``: the lab's folder.
    """

    def __init__(self, folder: Path, lab: Path) -> None:
        self._folder, self._lab = folder, lab
        self._waiting: tuple[str, Files, Child] | None = None

    def prepare(self, milestone: Milestone, launch: Launch) -> None:
        """Start a child for this milestone, if none waits for it; another one's that waited until now is ended.

        If it cannot be started, nothing is lost: it will be tried again when it is needed.
        """
        files = check_files(milestone, self._lab)
        if self._waiting is not None and self._waiting[:2] == (milestone.id, files) and self._waiting[2].alive():
            return
        self.close()
        with contextlib.suppress(OSError):
            child = Child(launch, folder=self._folder, name=f"{milestone.id.replace('/', '-')}-ahead")
            self._waiting = (milestone.id, files, child)

    def take(self, milestone: Milestone) -> Child | None:
        """The child that waits, if it is this milestone's and good: from now on the caller's, who closes it."""
        if self._waiting is None or self._waiting[0] != milestone.id:
            return None
        _, files, child = self._waiting
        if files != check_files(milestone, self._lab) or not child.alive():
            self.close()
            return None
        self._waiting = None
        return child

    def close(self) -> None:
        """End the child that waits, if any. Harmless twice."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting[2].close()


def check_files(milestone: Milestone, lab: Path) -> Files:
    """What tells whether the checks that a child has loaded are still those of the lab."""
    found: list[Any] = []
    with contextlib.suppress(OSError):
        beside = {path for one in milestone.checks for path in one.parent.glob("*.py")}
        for path in sorted(beside.union(shared_code(lab))):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)
