"""The recipe of SQLite on a file of its own: nothing is made by looking, emptied with and without a server."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from pathlib import Path

import pytest

from orchestrator import services
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.model import Credentials, Endpoint, Fidelity, NotYet, Ready
from orchestrator.services.base import Clearing, Emptying, Interactive, Recordable

RECIPE = services.recipe("sqlite")
LOGIN = RECIPE.credentials()


@pytest.fixture
def place(tmp_path: Path) -> Endpoint:
    """Where the file is to be, in a folder whose name needs quoting in an address."""
    folder = tmp_path / "it's 50% a ? folder"
    folder.mkdir()
    return Endpoint(0, file=str(folder / "app.sqlite3"))


def run(place: Endpoint, *statements: str) -> list[tuple[object, ...]]:
    """As a server does: the rows of the last one."""
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as file:
        found: list[tuple[object, ...]] = []
        for statement in statements:
            found = file.execute(statement).fetchall()
        return found


def left(place: Endpoint) -> list[str]:
    return sorted(path.name for path in Path(place.file).parent.iterdir())


def test_it_can_be_emptied_and_opened_by_people() -> None:
    """What a file has no way to offer is not offered: no record of what a server asked."""
    assert isinstance(RECIPE, Emptying)
    assert isinstance(RECIPE, Clearing)
    assert isinstance(RECIPE, Interactive)
    assert not isinstance(RECIPE, Recordable)


def test_looking_makes_no_file(place: Endpoint) -> None:
    """Whether there is a database is the server's doing, so neither probe nor product leave anything."""
    assert Ready() == RECIPE.probe(place, LOGIN)
    product = RECIPE.product(place, LOGIN)
    assert ("SQLite", sqlite3.sqlite_version, Fidelity.GENUINE) == (product.name, product.version, product.fidelity)
    assert RECIPE.environment(place, LOGIN) == {"SQLITE_PATH": place.file}
    assert RECIPE.contents(place, LOGIN) == frozenset()
    RECIPE.clear(place, LOGIN, spare=())
    with pytest.raises(UsageError, match="no database file yet"):
        RECIPE.run_statement(place, LOGIN, "SELECT 1")

    assert left(place) == []


def test_a_folder_that_is_away_is_not_ready_and_no_incarnation(place: Endpoint) -> None:
    """`stop` moves it away; when it is back it is the same."""
    folder = Path(place.file).parent
    before = RECIPE.incarnation(place, LOGIN)
    folder.rename(folder.with_name("away"))

    assert isinstance(RECIPE.probe(place, LOGIN), NotYet)
    with pytest.raises(ConnectionError, match="is gone"):
        RECIPE.incarnation(place, LOGIN)

    folder.with_name("away").rename(folder)
    assert before == RECIPE.incarnation(place, LOGIN)


def test_fresh_leaves_nothing(place: Endpoint) -> None:
    """The file, its journals, backups in folders, links: a link's target stays."""
    run(place, "PRAGMA journal_mode = wal", "CREATE TABLE a (b)")
    folder = Path(place.file).parent
    (folder / "backups").mkdir()
    (folder / "backups" / "one.sqlite3").write_bytes(b"x")
    other = folder.parent / "other"
    other.write_text("kept")
    (folder / "link").symlink_to(other)

    RECIPE.fresh(place, LOGIN)

    assert left(place) == []
    assert other.read_text() == "kept"


def test_fresh_goes_through_no_link(place: Endpoint, tmp_path: Path) -> None:
    """What is behind one that stands in the folder's place is somebody else's, and stays."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_text("three years")
    folder = Path(place.file).parent
    folder.rmdir()
    folder.symlink_to(precious)

    with pytest.raises(EnvironmentFault, match="is a link"):
        RECIPE.fresh(place, LOGIN)
    assert (precious / "thesis").exists()


def test_clear_empties_tables_under_an_open_server(place: Endpoint) -> None:
    """Rows go, tables and what is spared stay, numbers begin anew; the server's connection goes on."""
    server = sqlite3.connect(place.file, isolation_level=None)
    with contextlib.closing(server):
        server.execute("PRAGMA journal_mode = wal")
        server.execute("CREATE TABLE versions (v)")
        server.execute("INSERT INTO versions VALUES (2)")
        server.execute('CREATE TABLE "a ""b" (id INTEGER PRIMARY KEY AUTOINCREMENT, c)')
        server.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        spare = RECIPE.contents(place, LOGIN)
        server.execute('INSERT INTO "a ""b" (c) VALUES (7), (8)')
        server.execute("INSERT INTO words VALUES ('kind words')")
        assert (spare, RECIPE.contents(place, LOGIN)) == ({"versions"}, {"versions", 'a "b', "words"})

        RECIPE.clear(place, LOGIN, spare=spare)

        assert RECIPE.contents(place, LOGIN) == {"versions"}
        assert server.execute('INSERT INTO "a ""b" (c) VALUES (9) RETURNING id').fetchall() == [(1,)]


def test_clear_says_when_a_writer_does_not_end(place: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that a server left open."""
    monkeypatch.setattr("orchestrator.services.sqlite.space.LOCK_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as server:
        server.execute("CREATE TABLE a (b)")
        server.execute("BEGIN IMMEDIATE")
        with pytest.raises(EnvironmentFault, match="locked"):
            RECIPE.clear(place, LOGIN, spare=())


def test_statements_are_run_without_a_client_program(place: Endpoint) -> None:
    """Several on a line are one connection, so a transaction fits; a mistake is said in SQLite's words."""
    run(place, "CREATE TABLE a (b, c)")

    said = RECIPE.run_statement(place, LOGIN, "BEGIN; INSERT INTO a VALUES (';', 1); COMMIT; SELECT * FROM a")

    assert said.splitlines() == ["b | c", "--+--", "; | 1", "(1 row)"]
    assert RECIPE.run_statement(place, LOGIN, "DELETE FROM a") == "OK"
    with pytest.raises(UsageError, match="no such table: z"):
        RECIPE.run_statement(place, LOGIN, "SELECT * FROM z")
    with pytest.raises(UsageError, match="commands with a dot"):
        RECIPE.run_statement(place, LOGIN, ".tables")


def test_the_client_program_opens_the_file(place: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sqlite3` if it is on PATH; none installed: none."""
    run(place, "CREATE TABLE a (b)", "INSERT INTO a VALUES (7)")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert RECIPE.client(place, LOGIN, None) == []
    monkeypatch.undo()

    for client in RECIPE.client(place, LOGIN, "SELECT b FROM a"):
        done = subprocess.run(client.argv, capture_output=True, text=True, check=True, timeout=20)
        assert done.stdout.split() == ["b", "-", "7"]


@pytest.mark.parametrize(("said", "word"), [
    ("sqlite3.OperationalError: database is locked", "busy_timeout"),
    ("SqliteError: attempt to write a readonly database", "SQLITE_PATH"),
    ("unable to open database file: no such file (14)", "not a URL"),
])
def test_mistakes_of_a_client_are_translated(place: Endpoint, said: str, word: str) -> None:
    """One sentence of cause, by what the server's log has."""
    assert word in str(RECIPE.client_advice(place, LOGIN, f"a line\n{said}\n"))


def test_other_words_are_no_mistake(place: Endpoint) -> None:
    """A quiet log has no advice."""
    assert RECIPE.client_advice(place, Credentials("", "", "", "", ""), "The Box Office is open") is None
