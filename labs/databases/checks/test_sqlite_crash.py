"""sqlite/crash: your server may be killed at any moment, and the network may go: no list in pieces, no scan lost."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as done_within

from orchestrator.checks import Call, NoAnswer, expect, promises

LARGE = 1000
PARTS = (0.0, 0.2, 0.4, 0.7)  # of the time that a list takes: when your server is killed
HELD = 0.5
SCANS, AT_ONCE = 240, 8
LOOKS = 60


@promises("batch-whole")
def test_nobody_sees_a_part_of_a_list(server, sqlite, batch, in_the_file, evidence):
    """While a long list is loaded, another program sees none of its tickets or all of them."""
    looks = 0
    for _ in range(2):
        body = batch(LARGE)
        with ThreadPoolExecutor(1) as aside:
            loading = aside.submit(server.post, "/gate/tickets", json=body, deadline=30.0)
            while not loading.done():
                seen = in_the_file(body["tickets"])
                looks += 1
                expect.true(
                    seen in (0, LARGE),
                    f"how many tickets of a list of {LARGE} another program sees in the file while it is being loaded",
                    reason="batch-in-pieces",
                    expected=f"0 or {LARGE}",
                    seen=str(seen),
                )
        expect.status(loading.result(), 201, reason="load-refused")
        expect.equal(LARGE, in_the_file(body["tickets"]), "how many of them are there afterwards", reason="not-stored")
    evidence(f"another program looked {looks} times while two lists of {LARGE} tickets were loaded, and saw no part of one")


@promises("batch-whole", "post-gate-tickets-201")
def test_a_list_whose_server_is_killed(server, sqlite, batch, in_the_file, evidence):
    """Killed in the middle of a list, your server has loaded none of its tickets or all; the file is whole."""
    first = server.post("/gate/tickets", json=batch(LARGE), deadline=30.0)
    expect.status(first, 201, reason="load-refused")
    whole = 0
    for part in PARTS:
        body = batch(LARGE)
        with ThreadPoolExecutor(1) as aside:
            call = Call("POST", "/gate/tickets", json=body)
            loading = aside.submit(server.parallel, [call], unanswered="keep", deadline=30.0)
            done_within([loading], timeout=first.elapsed * part)
            server.kill()
            (answer,) = loading.result()
        seen = in_the_file(body["tickets"])
        what = f"in the file of a list of {LARGE}, in the middle of which your server was killed"
        expect.true(seen in (0, LARGE), f"how many tickets are {what}", reason="batch-in-pieces",
                    expected=f"0 or {LARGE}", seen=str(seen))  # fmt: skip
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 201, reason="load-refused")
            expect.equal(LARGE, seen, f"how many tickets are {what}, right after it had answered 201", reason="not-stored")
        expect.equal("ok", sqlite.integrity(), "what SQLite finds when it checks the whole file after a kill", "schema-damaged")
        again = server.post("/gate/tickets", json=body, deadline=30.0)
        expect.status(again, 409 if seen else 201, reason="load-refused")
        whole += bool(seen)
    evidence(f"{len(PARTS)} lists whose server was killed were loaded whole ({whole}) or not at all ({len(PARTS) - whole})")


@promises("scan-kept")
def test_no_scan_that_was_answered_is_lost(server, sqlite, wait, make_tickets, scan_of, evidence):
    """Killed in the middle of many scans, your server has in the file each one that it answered with 200."""
    tickets = make_tickets(SCANS)
    before = sqlite.value("SELECT count(*) FROM scans")
    with ThreadPoolExecutor(1) as aside:
        calls = [scan_of(ticket) for ticket in tickets]
        scanning = aside.submit(server.parallel, calls, at_once=AT_ONCE, unanswered="keep")
        enough = before + SCANS // 6
        wait.until(lambda: scanning.done() or sqlite.value("SELECT count(*) FROM scans") >= enough, deadline=20.0,
                   what="some scans in the file")  # fmt: skip
        server.kill()
        answers = scanning.result()
    let_in = {one for one, answer in zip(tickets, answers, strict=True)
              if not isinstance(answer, NoAnswer) and answer.status == 200}  # fmt: skip
    rows = {row[0] for row in sqlite.rows("SELECT ticket FROM scans")}
    expect.equal(
        0,
        len(let_in - rows),
        f"how many scans are missing in the file, of {len(let_in)} that your server had answered with 200 before it was killed",
        reason="scan-lost",
    )
    for ticket in [*let_in][:3]:
        call = scan_of(ticket)
        answer = server.post(call.path, json=call.json)
        expect.status(answer, 409, reason="scanned-twice", code="already_in")
    expect.equal("ok", sqlite.integrity(), "what SQLite finds when it checks the whole file after a kill", "schema-damaged")
    evidence(f"{len(let_in)} scans had been answered when your server was killed: all of them are in the file")


@promises("scan-kept", "post-gate-scans-200")
def test_what_is_answered_is_in_the_file(server, sqlite, make_tickets, lets_in, evidence):
    """Another program looks as soon as a scan is answered, again and again: each one is in the file by then."""
    tickets = make_tickets(LOOKS)
    late = 0
    for ticket in tickets:
        lets_in(ticket)
        late += not sqlite.value("SELECT count(*) FROM scans WHERE ticket = ?", [ticket])
    expect.equal(0, late, f"how many of {LOOKS} scans were not in the file at the moment when they were answered with 200", "scan-lost")
    evidence(f"{LOOKS} scans were in the file as soon as they were answered")


@promises("scan-kept", "gate-waits")
def test_a_scan_that_cannot_be_written_lets_nobody_in(server, sqlite, make_tickets, scan_of, evidence):
    """A scan while another program holds the lock of writers, and your server is killed before it lets go."""
    ticket, *_ = make_tickets(1)
    with ThreadPoolExecutor(1) as aside, sqlite.hold_write(at_most=30.0):
        scan = aside.submit(server.parallel, [scan_of(ticket)], unanswered="keep")
        done_within([scan], timeout=HELD)
        server.stop(grace=0.0)
        (answer,) = scan.result()
    server.start()
    rows = sqlite.value("SELECT count(*) FROM scans WHERE ticket = ?", [ticket])
    if not isinstance(answer, NoAnswer) and answer.status == 200:
        expect.equal(
            1,
            rows,
            "how many rows `scans` has of a ticket whose scan was answered with 200 while another program held the lock of "
            "writers; then your server was killed",
            reason="scan-lost",
        )
    evidence("a scan that could not be written was not answered with 200")


@promises("gate-alone")
def test_the_door_goes_on_without_the_other_stores(server, fault, batch, lets_in, evidence):
    """With the links to PostgreSQL and Redis cut, tickets are loaded, scanned and listed as ever."""
    body = batch(3)
    try:
        with fault.down("postgres"), fault.down("redis"):
            expect.status(server.post("/gate/tickets", json=body), 201, reason="gate-needs-others")
            for ticket in body["tickets"]:
                lets_in(ticket["id"], reason="gate-needs-others")
            expect.status(server.get("/gate/scans"), 200, reason="gate-needs-others")
    finally:
        server.restart_later()  # how the other stores come back is the matter of their own milestones
    evidence("3 tickets were loaded and scanned while neither PostgreSQL nor Redis could be reached")
