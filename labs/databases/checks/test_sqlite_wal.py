"""sqlite/wal: whoever reads never waits for a writer, and whoever writes waits for its turn and then gets it.

The checker is another program that has the same file open: it holds the lock of writers for a moment and lets go.
"""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as done_within
from itertools import count
from threading import Event

from orchestrator.checks import Call, expect, promises

HELD, AT_MOST = 1.2, 1.5  # seconds: the contract says that a request waits for two at least
PATIENCE = 1.8  # seconds after which a reader that has no answer waits for the writer, which may itself wait for two only
LONG = 12.0  # seconds after which a request that still waits gets its turn: how long it waits is the server's
WAITING = 20  # requests that wait at once: the contract says that so many stop no reader
PAUSE = 0.01  # seconds between two writes of the other program: it, too, lets others have their turn
CROWD = 30


@promises("file-in-wal")
def test_the_file_is_in_the_mode_wal(server, sqlite, make_tickets, lets_in, evidence):
    """The journal mode of the file is `wal`, after a start, a stop, a restart, and a start on a file in another mode."""
    for moment in ("after its start", "after a scan", "after a restart", "when it was stopped, and nobody else has the file open",
                   "after a start on a file in the mode delete"):  # fmt: skip
        mode = sqlite.journal_mode()
        expect.equal("wal", mode, f"the journal mode of the file that your server uses, {moment}", reason="not-in-wal")
        if moment == "after its start":
            lets_in(make_tickets(1)[0])
        elif moment == "after a scan":
            server.restart()
        elif moment == "after a restart":
            server.stop()
        elif moment.startswith("when it was stopped"):
            sqlite.leave_wal()  # as it was before this milestone
            server.start()
    evidence("the file says that its journal mode is wal, also after a stop and a restart, and where it was in another mode before")


@promises("gate-waits", "scan-kept")
def test_a_writer_waits_for_its_turn(server, twin, sqlite, batch, make_tickets, in_the_file, scan_of, evidence):
    """While another program holds the lock of writers, scans and lists wait; when it lets go, they are answered."""
    first, second = make_tickets(2)
    body = batch(5)
    twin.get("/gate/scans")  # it is up
    with ThreadPoolExecutor(3) as aside:
        with sqlite.hold_write(at_most=AT_MOST):
            asked = [
                aside.submit(server.parallel, [scan_of(first)]),
                aside.submit(twin.parallel, [scan_of(second)]),
                aside.submit(server.parallel, [Call("POST", "/gate/tickets", json=body)]),
            ]
            early = done_within(asked, timeout=HELD).done
            said = [one.result()[0] for one in early]
            for answer in said:
                expect.true(
                    answer.status not in (200, 201),
                    "an answer of your server while another program held the lock of writers, so that nobody could write",
                    reason="answered-unwritten",
                    expected="none, until the lock is let go",
                    seen=f"{answer.status} {answer.text[:100]}",
                )
        answers = [one.result()[0] for one in asked]
    what = f"what your server answered to {{}} while another program held the lock of writers for {HELD} s"
    for answer, status, asked_for in zip(answers, (200, 200, 201), ("a scan", "a scan at a second process", "a list"),
                                         strict=True):  # fmt: skip
        expect.true(answer.status == status, what.format(asked_for), reason="locked-refused", expected=str(status),
                    seen=f"{answer.status} {answer.text[:200]}")  # fmt: skip
    rows = {row[0] for row in sqlite.rows("SELECT ticket FROM scans")} & {first, second}
    expect.equal(2, len(rows), "how many of the two scans are in the file", reason="not-stored")
    expect.equal(5, in_the_file(body["tickets"]), "how many of the 5 tickets are in the file", reason="not-stored")
    evidence(f"two scans and a list waited {HELD} s for another program's lock, and then were written")


@promises("readers-go-on", "file-in-wal")
def test_a_reader_waits_for_nobody(server, waiting, make_tickets, batch, scan_of, evidence):
    """While another program writes and 20 scans, or 20 lists, wait for it, tickets and scans are read at once."""
    other, *tickets = make_tickets(1 + WAITING)
    lists = [Call("POST", "/gate/tickets", json=batch(1)) for _ in range(WAITING)]
    for which, calls in (("scans", [scan_of(ticket) for ticket in tickets]), ("lists", lists)):
        answers = []
        with waiting(calls, exclusive=True, at_most=2 * PATIENCE):
            for path in (f"/gate/tickets/{other}", "/gate/scans"):
                answers.append(
                    expect.within(
                        PATIENCE,
                        lambda path=path: server.get(path, deadline=6 * PATIENCE),
                        what=f"how long GET {path} takes while another program writes, and {WAITING} {which} wait for that",
                        reason="reader-waits",
                    )
                )
        for answer in answers:
            expect.status(answer, 200, reason="locked-refused")
    evidence(f"a ticket and the list of scans were read while another program held the lock of writers and {WAITING} scans, or lists, waited")


