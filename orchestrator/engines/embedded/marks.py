"""The marks of kept environments: a file each, with whose it is."""

from __future__ import annotations

from pathlib import Path

from orchestrator.system.files import read_json, write_json

FOLDER = "kept"


class KeptMarks:
    """The marks below the folder of all instances."""

    def __init__(self, instances: Path) -> None:
        self._folder = instances / FOLDER

    def add(self, environment: str, user: str, installation: str) -> None:
        """Mark it, on the disk."""
        write_json(self._folder / environment, {"user": user, "installation": installation}, durable=True)

    def discard(self, environment: str, user: str, installation: str) -> None:
        """Take the mark away, if it is this owner's."""
        if environment in self.of(user, installation):
            (self._folder / environment).unlink(missing_ok=True)

    def of(self, user: str, installation: str) -> frozenset[str]:
        """The environments of this owner that are marked.

        A damaged mark counts: it stands in our own folder, and what is kept by mistake can still be removed.
        """
        owner = {"user": user, "installation": installation}
        try:
            marks = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return frozenset()
        return frozenset(path.name for path in marks if read_json(path) in (owner, None))
