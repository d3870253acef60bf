"""sqlite/tickets: the file is an SQLite database with the tables of storage.md; tickets are rows, all of a list or none."""

from urllib.parse import quote

from orchestrator.checks import expect, promises

ODD_IDS = ("007", "7", "7.0", "1e3", "1000", "0x10", "a1", "A1", " a1", "a1 ", "null", "x'; DROP TABLE tickets; --",
           "x' OR '1'='1", "%", "_1", "\N{LATIN SMALL LETTER E WITH ACUTE}1", "e\N{COMBINING ACUTE ACCENT}1",
           "\N{ADMISSION TICKETS}", '"', "9223372036854775808",
           # What a path has its own signs for, or a route its own idea of: `.` of a pattern is no line feed, `$` stands before one.
           "row 1\nseat 2", "row 1\tseat 2", "\nb1", "b1\n", "b1", "b1\t", "50%", "%41", "A", "a+b", "a b", "a?b", "a#b",
           "a&b=c",
           # The longest: a letter like the last ones is twelve in a path and two for some languages.
           "n" * 200, "n" * 120 + "\N{ADMISSION TICKETS}" * 80, "\N{ADMISSION TICKETS}" * 200)  # fmt: skip
LARGE = 98_000  # the contract says that a body of up to 100 kB is taken


@promises("names-exact", "file-made", "file-shared")
def test_the_file_is_a_database(server, sqlite, evidence):
    """Your server made an SQLite database at SQLITE_PATH when it started, with the tables of storage.md."""
    sqlite.rows("SELECT id, holder, event FROM tickets LIMIT 0")
    sqlite.rows("SELECT id, ticket, gate, scanned_at FROM scans LIMIT 0")
    expect.equal("ok", sqlite.integrity(), "what SQLite finds when it checks the whole file", reason="schema-damaged")
    evidence("the file begins as an SQLite database does, and has both tables with all their columns")


@promises("post-gate-tickets-201", "get-gate-tickets-one-200")
def test_a_list_of_tickets_is_rows(server, sqlite, batch, evidence):
    """Each ticket of a list that POST /gate/tickets takes is a row in the file, and GET answers it."""
    body = batch(20)
    answer = server.post("/gate/tickets", json=body)
    expect.status(answer, 201, reason="load-refused")
    expect.fields(answer, {"loaded": 20}, "the answer to POST /gate/tickets with 20 tickets", reason="answer-wrong")
    rows = sqlite.rows("SELECT id, holder FROM tickets WHERE event = ?", [body["event"]])
    expect.equal(
        sorted((one["id"], one["holder"]) for one in body["tickets"]),
        sorted(rows),
        "the rows of `tickets` with the event of a list that had just been loaded",
        reason="not-stored",
    )
    for ticket in body["tickets"][:3]:
        answer = server.get(f"/gate/tickets/{ticket['id']}")
        expect.status(answer, 200, reason="answer-wrong")
        expected = {**ticket, "event": body["event"], "scanned_at": None}
        expect.fields(answer, expected, "the answer to GET /gate/tickets/ID of a ticket that was loaded", "answer-wrong")
    evidence("20 tickets of one POST are 20 rows in the file")


@promises("gate-row-of-others", "get-gate-tickets-one-200", "get-gate-tickets-one-404", "unknown-id")
def test_what_is_in_the_file_is_answered(server, sqlite, make_tickets, make_scan, same_moment, fresh, evidence):
    """Rows that another program wrote into the file are answered; those that it deleted are not."""
    free, used = make_tickets(2)
    moment = fresh.time()
    make_scan(used, scanned_at=moment)
    for ticket, scanned_at in ((free, None), (used, moment)):
        row = sqlite.one("SELECT id, holder, event FROM tickets WHERE id = ?", [ticket])
        answer = server.get(f"/gate/tickets/{ticket}")
        expect.status(answer, 200, reason="plant-not-seen")
        what = "the answer to GET /gate/tickets/ID of a ticket that I wrote into the file with SQL"
        expect.fields(answer, dict(zip(("id", "holder", "event"), row, strict=True)), what, reason="plant-not-seen")
        said = expect.field(answer, "scanned_at", (str, type(None)), reason="answer-wrong")
        if scanned_at and said:
            same_moment(scanned_at, said, f"`scanned_at` of {what}", reason="plant-not-seen")
        else:
            expect.equal(scanned_at, said, f"`scanned_at` of {what}", reason="plant-not-seen")

    sqlite.plant("DELETE FROM tickets WHERE id = ?", [free])
    expect.status(server.get(f"/gate/tickets/{free}"), 404, reason="not-deleted", code="not_found")
    for unknown in (fresh.name("ticket"), "0", "-1", "' OR 1=1 --", "%"):
        answer = server.get(f"/gate/tickets/{quote(unknown, safe='')}")
        expect.status(answer, 404, reason="injection" if "'" in unknown else "unknown-id-answer", code="not_found")
    evidence("a ticket and a scan that were written into the file with SQL came back over HTTP; a deleted one is gone")