@promises("gate-waits", "scan-kept", "post-gate-tickets-201", "gate-refused-is-undone")
def test_a_lock_that_is_held_for_long(server, sqlite, batch, make_tickets, scan_of, true_or_busy, evidence):
    """Another program holds the lock of writers until your server has answered: with 503, or when it has written."""
    calls = [*map(scan_of, make_tickets(2)), Call("POST", "/gate/tickets", json=batch(3))]
    with ThreadPoolExecutor(1) as aside:
        with sqlite.hold_write(at_most=LONG + 1):
            asked = aside.submit(server.parallel, calls)
            if done_within([asked], timeout=LONG).done:
                for call, answer in zip(calls, asked.result(), strict=True):
                    true_or_busy(call, answer)  # here nobody can have written
        answers = asked.result()
    expect.status(server.post("/gate/tickets", json=batch(1)), 201, reason="load-refused")  # and what waited behind it is over
    for call, answer in zip(calls, answers, strict=True):
        true_or_busy(call, answer)
    said = ", ".join(str(answer.status) for answer in answers)
    evidence(f"two scans and a list met a lock that was held for long: the answers were {said}, each with its rows, or a 503")


@promises("gate-waits", "post-gate-tickets-409", "post-gate-scans-409", "post-gate-scans-404", "scanned-once")
def test_what_was_waited_for_counts(sqlite, make_tickets, scan_of, meanwhile, refused_as, late_double, evidence):
    """What another program commits while a list or a scan waits counts: a ticket is there, its holder is in, or it is gone."""
    late_double(may_fail=False)
    (ticket,) = make_tickets(1)
    scan = "INSERT INTO scans (ticket, gate, scanned_at) VALUES (?, 'south', '2027-05-01T19:30:00Z')"
    (answer,) = meanwhile([scan_of(ticket)], (scan, [ticket]))
    what = "a scan that waited for another program, which let in the holder of this ticket meanwhile"
    refused_as(answer, what, "scanned-twice", "already_in")
    (ticket,) = make_tickets(1)
    (answer,) = meanwhile([scan_of(ticket)], ("DELETE FROM tickets WHERE id = ?", [ticket]))
    what = "a scan that waited for another program, which deleted its ticket meanwhile"
    refused_as(answer, what, "let-in-without-ticket", "not_found", status=404)
    rows = sqlite.value("SELECT count(*) FROM scans WHERE ticket = ?", [ticket])
    expect.equal(0, rows, f"how many rows `scans` has after {what}", reason="let-in-without-ticket")
    evidence("a list and two scans waited for another program, and what it had written meanwhile refused them with 409 and 404")


@promises("gate-waits", "scanned-once")
def test_many_write_and_read_at_once(server, twin, sqlite, batch, make_tickets, scan_of, together, evidence):
    """Two processes scan, load and list while another program writes again and again: no client gets an error."""
    tickets = make_tickets(2 * CROWD)
    bodies = [batch(3) for _ in range(CROWD // 3)]
    over, written = Event(), count()

    def others():
        while not over.is_set():
            make_tickets(2)
            next(written)
            over.wait(PAUSE)

    def crowd(at, mine):
        calls = [scan_of(one) for one in mine]
        calls += [Call("POST", "/gate/tickets", json=body) for body in (bodies[::2] if at is server else bodies[1::2])]
        calls += [Call("GET", "/gate/scans"), Call("GET", f"/gate/tickets/{mine[0]}")] * 5
        return at.parallel(calls, at_once=8)

    with ThreadPoolExecutor(1) as aside:
        writer = aside.submit(others)
        try:
            halves = together([lambda: crowd(server, tickets[:CROWD]), lambda: crowd(twin, tickets[CROWD:])])
        finally:
            over.set()
        writer.result()
    answers = [answer for half in halves for answer in half]
    wrong = [answer for answer in answers if answer.status not in (200, 201)]
    expect.true(
        not wrong,
        f"the {len(answers)} answers of two processes of your server while another program wrote {next(written)} times",
        reason="locked-refused",
        expected="200 or 201, all of them",
        seen=f"{len(wrong)} others, the first of them {wrong[0].status} {wrong[0].text[:200]}" if wrong else "",
    )
    scanned = {row[0] for row in sqlite.rows("SELECT ticket FROM scans")} & set(tickets)
    expect.equal(len(tickets), len(scanned), "how many of the scanned tickets are in `scans`", reason="not-stored")
    expect.equal("ok", sqlite.integrity(), "what SQLite finds when it checks the whole file", reason="schema-damaged")
    evidence(f"{len(answers)} requests at two processes were answered, none with an error, while another program wrote, too")
