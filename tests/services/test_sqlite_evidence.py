"""The evidence reader of SQLite on files that a server has open, has left, or has spoilt."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.checks.errors import MachineSlow, SchemaWrong, ServiceLost
from orchestrator.services.sqlite.evidence import faults
from orchestrator.services.sqlite.evidence.reader import Sqlite


@pytest.fixture
def sqlite(tmp_path: Path) -> Sqlite:
    """The reader, where no file is yet."""
    return Sqlite({"file": str(tmp_path / "app.sqlite3")})


@pytest.fixture
def server(sqlite: Sqlite) -> Iterator[sqlite3.Connection]:
    """A server that has the file open in mode `wal`, with one row that is in the journal only."""
    with contextlib.closing(sqlite3.connect(sqlite.path, isolation_level=None, timeout=0)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, b TEXT NOT NULL UNIQUE)")
        connection.execute("INSERT INTO a (b) VALUES ('one')")
        yield connection


def reason_of(call: object, *arguments: object) -> str:
    """The reason of the refusal that is the learner's."""
    assert callable(call)
    with pytest.raises(SchemaWrong) as caught:
        call(*arguments)
    return caught.value.reason


def beside(sqlite: Sqlite) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sqlite.path.parent.iterdir()}


def test_rows_of_an_open_file_are_read_and_nothing_moves(sqlite, server) -> None:
    """What is in the journal is seen; no byte of the file or its journal changes, and no lock stays."""
    before = beside(sqlite)

    assert sqlite.rows("SELECT id, b FROM a") == [(1, "one")]
    assert sqlite.value("SELECT b FROM a WHERE id = ?", [1]) == "one"
    assert sqlite.one("SELECT id, b FROM a WHERE b = :b", {"b": "one"}) == (1, "one")
    assert (sqlite.journal_mode(), sqlite.integrity(), sqlite.is_database()) == ("wal", "ok", True)
    assert beside(sqlite) == before
    server.execute("BEGIN EXCLUSIVE")
    server.execute("ROLLBACK")
    with pytest.raises(LookupError, match="0 rows"):
        sqlite.one("SELECT b FROM a WHERE id = 9")


def test_the_last_reader_leaves_the_journal_to_the_server(sqlite, server) -> None:
    """A server that was killed left its rows in the journal: they are read, and not written back."""
    copy = sqlite.path.with_name("copy.sqlite3")
    for end in ("", "-wal"):
        Path(f"{copy}{end}").write_bytes(Path(f"{sqlite.path}{end}").read_bytes())
    journal = Path(f"{copy}-wal").read_bytes()

    assert Sqlite({"file": str(copy)}).rows("SELECT b FROM a") == [("one",)]
    assert Path(f"{copy}-wal").read_bytes() == journal


def test_a_transaction_that_a_kill_cut_off_is_undone(sqlite) -> None:
    """A journal of the other modes is played back by whoever opens the file next, as SQLite means it."""
    with contextlib.closing(sqlite3.connect(sqlite.path, isolation_level=None)) as server:
        server.execute("CREATE TABLE a (b)")
        server.execute("INSERT INTO a VALUES (1)")
        server.execute("PRAGMA cache_size = 1")
        server.execute("BEGIN")
        server.executemany("INSERT INTO a VALUES (?)", [("x" * 1000,)] * 100)
        copy = sqlite.path.with_name("copy.sqlite3")
        for end in ("", "-journal"):
            Path(f"{copy}{end}").write_bytes(Path(f"{sqlite.path}{end}").read_bytes())

    assert Path(f"{copy}-journal").stat().st_size
    assert Sqlite({"file": str(copy)}).rows("SELECT b FROM a") == [(1,)]


def test_what_is_missing_is_the_learners(sqlite, server) -> None:
    """A table, a column, the file; a folder of ours is not."""
    assert reason_of(sqlite.rows, "SELECT b FROM z") == "schema-missing-table"
    assert reason_of(sqlite.rows, "SELECT z FROM a") == "schema-missing-column"
    assert reason_of(sqlite.plant, "INSERT INTO a (z) VALUES (1)") == "schema-missing-column"
    none = sqlite.beside("none.sqlite3")
    assert reason_of(none.rows, "SELECT 1") == "schema-missing-file"
    assert reason_of(none.plant, "CREATE TABLE a (b)") == "schema-missing-file"
    assert (none.is_database(), none.path.exists()) == (False, False)
    with pytest.raises(ServiceLost, match="folder"):
        Sqlite({"file": str(sqlite.path.parent / "gone" / "app.sqlite3")}).rows("SELECT 1")


