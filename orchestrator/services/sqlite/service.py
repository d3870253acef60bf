"""SQLite: a file in a folder that the learner's server may write. Nothing runs and nothing listens.

The recipe never makes the file, not even by looking: that it is there, and is a database, is the server's doing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from orchestrator.model import Credentials, Endpoint, Fidelity, InstanceSpec, NotYet, Probe, Product, Ready
from orchestrator.services.base import Recipe
from orchestrator.services.clients import ClientProgram, Known, client_programs, known_failure

_MISTAKES = (
    Known("SQLite said \"database is locked\": another connection was writing, and this one did not wait. Set a busy"
          " timeout on each connection (`PRAGMA busy_timeout = 5000`), and begin a transaction that will write with"
          " `BEGIN IMMEDIATE`: one that reads first is refused at once, whatever its timeout.",
          r"database (table )?is locked|SQLITE_BUSY"),
    Known("SQLite may not write: is the file opened read-only, or at another place than SQLITE_PATH says?",
          r"attempt to write a readonly database|SQLITE_READONLY"),
    Known("SQLite could not open the file: its path is the value of SQLITE_PATH as it is, and not a URL.",
          r"unable to open database file|SQLITE_CANTOPEN"),
)


class SqliteRecipe(Recipe):
    """See ``Recipe``; ``Emptying``, ``Clearing`` and ``Interactive``. There is nobody to tell a password."""

    name = "sqlite"
    title = "SQLite"
    port = 0
    file = "app.sqlite3"
    memory = 0
    urls = ("SQLITE_PATH",)

    def credentials(self) -> Credentials:
        return Credentials("", "", "", "", "")

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:  # noqa: ARG002 - it has no Compose file
        return {}

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:  # noqa: ARG002
        folder = Path(endpoint.file).parent
        if not folder.is_dir():
            return NotYet(f"there is no folder {folder}")
        return Ready() if os.access(folder, os.W_OK | os.X_OK) else NotYet(f"{folder} cannot be written")

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:  # noqa: ARG002
        """That of Python, by which checks read the file. What a learner's server writes with is its own."""
        return Product("SQLite", sqlite3.sqlite_version, Fidelity.GENUINE)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:  # noqa: ARG002
        """The folder's: the file in it may be replaced by its server as often as that likes."""
        try:
            return str(Path(endpoint.file).parent.stat().st_ino)
        except OSError as error:
            raise ConnectionError(f"the folder of {endpoint.file} is gone: {error.strerror}") from error

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:  # noqa: ARG002
        return {"SQLITE_PATH": endpoint.file}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:  # noqa: ARG002
        return {"file": endpoint.file}

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:  # noqa: ARG002
        from orchestrator.services.sqlite import space

        space.fresh(Path(endpoint.file).parent)

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:  # noqa: ARG002
        from orchestrator.services.sqlite import space

        return space.contents(Path(endpoint.file))

    def clear(self, endpoint: Endpoint, credentials: Credentials,  # noqa: ARG002
              *, spare: Collection[str]) -> None:
        from orchestrator.services.sqlite import space

        space.clear(Path(endpoint.file), spare)

    def client(self, endpoint: Endpoint, credentials: Credentials,  # noqa: ARG002
               statement: str | None) -> Sequence[ClientProgram]:
        """``sqlite3``, if it is on PATH."""
        words = () if statement is None else (statement,)
        return [ClientProgram((program, "-header", "-column", endpoint.file, *words))
                for program in client_programs(("sqlite3",), None)]

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:  # noqa: ARG002
        from orchestrator.services.sqlite.shell import run

        return run(Path(endpoint.file), statement)

    def client_advice(self, endpoint: Endpoint, credentials: Credentials, said: str) -> str | None:  # noqa: ARG002
        return known_failure(_MISTAKES, None, said)


RECIPE = SqliteRecipe()
