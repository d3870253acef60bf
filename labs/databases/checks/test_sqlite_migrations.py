"""sqlite/migrations: a file of version 1, as last year's gate left it, is taken over at a start, whole and once."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as done_within
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.checks import expect, promises

SCANS = "SELECT ticket, gate, scanned_at FROM scans ORDER BY id"
LARGE, MANY = 10_000, 2_000
HELD, AT_MOST = 1.5, 1.8  # seconds: the contract says that a start waits for two at least


@pytest.fixture
def old_file(sqlite, fresh):
    """`old_file(used, unused, mode="delete") -> (used, unused)`: a file of version 1 in place of the server's, which is stopped.

    Both are rows of `tickets`: id, holder, event, used_at, used_gate. The used ones come in the order of their times.
    """

    def make(used: int, unused: int, mode: str = "delete") -> tuple[list[tuple], list[tuple]]:
        event, first = fresh.name("event"), datetime(2026, 5, 1, 19, tzinfo=UTC)
        rows = [
            (
                fresh.name("ticket") if used < 100 else f"ticket-{number:06}",
                f"O'Hara {number}",
                event,
                f"{first + timedelta(seconds=7 * number):%Y-%m-%dT%H:%M:%SZ}" if number < used else None,
                f"door {number}" if number < used and number % 3 else None,
            )
            for number in range(used + unused)
        ]
        sqlite.make(
            f"PRAGMA journal_mode = {mode};"
            "CREATE TABLE tickets (id TEXT PRIMARY KEY, holder TEXT NOT NULL, event TEXT NOT NULL, used_at TEXT, used_gate TEXT);"
            "PRAGMA user_version = 1;"
        )
        if rows:
            sqlite.plant("INSERT INTO tickets (id, holder, event, used_at, used_gate) VALUES (?, ?, ?, ?, ?)", *fresh.shuffled(rows))
        return rows[:used], rows[used:]

    return make


@promises("version-1-taken-over", "version-1-scans", "version-1-gate", "file-version", "scans-in-order", "file-refuses")
def test_a_file_of_version_1_is_taken_over(server, sqlite, old_file, scan_of, lets_in, refuses, evidence):
    """Last year's tickets are there; those that were used are scans, in the order of their times; the rest lets in."""
    server.stop()
    used, unused = old_file(9, 4)
    server.start()

    tickets = sorted(sqlite.rows("SELECT id, holder, event FROM tickets"))
    expect.equal(sorted(row[:3] for row in [*used, *unused]), tickets,
                 "the rows of `tickets` after a start on a file of version 1", reason="tickets-lost")  # fmt: skip
    expected = [(ticket, gate or "main", used_at) for ticket, _, _, used_at, gate in used]
    scans = sqlite.rows(SCANS)
    expect.equal(sorted(row[0] for row in expected), sorted(row[0] for row in scans),
                 "the tickets in `scans` after a start on a file of version 1, some of whose tickets had been used",
                 reason="used-forgotten")  # fmt: skip
    expect.equal(expected, scans, "the rows of `scans` after a start on a file of version 1, by their ids", "scans-changed")
    version = sqlite.pragma("user_version")
    expect.at_least(2, version, "`PRAGMA user_version` after a start on a file of version 1", reason="version-not-set")

    call = scan_of(used[0][0])
    expect.status(server.post(call.path, json=call.json), 409, reason="used-forgotten", code="already_in")
    lets_in(unused[0][0])
    expect.equal("wal", sqlite.journal_mode(), "the journal mode of the file after that start", reason="not-in-wal")
    refuses(", in a file that was of version 1")
    said = sqlite.refused("INSERT INTO scans (ticket, gate, scanned_at) VALUES (?, 'south', '2027-05-01T19:30:00Z')", [used[0][0]])
    expect.true((said or "").startswith("SQLITE_CONSTRAINT"), "what SQLite says to a second scan of a ticket that was used",
                reason="direct-duplicate-accepted", expected="a constraint refuses it", seen=said or "it was taken")  # fmt: skip
    evidence(f"{len(tickets)} tickets of a file of version 1 are there, {len(scans)} used ones as scans in their order")


@promises("version-1-taken-over", "file-version")
def test_nobody_had_come_in(server, sqlite, old_file, lets_in, make_tickets, evidence):
    """A file of version 1 in which no ticket was used, or with none at all, is taken over, too."""
    for tickets in (3, 0):
        server.stop()
        _, unused = old_file(0, tickets)
        server.start()
        what = f"after a start on a file of version 1 with {tickets} tickets, none of them used"
        expect.equal(sorted(row[:3] for row in unused), sorted(sqlite.rows("SELECT id, holder, event FROM tickets")),
                     f"the rows of `tickets` {what}", reason="tickets-lost")  # fmt: skip
        expect.equal([], sqlite.rows(SCANS), f"the rows of `scans` {what}", reason="scans-changed")
        expect.at_least(2, sqlite.pragma("user_version"), f"`PRAGMA user_version` {what}", reason="version-not-set")
        lets_in(unused[0][0] if unused else make_tickets(1)[0])
    evidence("files of version 1 with three tickets and no scan, and with none at all, are as new ones with as many")