@promises("post-gate-tickets-409", "batch-whole")
def test_a_list_with_a_ticket_that_is_there_loads_nothing(server, sqlite, batch, make_tickets, in_the_file, evidence):
    """A list that names a ticket twice, or one that is there already, is refused; none of its tickets is loaded."""
    (there,) = make_tickets(1)
    before = sqlite.rows("SELECT id, holder, event FROM tickets WHERE id = ?", [there])
    for what, place, double in (
        ("the first of which is there already", 0, there),
        ("the last of which is there already", -1, there),
        ("the last of which is the first one again", -1, None),
    ):
        body = batch(12)
        body["tickets"][place]["id"] = double or body["tickets"][0]["id"]
        answer = server.post("/gate/tickets", json=body)
        expect.status(answer, 409, reason="duplicate-accepted", code="ticket_exists")
        new = [one for one in body["tickets"] if one["id"] != there]
        expect.equal(
            0,
            in_the_file(new),
            f"how many tickets are in the file of a list of 12, {what}, that was answered with 409",
            reason="batch-in-pieces",
        )
    after = sqlite.rows("SELECT id, holder, event FROM tickets WHERE id = ?", [there])
    expect.equal(before, after, "the row of the ticket that was there before these lists", reason="changes-others")
    evidence("of three lists with a ticket too many nothing is in the file")


@promises("post-gate-tickets-409", "batch-whole", "file-shared")
def test_a_ticket_that_comes_while_a_list_waits(server, late_double, evidence):
    """A list waits while another program loads one of its tickets: it is refused, and nothing of it is loaded."""
    late_double(may_fail=True)
    evidence("of a list that waited, while another program loaded one of its tickets, nothing is in the file")


@promises("ticket-id-kept", "text-kept")
def test_an_id_is_text(server, sqlite, fresh, evidence):
    """Ids that look like numbers, like each other or like SQL are kept letter by letter, each a ticket of its own."""
    event = fresh.text("event")
    holders = {one: fresh.text("holder") for one in ODD_IDS}
    body = {"event": event, "tickets": [{"id": one, "holder": holder} for one, holder in holders.items()]}
    answer = server.post("/gate/tickets", json=body)
    expect.status(answer, 201, reason="id-changed")
    stored = dict(sqlite.rows("SELECT id, holder FROM tickets WHERE event = ?", [event]))
    expect.equal(holders, stored, "ids and holders in `tickets` after a list with odd ids", reason="id-changed")
    for one, holder in holders.items():
        answer = server.get(f"/gate/tickets/{quote(one, safe='')}")
        expect.status(answer, 200, reason="id-changed")
        expect.fields(
            answer, {"id": one, "holder": holder, "event": event}, f"the answer to GET of the ticket {one!r}", "id-changed"
        )
    answer = server.get("/gate/tickets/a+b")  # nobody has to write a `+` in a path as %2B
    expect.status(answer, 200, reason="id-changed")
    expect.fields(answer, {"id": "a+b"}, "the answer to GET /gate/tickets/a+b", "id-changed")
    evidence(f"{len(ODD_IDS)} ids, some of 200 characters, others like numbers, like each other or like SQL, are {len(stored)} rows")


@promises("post-gate-tickets-422", "bad-body", "gate-tickets-event", "gate-tickets-list", "gate-ticket-id",
          "gate-ticket-holder")  # fmt: skip
def test_what_is_no_list_of_tickets(server, sqlite, edges, batch, evidence):
    """A list with anything wrong in it is 422 and loads nothing; the longest texts and the longest list are taken."""

    def refused(body, why):
        before = sqlite.value("SELECT count(*) FROM tickets")
        answer = server.post("/gate/tickets", json=body)
        expect.status(answer, 422, reason="invalid-accepted", code="invalid")
        after = sqlite.value("SELECT count(*) FROM tickets")
        expect.equal(before, after, f"how many rows `tickets` has after a list with {why}", reason="invalid-accepted")

    tried = 0
    for edge in edges.body("POST", "/gate/tickets"):
        if edge.field == "tickets":
            continue
        body = edge.within(batch(2))
        if edge.allowed:
            expect.status(server.post("/gate/tickets", json=body), 201, reason="edge-refused")
            stored = [body["event"]] * 2
            seen = [row[0] for one in body["tickets"]
                    for row in sqlite.rows("SELECT event FROM tickets WHERE id = ?", [one["id"]])]  # fmt: skip
            expect.equal(stored, seen, f"`event` of two tickets, posted as {edge.why}", reason="text-changed")
        else:
            refused(body, f"{edge.field} as {edge.why}")
        tried += 1
    for name in ("id", "holder"):
        for value, why in ((7, "a number"), (None, "null"), ("", "an empty text"), ("n" * 201, "201 characters"),
                           ("n" * 200 + "\n", "200 characters and a line feed")):  # fmt: skip
            body = batch(3)
            body["tickets"][-1][name] = value
            refused(body, f"{name} of its last ticket as {why}")
            tried += 1
        body = batch(3)
        del body["tickets"][-1][name]
        refused(body, f"no {name} in its last ticket")
        body = batch(2)
        first, last = body["tickets"]
        first[name] += "\N{ADMISSION TICKETS}" * (200 - len(first[name]))
        last[name] = " "
        expect.status(server.post("/gate/tickets", json=body), 201, reason="edge-refused")
        for one, what in ((first, "of 200 characters"), (last, "of one space")):
            many = sqlite.value(f"SELECT count(*) FROM tickets WHERE {name} = ? AND event = ?", [one[name], body["event"]])
            expect.equal(1, many, f"how many tickets have the {name} {what} that was just loaded", reason="text-changed")
        expect.status(server.get(f"/gate/tickets/{quote(last['id'], safe='')}"), 200, reason="id-changed")
    for value, why in (([], "no ticket in it"), ({}, "an object"), ("x", "a text"), (None, "null"), (["x"], "a text in it"),
                       ([None], "null in it"), ([["x"]], "a list in it")):  # fmt: skip
        refused({**batch(1), "tickets": value}, f"tickets as {why}")
    refused(batch(1001), "1001 tickets")
    body = batch(1000)
    expect.status(server.post("/gate/tickets", json=body), 201, reason="edge-refused")
    count = sqlite.value("SELECT count(*) FROM tickets WHERE event = ?", [body["event"]])
    expect.equal(1000, count, "how many tickets of a list of 1000 are in the file", reason="not-stored")
    evidence(f"{tried + 10} lists with something wrong left no row; one of 1000 tickets is 1000 rows")


