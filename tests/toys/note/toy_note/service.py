"""The core of the toy service ``note``."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.model import Credentials, Endpoint, Fidelity, InstanceSpec, NotYet, Probe, Product, Ready
from orchestrator.services.base import Recipe
from orchestrator.services.clients import ClientProgram


class NoteRecipe(Recipe):
    """A file that SQLite opens. There is nobody to tell a password."""

    name = "note"
    title = "Note"
    port = 0
    file = "note.sqlite3"
    memory = 0
    urls = ("NOTE_FILE",)

    def credentials(self) -> Credentials:
        return Credentials("", "", "", "", "")

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        return {}

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        try:
            run(endpoint, "PRAGMA user_version")
        except sqlite3.Error as error:
            return NotYet(str(error))
        return Ready()

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        return Product("SQLite", sqlite3.sqlite_version, Fidelity.GENUINE)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        try:
            return str(Path(endpoint.file).parent.stat().st_ino)
        except OSError as error:
            raise ConnectionError(str(error)) from error

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"NOTE_FILE": endpoint.file}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"file": endpoint.file}

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        """No server runs: what it left goes, and its journals with it."""
        for path in Path(endpoint.file).parent.iterdir():
            path.unlink()

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        return ()

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        return "\n".join("|".join(map(str, row)) for row in run(endpoint, statement))


RECIPE = NoteRecipe()


def run(endpoint: Endpoint, statement: str) -> list[tuple[object, ...]]:
    """One statement, committed; ``sqlite3.Error``."""
    with contextlib.closing(sqlite3.connect(endpoint.file, timeout=1)) as connection, connection:
        return connection.execute(statement).fetchall()