@promises("version-1-taken-over", "start-twice", "gate-row-of-others")
def test_it_is_taken_over_once(server, sqlite, old_file, evidence):
    """Started again and again, your server leaves the file as it is, also where a scan was taken back meanwhile."""
    server.stop()
    used, _ = old_file(6, 2)
    server.start()
    sqlite.plant("DELETE FROM scans WHERE ticket = ?", [used[2][0]])
    before = {table: sqlite.rows(f"SELECT * FROM {table} ORDER BY rowid") for table in ("tickets", "scans")}
    for _ in range(2):
        server.restart()
        for table, rows in before.items():
            now = sqlite.rows(f"SELECT * FROM {table} ORDER BY rowid")
            expect.equal(rows, now, f"the rows of `{table}` after another start on a file that had been taken over",
                         reason="migrated-again")  # fmt: skip
    evidence("two more starts changed nothing in the file")


@promises("version-1-whole")
def test_it_is_taken_over_whole(server, sqlite, old_file, evidence):
    """While your server takes over a large file, another program sees version 1 or all of the new one."""
    server.stop()
    used, _ = old_file(LARGE, 10)
    states = {"old": 0, "new": 0}
    with ThreadPoolExecutor(1) as aside:
        start = aside.submit(server.start)
        while not start.done():
            has_scans = sqlite.value("SELECT count(*) FROM sqlite_schema WHERE name = 'scans' AND type = 'table'")
            if not has_scans:
                states["old"] += 1
                continue
            version, scans = sqlite.one("SELECT user_version, (SELECT count(*) FROM scans) FROM pragma_user_version")
            expect.true(
                version >= 2 and scans == len(used),
                "what another program sees in the file while your server takes over a file of version 1 with "
                f"{len(used)} used tickets: as soon as there is a table `scans`",
                reason="half-migrated",
                expected=f"user_version 2 or more, and {len(used)} scans",
                seen=f"user_version {version}, and {scans} scans",
            )
            states["new"] += 1
        start.result()
    expect.equal(len(used), sqlite.value("SELECT count(*) FROM scans"), "how many scans there are after the start",
                 reason="used-forgotten")  # fmt: skip
    evidence(f"another program looked {states['old']} times at version 1 and {states['new']} times at the new one, at no other")


@promises("version-1-two-starts", "version-1-taken-over", "version-1-whole", "start-twice")
def test_two_processes_start_on_it(server, sqlite, old_file, lets_in, scan_of, evidence):
    """Two processes of your server start on one file of version 1 while another program holds the lock of writers."""
    server.stop()
    used, unused = old_file(30, 10, mode="wal")  # in another mode a start may fail: SQLite changes it at once or not at all
    with ThreadPoolExecutor(1) as aside:
        with sqlite.hold_write(at_most=AT_MOST):  # both have opened the file when one of them may go on
            other = server.replica(wait=False)
            start = aside.submit(server.start)
            done_within([start], timeout=HELD)
        start.result()
        other.get("/gate/scans")  # it is up, too
    what = "after two processes of your server had started on it at the same moment"
    tickets = sorted(row[:3] for row in [*used, *unused])
    expect.equal(tickets, sorted(sqlite.rows("SELECT id, holder, event FROM tickets")),
                 f"the rows of `tickets` in a file of version 1, {what}", reason="tickets-lost")  # fmt: skip
    expected = [(ticket, gate or "main", used_at) for ticket, _, _, used_at, gate in used]
    expect.equal(expected, sqlite.rows(SCANS), f"the rows of `scans` in a file that was of version 1, {what}", "scans-changed")
    expect.at_least(2, sqlite.pragma("user_version"), f"`PRAGMA user_version` of a file of version 1, {what}", "version-not-set")
    lets_in(unused[0][0], at=other)
    call = scan_of(unused[0][0])
    expect.status(server.post(call.path, json=call.json), 409, reason="used-forgotten", code="already_in")
    evidence(f"two processes started on one file of version 1 at once: its {len(tickets)} tickets and {len(used)} scans are there once")


@promises("version-1-whole", "version-1-taken-over")
def test_a_start_that_is_killed(server, sqlite, old_file, evidence):
    """Killed right after a start on a file of version 1 and started again, your server has all of it."""
    server.stop()
    used, unused = old_file(MANY, 10)
    server.start()
    server.kill()
    expect.equal("ok", sqlite.integrity(), "what SQLite finds when it checks the whole file after a kill", "schema-damaged")
    seen = [sqlite.value("SELECT count(*) FROM tickets"), sqlite.value("SELECT count(*) FROM scans")]
    expect.equal([len(used) + len(unused), len(used)], seen, "how many tickets and scans there are after a kill and a start",
                 reason="used-forgotten")  # fmt: skip
    evidence(f"{len(used)} scans were in the file after a start, a kill and another start")


@promises("file-version", "file-made")
def test_a_new_file_has_a_version(server, sqlite, batch, evidence):
    """Where there is no file, your server makes one that says its version."""
    server.stop()
    sqlite.remove()
    server.start()
    version = sqlite.pragma("user_version")
    expect.at_least(2, version, "`PRAGMA user_version` of a file that your server has made", reason="version-not-set")
    expect.status(server.post("/gate/tickets", json=batch(2)), 201, reason="load-refused")
    evidence(f"a new file has version {version}")