def test_what_is_no_database_is_not_opened(sqlite, server) -> None:
    """Other bytes, a link, a pipe (on which opening would wait for ever), a folder."""
    place = sqlite.path.parent
    (place / "json").write_text('{"tickets": {}}' * 100)
    (place / "link").symlink_to(sqlite.path)
    os.mkfifo(place / "pipe")
    (place / "folder").mkdir()

    for name in ("json", "link", "pipe", "folder"):
        assert reason_of(sqlite.beside(name).rows, "SELECT b FROM a") == "schema-not-a-database"
        assert not sqlite.beside(name).is_database()


def test_a_damaged_file_is_said(sqlite, server) -> None:
    """In the words of SQLite; the reader goes on."""
    server.executemany("INSERT INTO a (b) VALUES (?)", [(f"{number:0400}",) for number in range(50)])
    server.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = sqlite.path.read_bytes()
    broken = sqlite.path.with_name("broken")
    broken.write_bytes(content[:4096 * 3] + b"\xff" * 4096 + content[4096 * 4:])

    assert sqlite.beside("broken").integrity() != "ok"


def test_a_view_in_place_of_a_table_is_refused(sqlite, server) -> None:
    """It may show a check other rows than the server has; so may a virtual table. Plain tables beside it are fine."""
    server.execute("CREATE VIEW v AS SELECT 'all is well' AS b")
    server.execute("CREATE VIRTUAL TABLE f USING fts5(b)")

    assert reason_of(sqlite.rows, 'SELECT b FROM "V"') == "schema-wrong-type"
    assert reason_of(sqlite.rows, "SELECT b FROM f") == "schema-wrong-type"
    assert sqlite.rows("SELECT b FROM a") == [("one",)]


def test_planting_is_whole_or_not_at_all(sqlite, server) -> None:
    """What the file refuses is the learner's matter, and leaves nothing."""
    sqlite.plant("INSERT INTO a (b) VALUES (?)", ["two"], ["three"])
    assert server.execute("SELECT count(*) FROM a").fetchone() == (3,)

    assert reason_of(sqlite.plant, "INSERT INTO a (b) VALUES (?)", ["four"], ["one"]) == "schema-plant-refused"
    assert server.execute("SELECT count(*) FROM a").fetchone() == (3,)


def test_rules_are_tried_and_undone(sqlite, server) -> None:
    """By SQLite's own names; foreign keys are heeded."""
    server.execute("CREATE TABLE c (a INTEGER NOT NULL REFERENCES a)")

    assert sqlite.refused("INSERT INTO a (b) VALUES ('one')") == "SQLITE_CONSTRAINT_UNIQUE"
    assert sqlite.refused("INSERT INTO a (b) VALUES (NULL)") == "SQLITE_CONSTRAINT_NOTNULL"
    assert sqlite.refused("INSERT INTO c (a) VALUES (9)") == "SQLITE_CONSTRAINT_FOREIGNKEY"
    assert sqlite.refused("INSERT INTO a (b) VALUES ('new')") is None
    assert server.execute("SELECT count(*) FROM a").fetchone() == (1,)


def test_a_lock_that_is_not_let_go_is_the_learners(sqlite, server, monkeypatch) -> None:
    """A transaction that a server left open."""
    monkeypatch.setattr(sys.modules[Sqlite.__module__], "LOCK_SECONDS", 0.1)
    server.execute("BEGIN IMMEDIATE")

    assert reason_of(sqlite.plant, "INSERT INTO a (b) VALUES ('two')") == "schema-locked"
    assert sqlite.rows("SELECT b FROM a") == [("one",)]


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_checker_holds_the_lock_of_writers(sqlite, server, exclusive) -> None:
    """In the block nobody else writes and, in mode `wal`, everybody reads; after it all is as before."""
    with sqlite.hold_write(exclusive=exclusive):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            server.execute("INSERT INTO a (b) VALUES ('two')")
        assert server.execute("SELECT count(*) FROM a").fetchone() == (1,)

    server.execute("INSERT INTO a (b) VALUES ('two')")


