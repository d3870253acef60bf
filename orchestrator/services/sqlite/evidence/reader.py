"""What an SQLite file itself shows: rows, rules, whether it is whole. Opened for each call and closed after it.

What reads opens the file read-only and leaves no lock behind. So it never writes back into the file what a server has
in the journal beside it (a checkpoint): that stays the server's, also where the reader is the last who has it open.
"""

from __future__ import annotations

import re
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from orchestrator.checks.errors import MachineSlow, SchemaWrong, ServiceLost
from orchestrator.checks.rows import Params, RowReader
from orchestrator.services.sqlite.evidence.faults import LOCK_SECONDS, extended, judged, primary

MAGIC = b"SQLite format 3\0"
SECONDS = 10.0
"""How long one statement may work."""
_STEPS = 10_000
"""How many steps of SQLite's machine between two looks at the clock."""
_WORD = re.compile(r"\w+")
_BESIDE = ("", "-wal", "-shm", "-journal")
_ODD = ("SELECT lower(name), CASE type WHEN 'view' THEN 'a view' ELSE 'a virtual table' END FROM sqlite_master"
        " WHERE type = 'view' OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%')")


class Sqlite(RowReader):
    """The fixture ``sqlite`` of checks, from what ``Recipe.admin`` gives. See ``docs/checks-api.md``."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self.path = Path(admin["file"])

    def close(self) -> None:
        """There is nothing to let go of."""

    # --- rows ------------------------------------------------------------------------------------------------------

    def rows(self, query: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows. ``SchemaWrong`` where there is no file, no database, no such table or column, or a view for one."""
        with judged(), self._opened("ro") as connection:
            _only_tables(connection, query)
            return connection.execute(query, params).fetchall()

    def plant(self, query: str, *rows: Params, foreign_keys: bool = True) -> None:
        """Write as another program, once for each of the rows, all in one transaction.

        ``foreign_keys=False``: as most programs do, which do not turn them on. Refused:
        ``SchemaWrong("schema-plant-refused")``.
        """
        with judged(planting=query), self._opened("rw") as connection:
            if not foreign_keys:
                connection.execute("PRAGMA foreign_keys = OFF")
            _only_tables(connection, query)
            connection.execute("BEGIN IMMEDIATE")
            for row in rows or ((),):
                connection.execute(query, row)
            connection.execute("COMMIT")

    def refused(self, query: str, params: Params = ()) -> str | None:
        """Try it as another program that heeds foreign keys, and undo it: SQLite's name of the rule that refused it
        (``SQLITE_CONSTRAINT_UNIQUE``), or ``None`` if it was accepted."""
        with judged(), self._opened("rw") as connection:
            _only_tables(connection, query)
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(query, params)
            except sqlite3.IntegrityError as error:
                return extended(error)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return None

    # --- the file ---------------------------------------------------------------------------------------------------

    def is_database(self) -> bool:
        """Whether there is a file and it begins as every SQLite database does."""
        try:
            with self._regular().open("rb") as file:
                return file.read(len(MAGIC)) == MAGIC
        except SchemaWrong:
            return False
        except OSError as error:
            raise ServiceLost("sqlite", f"{self.path.name} cannot be read: {error.strerror}") from error

    def pragma(self, name: str) -> Any:
        """What the file says of itself: ``user_version``. Settings of the server's own connection are not seen."""
        if not name.isidentifier():
            raise ValueError(f"not the name of a pragma: {name!r}")
        with judged(), self._opened("ro") as connection:
            row = connection.execute(f"PRAGMA {name}").fetchone()
        return row[0] if row else None

    def journal_mode(self) -> str:
        """``wal`` if the file is in that mode, else ``delete``: all others are a connection's own, and not seen."""
        return str(self.pragma("journal_mode"))

    def integrity(self) -> str:
        """``ok``, or what SQLite finds wrong with the file."""
        try:
            with judged(), self._opened("ro") as connection:
                found = connection.execute("PRAGMA integrity_check(5)").fetchall()
        except SchemaWrong as wrong:
            if wrong.reason != "schema-damaged":
                raise
            return wrong.seen
        return "\n".join(str(line) for (line,) in found)

    def beside(self, name: str) -> Sqlite:
        """Another file in the same folder, a backup: what is true of this one is asked of that one."""
        return Sqlite({"file": str(self.path.with_name(name))})

    def remove(self) -> None:
        """No file, and nothing of it beside. Only while the server is stopped."""
        for end in _BESIDE:
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)

    def make(self, script: str) -> None:
        """A new file in place of what is there, by a script of SQL. Only while the server is stopped."""
        self.remove()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(script)

    def leave_wal(self) -> None:
        """The file in the mode ``delete``, as SQLite makes one. Only while the server is stopped."""
        with judged(), self._opened("rw") as connection:
            connection.execute("PRAGMA journal_mode = delete")

    # --- locks ------------------------------------------------------------------------------------------------------

    @contextmanager
    def hold_write(self, *, exclusive: bool = False, at_most: float = 5.0) -> Iterator[Held]:
        """Another program has begun to write until the block ends, or ``at_most`` seconds; then it gives that up.

        ``exclusive``: so that readers have to wait, too, unless the file is in mode ``wal``. What is given can write
        and commit, which lets go, too.
        """
        with self._opened("rw", shared=True) as connection:
            with judged():
                connection.execute(f"BEGIN {'EXCLUSIVE' if exclusive else 'IMMEDIATE'}")
            timer = threading.Timer(at_most, connection.rollback)
            timer.start()
            try:
                yield Held(connection, timer)
            finally:
                timer.cancel()
                timer.join()
                connection.rollback()

    @contextmanager
    def hold_read(self) -> Iterator[None]:
        """Another program reads until the block ends: so long nothing is written back from the journal of mode ``wal``
        into the file that was written after."""
        with self._opened("ro") as connection:
            with judged():
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield

    # --- opening ----------------------------------------------------------------------------------------------------

    def _regular(self) -> Path:
        """The path, if a file is there: nothing else is opened, which could lead elsewhere or never answer."""
        try:
            kind = self.path.lstat().st_mode
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise ServiceLost("sqlite", "the folder of its file is gone") from None
            raise SchemaWrong("schema-missing-file", f"the file {self.path.name} in the folder of SQLITE_PATH",
                              "your server has made it", "no such file") from None
        except OSError as error:
            raise ServiceLost("sqlite", f"{self.path.name} cannot be looked at: {error.strerror}") from error
        if not stat.S_ISREG(kind):
            raise SchemaWrong("schema-not-a-database", f"what {self.path.name} is", "a file",
                              "a link" if stat.S_ISLNK(kind) else "something else")
        return self.path

    @contextmanager
    def _opened(self, mode: Literal["ro", "rw"], *, shared: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection of its own, without a transaction. Nothing in the file makes it do more than SQL."""
        address = f"{self._regular().as_uri()}?mode="
        with closing(_connected(address + mode, shared)) as connection:
            if mode == "rw":
                connection.execute("PRAGMA foreign_keys = ON")
            elif _needs_recovery(connection):
                # A killed server left a transaction in a journal beside the file. Whoever opens it next undoes that.
                with closing(_connected(address + "rw", shared)) as healer, judged():
                    healer.execute("SELECT count(*) FROM sqlite_master").fetchone()
            end = time.monotonic() + SECONDS
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            yield connection


class Held:
    """What ``hold_write`` gives: the transaction of another program."""

    def __init__(self, connection: sqlite3.Connection, timer: threading.Timer) -> None:
        self._connection, self._timer = connection, timer

    def commit(self, *writes: tuple[str, Params]) -> None:
        """Write all of these and commit: whoever waited for the lock goes on, and finds them there."""
        self._timer.cancel()
        self._timer.join()
        if not self._connection.in_transaction:
            raise MachineSlow("the lock of writers, which a check holds for a moment, was let go before it had written")
        with judged(planting=writes[0][0] if writes else None):
            for query, params in writes:
                self._connection.execute(query, params)
            self._connection.execute("COMMIT")


def _connected(address: str, shared: bool) -> sqlite3.Connection:
    with judged():
        connection = sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS, isolation_level=None,
                                     check_same_thread=not shared)
        connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _needs_recovery(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return primary(error) in ("SQLITE_READONLY", "SQLITE_CANTOPEN")
    except sqlite3.DatabaseError:
        pass  # whoever asks next is told
    return False


def _only_tables(connection: sqlite3.Connection, query: str) -> None:
    """``SchemaWrong`` where a word of the query is no plain table, which may show other rows than the server has."""
    words = {word.lower() for word in _WORD.findall(query)}
    for name, kind in connection.execute(_ODD):
        if name in words:
            raise SchemaWrong("schema-wrong-type", f"what `{name}` is in the SQLite file",
                              "a plain table, which shows the same rows to everybody", kind)
