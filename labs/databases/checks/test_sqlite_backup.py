"""sqlite/backup: a copy that is whole by itself, of one moment, while scanning goes on."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as done_within
from pathlib import Path
from threading import Event

import pytest

from orchestrator.checks import expect, promises

COUNTED = "SELECT (SELECT count(*) FROM tickets), (SELECT count(*) FROM scans)"
CROWD, BACKUPS, MORE = 120, 4, 12
NEW_TICKET = "INSERT INTO tickets (id, holder, event) VALUES (?, ?, ?)"
LARGE, LETTERS = 3000, 200  # tickets whose texts make a file of some hundred pages
STEADY, SOON = 0.05, 5.0  # seconds between two writes of another program; and after which a backup must be made, all the same
HELD, AT_MOST = 1.0, 1.5  # seconds: the contract says that a request waits for two at least
MANY, PARTS = 12_000, (0.0, 0.3, 0.6)  # tickets, a few megabytes; and of the time that a backup takes: when a scan comes
PATIENCE = 1.8  # seconds after which a backup that is not made waits for the writer, as scans do that wait for two only
WAITING = 20  # requests that wait at once: the contract says that so many stop none that reads


@pytest.fixture
def back_up(server, sqlite):
    """`back_up(at=server) -> Sqlite`: asks for a backup and opens it: a new file in the folder, with none that belongs to it."""

    def ask(at=server):
        answer = at.post("/gate/backup", deadline=20.0)
        expect.status(answer, 201, reason="backup-refused")
        path = Path(expect.field(answer, "path", str, reason="answer-wrong"))
        expect.true(
            path.parent == sqlite.path.parent and path != sqlite.path,
            "`path` that POST /gate/backup answers",
            reason="backup-elsewhere",
            expected="another file in the folder of SQLITE_PATH",
            seen=str(path),
        )
        backup = sqlite.beside(path.name)
        expect.true(backup.is_database(), "the file that POST /gate/backup answers", reason="backup-damaged",
                    expected="an SQLite database", seen="no such file, or another kind")  # fmt: skip
        for end in ("-wal", "-journal"):
            other = path.with_name(path.name + end)
            size = other.stat().st_size if other.exists() else 0
            expect.equal(0, size, f"how many bytes of the backup are in another file, {other.name}", "backup-not-alone")
        found = backup.integrity()
        expect.equal("ok", found, "what SQLite finds when it checks the whole backup", reason="backup-damaged")
        return backup

    return ask


@promises("post-gate-backup-201", "backup-whole", "backup-complete")
def test_a_backup_has_all_that_was_answered(server, sqlite, batch, lets_in, back_up, evidence):
    """A backup has each ticket and each scan that was answered before it, also those that are only in the journal."""
    body = batch(8)
    with sqlite.hold_read():  # another program reads: what is written now stays in the journal beside the file
        expect.status(server.post("/gate/tickets", json=body), 201, reason="load-refused")
        for ticket in body["tickets"][:5]:
            lets_in(ticket["id"])
        backup = back_up()
        for table in ("tickets", "scans"):
            query = f"SELECT * FROM {table} ORDER BY rowid"
            expect.equal(
                sqlite.rows(query),
                backup.rows(query),
                f"the rows of `{table}` in a backup, beside those of the file, which was not written meanwhile",
                reason="backup-incomplete",
            )
    evidence(f"a backup has all {backup.one(COUNTED)[0]} tickets and {backup.one(COUNTED)[1]} scans of the file")


@promises("backup-own-name")
def test_an_older_backup_stays(server, twin, sqlite, make_tickets, lets_in, back_up, evidence):
    """Another backup, also a second process's or after a restart, is another file; the first one stays as it is."""
    twin.get("/gate/scans")  # it is up before there is a backup
    first = back_up()
    content = hashlib.sha256(first.path.read_bytes()).hexdigest()
    lets_in(make_tickets(1)[0])
    names = {first.path.name}
    for at, restart in ((twin, False), (server, False), (server, True)):
        if restart:
            server.restart()
        other = back_up(at)
        expect.true(other.path.name not in names, "the name of another backup", reason="backup-overwritten",
                    expected="a new one", seen=other.path.name)  # fmt: skip
        names.add(other.path.name)
    for _ in range(MORE):
        expect.status(server.post("/gate/backup", deadline=20.0), 201, reason="backup-refused")
    now = hashlib.sha256(first.path.read_bytes()).hexdigest() if first.path.exists() else "no file"
    expect.true(now == content, f"the first backup, after {3 + MORE} more", reason="backup-overwritten",
                expected="the same file as before", seen="another content, or no file")  # fmt: skip
    evidence(f"the first backup is there as it was, beside {len(names) - 1 + MORE} later ones")