def test_readers_of_other_modes_wait_for_an_exclusive_writer(sqlite, server) -> None:
    """That is how a file without `wal` is told from the server's side."""
    assert server.execute("PRAGMA journal_mode = delete").fetchone() == ("delete",)
    assert sqlite.journal_mode() == "delete"
    with sqlite.hold_write(exclusive=True), pytest.raises(sqlite3.OperationalError, match="locked"):
        server.execute("SELECT count(*) FROM a").fetchone()


def test_a_held_lock_ends_by_itself(sqlite, server) -> None:
    """However long the block takes."""
    start = time.monotonic()
    with sqlite.hold_write(at_most=0.2):
        server.execute("PRAGMA busy_timeout = 10000")
        server.execute("INSERT INTO a (b) VALUES ('two')")
    assert time.monotonic() - start < 5


def test_who_holds_the_lock_may_write_and_commit(sqlite, server) -> None:
    """Whoever waited goes on, and finds what was written; one that was let go before is nobody's mistake."""
    write = ("INSERT INTO a (b) VALUES (?)", ["two"])
    with sqlite.hold_write() as held:
        held.commit(write, ("INSERT INTO a (b) VALUES ('three')", ()))
        server.execute("INSERT INTO a (b) VALUES ('four')")
    assert server.execute("SELECT b FROM a").fetchall() == [("one",), ("two",), ("three",), ("four",)]

    with sqlite.hold_write(at_most=0.0) as held:
        server.execute("PRAGMA busy_timeout = 10000")
        server.execute("INSERT INTO a (b) VALUES ('five')")
        with pytest.raises(MachineSlow):
            held.commit(("INSERT INTO a (b) VALUES ('six')", ()))
    with sqlite.hold_write() as held:
        assert reason_of(held.commit, write) == "schema-plant-refused"
    assert server.execute("SELECT count(*) FROM a").fetchone() == (5,)


def test_a_file_leaves_the_mode_wal(sqlite, server) -> None:
    """With all that was in the journal; not while a server has it open."""
    assert reason_of(sqlite.leave_wal) == "schema-locked"
    server.close()
    sqlite.leave_wal()
    assert sqlite.journal_mode() == "delete"
    assert sqlite.rows("SELECT b FROM a") == [("one",)]


def test_a_held_read_keeps_the_journal(sqlite, server) -> None:
    """What is written after it began cannot get into the file, so who copies that alone has not got it."""
    server.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with sqlite.hold_read():
        server.execute("INSERT INTO a (b) VALUES ('two')")
        server.execute("PRAGMA wal_checkpoint(PASSIVE)")
        copy = sqlite.path.with_name("copy")
        copy.write_bytes(sqlite.path.read_bytes())

    assert sqlite.beside("copy").rows("SELECT b FROM a") == [("one",)]


def test_a_file_is_made_in_place_of_another(sqlite, server) -> None:
    """With nothing of the old one beside it."""
    server.close()
    sqlite.make("CREATE TABLE old (x); INSERT INTO old VALUES (1); PRAGMA user_version = 1;")

    assert (sqlite.rows("SELECT x FROM old"), sqlite.pragma("user_version")) == ([(1,)], 1)
    assert beside(sqlite).keys() == {"app.sqlite3"}
    with pytest.raises(ValueError, match="not the name"):
        sqlite.pragma("user_version = 2")


@pytest.mark.parametrize(("message", "name", "kind"), [
    ("malformed database schema (t) - near \"NEW\": syntax error", "SQLITE_CORRUPT", ServiceLost),
    ("disk I/O error", "SQLITE_IOERR_READ", ServiceLost),
    ("database or disk is full", "SQLITE_FULL", ServiceLost),
    ("database disk image is malformed", "SQLITE_CORRUPT", SchemaWrong),
    ("near \"SELEC\": syntax error", "SQLITE_ERROR", type(None)),
])
def test_whose_fault_an_error_is(message, name, kind) -> None:
    """A table that only a newer SQLite understands, a full disk: ours. A check's own mistake stays an error."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorname = name

    assert type(faults.fault(error, None)) is kind
