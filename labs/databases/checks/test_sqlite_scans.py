"""sqlite/scans: a ticket lets one person in, whichever process asks, and the file itself refuses a second scan."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as done_within

from orchestrator.checks import NoAnswer, expect, promises

HELD = 0.4  # seconds in which both processes have looked whether the ticket was scanned before, if they look
TICKETS, AT_ONCE = 12, 6
LARGE = 98_000  # the contract says that a body of up to 100 kB is taken


@promises("post-gate-scans-200", "post-gate-scans-409", "post-gate-scans-404", "post-gate-scans-422", "scanned-at",
          "scanned-at-text", "new-scan-gate", "scan-kept")  # fmt: skip
def test_the_first_scan_lets_in_and_the_second_does_not(
    server, sqlite, edges, make_tickets, lets_in, scan_as_stored, scan_of, fresh, evidence
):
    """The first scan of a ticket is 200 and a row in the file; each one after it is 409, also after a restart."""
    tickets = make_tickets(3)
    for ticket in tickets:
        scan_as_stored(lets_in(ticket, gate="north"), ticket, "north")
        shown = server.get(f"/gate/tickets/{ticket}")
        expect.true(
            expect.field(shown, "scanned_at", (str, type(None)), reason="answer-wrong") is not None,
            "`scanned_at` that GET /gate/tickets/ID answers after the scan", reason="answer-wrong",
            expected="the time of the scan", seen=None,
        )  # fmt: skip

    def refused(ticket, status, code, reason, gate="south"):
        call = scan_of(ticket, gate)
        expect.status(server.post(call.path, json=call.json), status, reason=reason, code=code)

    refused(tickets[0], 409, "already_in", "scanned-twice")
    refused(tickets[0], 409, "already_in", "scanned-twice", gate="north")
    for unknown in (fresh.name("ticket"), "' OR '1'='1", tickets[0].upper() + " "):
        refused(unknown, 404, "not_found", "unknown-id-answer")
    for never in ("", "n" * 201):  # no ticket can have it: whether that is a mistake in the request is the server's
        call = scan_of(never)
        expect.status(server.post(call.path, json=call.json), 404, 422, reason="unknown-id-answer")
    for edge in edges.body("POST", "/gate/scans"):
        (ticket,) = make_tickets(1)
        body = edge.within(scan_of(ticket).json)
        answer = server.post("/gate/scans", json=body)
        if edge.field == "ticket":
            expect.status(answer, *((404, 200) if edge.allowed else (422, 404)), reason="invalid-accepted")
            continue
        expect.status(answer, 200 if edge.allowed else 422, reason="edge-refused" if edge.allowed else "invalid-accepted")
        rows = [(body["gate"],)] if edge.allowed else []
        expect.equal(rows, sqlite.rows("SELECT gate FROM scans WHERE ticket = ?", [ticket]),
                     f"`gate` of the rows of a ticket that was scanned with a gate of {edge.why}", reason="text-changed")  # fmt: skip

    server.restart()
    refused(tickets[1], 409, "already_in", "scanned-twice")
    evidence(f"{len(tickets)} tickets were let in once each, and not again after a restart")


@promises("large-body", "more-fields", "post-gate-scans-200")
def test_a_large_scan_is_taken(server, sqlite, make_tickets, scan_of, scan_as_stored, evidence):
    """A scan whose body is 98 kB lets in as any other: the door sends more than your server asks for."""
    (ticket,) = make_tickets(1)
    answer = server.post("/gate/scans", json={**scan_of(ticket).json, "remarks": "r" * LARGE})
    what = f"the answer to a scan with {LARGE // 1000} kB more, which nobody asked for"
    expect.true(answer.status == 200, what, reason="large-refused", expected="200", seen=f"{answer.status} {answer.text[:200]}")
    scan_as_stored(answer, ticket, "north")
    evidence(f"a scan with a body of {LARGE // 1000} kB let in")


@promises("field-names", "post-gate-scans-422")
def test_a_scan_goes_by_the_names_of_its_fields(server, sqlite, edges, make_tickets, scan_of, scan_as_stored, evidence):
    """`Ticket` is not `ticket`: beside it, it is one field more; in its place, the field is missing."""
    tried = 0
    for field, others in edges.misnamed("POST", "/gate/scans").items():
        (ticket,), names = make_tickets(1), " and ".join(f"`{one}`" for one in others)
        body = scan_of(ticket).json
        lacking = {**dict.fromkeys(others, body[field]), **{name: value for name, value in body.items() if name != field}}
        expect.status(server.post("/gate/scans", json=lacking), 422, reason="name-by-letter", code="invalid")
        rows = sqlite.value("SELECT count(*) FROM scans WHERE ticket = ?", [ticket])
        expect.equal(0, rows, f"how many scans the file has of a ticket after a body with {names} in place of `{field}`", "name-by-letter")
        answer = server.post("/gate/scans", json={**body, **{one: [] for one in others}})
        expect.true(answer.status == 200, f"the answer to a scan with {names} behind `{field}`", "name-by-letter", "200", f"{answer.status} {answer.text}")
        scan_as_stored(answer, ticket, "north")
        tried += 2
    evidence(f"{tried} bodies had fields such as `TICKET`: none of them was taken for another")


@promises("gate-row-of-others", "post-gate-scans-409")
def test_scans_of_another_program_count(server, sqlite, make_tickets, make_scan, lets_in, scan_of, evidence):
    """A scan that another program wrote keeps its ticket out; one that it deleted lets it in again."""
    ticket, other = make_tickets(2)
    make_scan(ticket)
    call = scan_of(ticket)
    expect.status(server.post(call.path, json=call.json), 409, reason="plant-not-seen", code="already_in")
    lets_in(other)
    sqlite.plant("DELETE FROM scans WHERE ticket = ?", [ticket], [other])
    for one in (ticket, other):
        lets_in(one, reason="deletion-not-seen")
    evidence("a scan written with SQL kept its ticket out, and two deleted ones let theirs in again")


@promises("scanned-once")
def test_two_doors_at_the_same_moment(server, twin, sqlite, make_tickets, scan_of, evidence):
    """Two processes of your server get the same ticket while neither can write yet: one of them lets in."""
    tickets = make_tickets(3)
    for ticket in tickets:
        call = scan_of(ticket)
        with ThreadPoolExecutor(2) as aside:
            with sqlite.hold_write():
                asked = [aside.submit(at.parallel, [call], unanswered="keep") for at in (server, twin)]
                done_within(asked, timeout=HELD)
            answers = [one.result()[0] for one in asked]
        let_in = sum(not isinstance(one, NoAnswer) and one.status == 200 for one in answers)
        rows = sqlite.value("SELECT count(*) FROM scans WHERE ticket = ?", [ticket])
        what = "of one ticket that was scanned at two processes of your server, while another program held the lock of writers"
        expect.at_most(1, rows, f"how many rows `scans` has {what}", reason="scanned-twice")
        expect.equal(rows, let_in, f"how many 200 were answered {what}, where `scans` has {rows}", reason="scanned-twice")
    evidence(f"{len(tickets)} tickets were scanned at two processes at the same moment: never did both let in")


@promises("scanned-once", "gate-waits")
def test_a_crowd_at_two_doors(server, twin, sqlite, make_tickets, scan_of, together, fresh, evidence):
    """Many scans of a few tickets at two processes: one 200 for each ticket, 409 for all others, and one row."""
    tickets = make_tickets(TICKETS)
    calls = [scan_of(ticket, gate) for ticket in tickets for gate in ("north", "south", "east")]
    halves = together([lambda at=at: at.parallel(fresh.shuffled(calls), at_once=AT_ONCE) for at in (server, twin)])
    let_in = []
    for answer in (answer for half in halves for answer in half):
        expect.status(answer, 200, 409, reason="scan-refused")
        if answer.status == 200:
            let_in.append(expect.field(answer, "ticket", str, reason="answer-wrong"))
    expect.equal(sorted(tickets), sorted(let_in), "which tickets were let in, once for each 200", reason="scanned-twice")
    rows = sorted(row[0] for row in sqlite.rows("SELECT ticket FROM scans") if row[0] in set(tickets))
    expect.equal(sorted(tickets), rows, "the tickets in `scans`, once for each row", reason="scanned-twice")
    evidence(f"of {2 * len(calls)} scans at two processes {TICKETS} let in, one for each ticket")


@promises("get-gate-scans-200", "get-gate-scans-422", "scans-in-order", "pages", "pages-full", "bad-page")
def test_the_list_is_in_the_order_of_the_scans(server, sqlite, make_tickets, make_scan, lets_in, pages, same_moment, evidence):
    """GET /gate/scans lists each scan once, in the order in which they were made, also where a clock was set back."""
    tickets = make_tickets(16)
    for place, ticket in enumerate(tickets):
        if place % 3:
            make_scan(ticket, scanned_at=f"2027-05-01T{20 - place:02}:00:00Z")
        else:
            lets_in(ticket)
    sqlite.plant("DELETE FROM scans WHERE ticket = ?", [tickets.pop(4)])

    def more(_):
        make_scan(make_tickets(1)[0])

    items = pages("/gate/scans", 3, between=lambda page: more(page) if len(page) == 3 and page[0]["ticket"] in tickets else None)
    seen = [one for item in items if (one := expect.field(item, "ticket", str, reason="list-shape")) in set(tickets)]
    expect.equal(tickets, seen, "the tickets that GET /gate/scans lists, of those that were scanned in this order",
                 reason="list-order")  # fmt: skip
    for item in items[:4]:
        holder, gate, moment = sqlite.one(
            "SELECT holder, gate, scanned_at FROM tickets JOIN scans ON ticket = tickets.id WHERE ticket = ?", [item["ticket"]]
        )
        expect.fields(item, {"holder": holder, "gate": gate}, "a scan that GET /gate/scans lists", reason="answer-wrong")
        said = expect.field(item, "scanned_at", str, reason="answer-wrong")
        same_moment(moment, said, "`scanned_at` that GET /gate/scans lists", reason="answer-wrong")
    expect.status(server.get("/gate/scans", params={"after": "no such place"}), 422, reason="bad-page-accepted", code="invalid")
    evidence(f"GET /gate/scans listed {len(seen)} scans in the order of their rows, while more were made between the pages")


@promises("limit", "pages-full", "bad-page", "get-gate-scans-200", "get-gate-scans-422")
def test_a_page_of_scans_is_as_long_as_asked(server, edges, make_tickets, make_scan, fresh, evidence):
    """A page of GET /gate/scans has as many items as `limit` says, 20 without it; other limits are refused."""
    make_scan(*make_tickets(5))
    make_scan(*(fresh.name("ticket") for _ in range(5)), known=False)  # they are listed, or left out
    make_scan(*make_tickets(96))
    for edge in edges.query("GET", "/gate/scans"):
        answer = server.get("/gate/scans", params={edge.field: edge.value})
        if not edge.allowed:
            expect.status(answer, 422, reason="bad-page-accepted", code="invalid")
            continue
        expect.status(answer, 200, reason="list-refused")
        items = expect.field(answer, "items", list, reason="list-shape")
        what = f"the number of items of GET /gate/scans with limit={edge.value}"
        expect.equal(int(edge.value), len(items), what, reason="page-length")
        expect.field(answer, "next", str, reason="list-shape")
    items = expect.field(server.get("/gate/scans"), "items", list, reason="list-shape")
    expect.equal(20, len(items), "the number of items of GET /gate/scans without `limit`", reason="page-length")
    evidence("pages of 1, 20 and 100 scans were as long as asked, with scans of unknown tickets among them; 0, 101 and 1x were refused")


@promises("file-refuses")
def test_the_file_itself_refuses(server, refuses, evidence):
    """Whoever writes into the file cannot load a ticket twice, scan one twice, or leave something out."""
    many = refuses("")
    evidence(f"SQLite itself refused {many} rows of another program, and took good ones")
