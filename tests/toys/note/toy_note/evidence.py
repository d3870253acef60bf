"""The fixture ``note`` of checks: the file itself, opened to be read."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.checks.errors import SchemaWrong, ServiceLost


class Note:
    """Made from what ``NoteRecipe.admin`` gives."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._file = admin["file"]

    def close(self) -> None:
        """There is nothing to let go of."""

    def texts(self, code: str) -> list[str]:
        """The texts of the notes with this code, in the table of storage.md."""
        return [str(text) for (text,) in self._rows("SELECT text FROM notes WHERE code = ?", code)]

    def count(self) -> int:
        """How many notes there are."""
        ((count,),) = self._rows("SELECT count(*) FROM notes")
        return int(count)

    def _rows(self, statement: str, *values: str) -> list[Any]:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=5)) as file:
                return file.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or not Path(self._file).exists():
                raise SchemaWrong("schema-missing-table", "the table notes", "a table", "none") from error
            raise ServiceLost("note", str(error)) from error


reader = Note