@promises("field-names", "bad-body", "post-gate-tickets-422")
def test_a_list_goes_by_the_names_of_its_fields(server, sqlite, edges, batch, fresh, evidence):
    """`ID` is not `id`, beside the list or in one of its tickets: it is one field more, or a field is missing."""
    tried, reason = 0, "name-by-letter"

    def stored(event):
        return sorted(sqlite.rows("SELECT id, holder FROM tickets WHERE event = ?", [event]))

    for part, fields in (("the body", edges.misnamed("POST", "/gate/tickets")), ("its last ticket", edges.misnamed_in("NewGateTicket"))):
        for field, others in fields.items():
            names = " and ".join(f"`{one}`" for one in others)
            for lacking in (True, False):
                body = batch(3)
                wanted = sorted((one["id"], one["holder"]) for one in body["tickets"])
                event, holds = body["event"], body if part == "the body" else body["tickets"][-1]
                if lacking:
                    holds |= dict.fromkeys(others, holds.pop(field))
                    expect.status(server.post("/gate/tickets", json=body), 422, reason=reason, code="invalid")
                    what = f"the tickets in the file of a list with {names} in place of `{field}` in {part}"
                    expect.equal([], stored(event), what, reason=reason)
                else:
                    holds |= dict.fromkeys(others, fresh.name("other"))
                    answer, what = server.post("/gate/tickets", json=body), f"a list with {names} behind `{field}` in {part}"
                    expect.true(answer.status == 201, f"the answer to {what}", reason, "201", f"{answer.status} {answer.text}")
                    expect.equal(wanted, stored(event), f"the tickets in the file of {what}", reason=reason)
                tried += 1
    evidence(f"{tried} lists had fields such as `ID` and `Holder`: none of them was taken for another")


@promises("large-body", "more-fields", "post-gate-tickets-201")
def test_a_large_list_is_taken(server, batch, in_the_file, evidence):
    """A body of 98 kB is taken, whatever makes it so large: fields that nobody asked for, beside the list or in it."""
    for place in ("beside the list", "in its last ticket"):
        body = batch(3)
        (body if place == "beside the list" else body["tickets"][-1])["remarks"] = "r" * LARGE
        answer = server.post("/gate/tickets", json=body)
        what = f"the answer to a list of 3 tickets with {LARGE // 1000} kB more {place}, which nobody asked for"
        expect.true(answer.status == 201, what, reason="large-refused", expected="201", seen=f"{answer.status} {answer.text[:200]}")
        expect.equal(3, in_the_file(body["tickets"]), "how many tickets of this list are in the file", reason="not-stored")
    evidence(f"two lists with a body of {LARGE // 1000} kB were loaded")


@promises("start-twice")
def test_a_second_start_keeps_what_is_there(server, sqlite, batch, make_tickets, make_scan, evidence):
    """Tickets and scans are still there after your server was started again, and more can be loaded."""
    body = batch(3)
    expect.status(server.post("/gate/tickets", json=body), 201, reason="load-refused")
    (planted,) = make_tickets(1)
    make_scan(planted)
    before = {table: sqlite.rows(f"SELECT * FROM {table} ORDER BY rowid") for table in ("tickets", "scans")}

    server.restart()

    for table, rows in before.items():
        now = sqlite.rows(f"SELECT * FROM {table} ORDER BY rowid")
        expect.equal(rows, now, f"the rows of `{table}` after a restart of your server", reason="restart-loses-rows")
    expect.status(server.get(f"/gate/tickets/{body['tickets'][0]['id']}"), 200, reason="restart-loses-rows")
    expect.status(server.post("/gate/tickets", json=batch(2)), 201, reason="load-refused")
    evidence("4 tickets and a scan outlived a second start of your server")