@promises("backup-own-name", "backup-complete", "backup-whole")
def test_two_backups_at_once(server, sqlite, make_tickets, lets_in, back_up, evidence):
    """A backup that is asked for while another one is being made has a name of its own, and each scan that came before it."""
    sqlite.plant(NEW_TICKET, *([f"more-{number}", "h" * LETTERS, "e" * LETTERS] for number in range(MANY)))
    alone = server.post("/gate/backup", deadline=20.0)
    expect.status(alone, 201, reason="backup-refused")
    names, overlapped = {Path(expect.field(alone, "path", str, reason="answer-wrong")).name}, 0
    for ticket, part in zip(make_tickets(len(PARTS)), PARTS, strict=True):
        with ThreadPoolExecutor(1) as aside:
            first = aside.submit(server.post, "/gate/backup", deadline=20.0)
            done_within([first], timeout=alone.elapsed * part)
            lets_in(ticket)
            overlapped += not first.done()
            second = back_up()
        expect.status(first.result(), 201, reason="backup-refused")
        both = [Path(expect.field(first.result(), "path", str, reason="answer-wrong")).name, second.path.name]
        for name in both:
            expect.true(name not in names, "the name of a backup, one of two that were asked for at once",
                        reason="backup-overwritten", expected="a new one", seen=name)  # fmt: skip
            names.add(name)
        there = second.value("SELECT count(*) FROM scans WHERE ticket = ?", [ticket])
        what = "a backup has of a ticket that was let in before it was asked for, and while another backup was being made"
        expect.equal(1, there, f"how many scans {what}", reason="backup-incomplete")
    evidence(f"{overlapped} times a backup was asked for while another one was made: {len(names)} names, each with all scans before it")


@promises("backup-beside", "readers-go-on")
def test_a_backup_waits_for_no_writer(server, waiting, make_tickets, scan_of, lets_in, evidence):
    """While another program holds the lock of writers, and 20 scans wait for it, a backup is made: it only reads."""
    first, *tickets = make_tickets(1 + WAITING)
    lets_in(first)
    with waiting([scan_of(one) for one in tickets], at_most=2 * PATIENCE):
        answer = expect.within(
            PATIENCE,
            lambda: server.post("/gate/backup", deadline=5 * PATIENCE),
            what=f"how long POST /gate/backup takes while {WAITING} scans wait for another program, which writes: a backup only reads",
            reason="backup-waits",
        )
    expect.status(answer, 201, reason="backup-refused")
    evidence(f"a backup was made while another program held the lock of writers, and {WAITING} scans waited for it")


@promises("backup-beside", "gate-waits")
def test_after_a_backup_a_scan_still_waits(server, sqlite, make_tickets, scan_of, back_up, evidence):
    """After a backup scans wait for another program's lock as before it: also on the connection that made the backup."""
    back_up()
    tickets = make_tickets(6)
    with ThreadPoolExecutor(1) as aside:
        with sqlite.hold_write(at_most=AT_MOST):
            asked = aside.submit(server.parallel, [scan_of(ticket) for ticket in tickets])
            done_within([asked], timeout=HELD)
        answers = asked.result()
    for answer in answers:
        what = f"the answer to a scan after a backup, while another program held the lock of writers for {HELD} s"
        expect.true(answer.status == 200, what, reason="locked-refused", expected="200",
                    seen=f"{answer.status} {answer.text[:200]}")  # fmt: skip
    evidence(f"after a backup, {len(tickets)} scans waited {HELD} s for another program's lock, and then were written")


@promises("backup-soon", "backup-whole", "backup-complete")
def test_a_backup_beside_a_steady_writer(server, sqlite, fresh, back_up, evidence):
    """While another program writes twenty times a second, a backup is made within 5 seconds, and is whole."""
    sqlite.plant(NEW_TICKET, *([f"many-{number}", "h" * LETTERS, "e" * LETTERS] for number in range(LARGE)))
    over, writes = Event(), []

    def write():
        while not over.is_set():
            sqlite.plant(NEW_TICKET, [fresh.name("ticket"), "holder", "event"])
            writes.append(None)
            over.wait(STEADY)

    with ThreadPoolExecutor(2) as aside:
        writer = aside.submit(write)
        try:
            asked = aside.submit(back_up)
            made = done_within([asked], timeout=SOON).done
            during = len(writes)
        finally:
            over.set()
        writer.result()
        backup = asked.result()
    expect.true(bool(made), f"POST /gate/backup while another program wrote {during} times", reason="backup-starts-over",
                expected=f"an answer within {SOON:.0f} s", seen="none, before the other program had stopped")  # fmt: skip
    expect.at_least(LARGE, backup.value("SELECT count(*) FROM tickets"), "how many tickets the backup has", "backup-incomplete")
    evidence(f"a backup of {backup.path.stat().st_size // 1000} kB was made while another program wrote every {STEADY} s")


@promises("backup-beside", "backup-whole", "backup-complete")
def test_backups_while_people_come_in(server, sqlite, make_tickets, scan_of, back_up, evidence):
    """While many scan, each backup is the file as it was at one moment, and every scan is answered."""
    tickets = make_tickets(CROWD)
    taken = []
    with ThreadPoolExecutor(1) as aside:
        scanning = aside.submit(server.parallel, [scan_of(ticket) for ticket in tickets], at_once=6)
        while len(taken) < BACKUPS:
            before = sqlite.one(COUNTED)
            taken.append((before, back_up()))
        answers = scanning.result()
    for answer in answers:
        expect.status(answer, 200, reason="scan-refused")
    scans = sqlite.rows("SELECT ticket, gate, scanned_at FROM scans ORDER BY id")
    for before, backup in taken:
        tickets_then, scans_then = backup.one(COUNTED)
        expect.at_least(before[0], tickets_then, "how many tickets a backup has, of those before it", "backup-incomplete")
        expect.at_least(before[1], scans_then, "how many scans a backup has, of those before it", "backup-incomplete")
        kept = backup.rows("SELECT ticket, gate, scanned_at FROM scans ORDER BY id")
        expect.equal(
            scans[: len(kept)],
            kept,
            "the scans in a backup that was made while many scanned, beside the first ones of the file",
            reason="backup-torn",
        )
    evidence(f"{BACKUPS} backups were made during {CROWD} scans, with {', '.join(str(b.one(COUNTED)[1]) for _, b in taken)} scans")
