"""postgres/constraints and mysql/constraints: what must not be is refused by the API with its code, and by the database whoever asks."""

import pytest

from orchestrator.checks import Call, expect, promises

ORDER = "INSERT INTO orders (event_id, buyer_id, seat, price_cents) VALUES (%s, %s, %s, %s)"
ORDER_AT = "INSERT INTO orders (event_id, buyer_id, seat, price_cents, created_at) VALUES (%s, %s, %s, %s, %s)"
OWN_TICKET = "INSERT INTO tickets (order_id, event_id, seat) SELECT id, event_id, seat FROM orders WHERE event_id = %s AND seat = %s"
EVENT = "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, %s, %s)"
BUYER = "INSERT INTO buyers (name, balance_cents) VALUES (%s, %s)"
MOVED = "UPDATE tickets SET order_id = %s WHERE order_id = %s"
GIVEN = "UPDATE orders SET buyer_id = %s WHERE id = %s"
TICKET = "INSERT INTO tickets (order_id, event_id, seat) VALUES (%s, %s, %s)"


def sale_of(event, buyer, seat):
    """The statements of an order and its ticket."""
    return [(ORDER, [event, buyer, seat, 100]), (OWN_TICKET, [event, seat])]


@pytest.fixture
def rule(sales):
    """`rule(what, good, bad, reason) -> SQLSTATE`: tries two things as the learner's role, undone at once.

    Both are lists of `(sql, params)`; the first keeps all rules and must be accepted, the second breaks one and must be
    refused.
    """

    def judge(what, good, bad, reason):
        state = sales.refused_of(good)
        expect.true(
            state is None,
            f"a statement that breaks no rule, tried with SQL (beside: {what})",
            reason="good-row-refused",
            expected=f"{sales.title} accepts it",
            seen=f"{sales.title} refused it, SQLSTATE {state}",
        )
        state = sales.refused_of(bad)
        expect.true(
            state is not None,
            f"{what}, tried with SQL past your server",
            reason=reason,
            expected=f"{sales.title} refuses it",
            seen=f"{sales.title} accepted it",
        )
        return state

    return judge


@promises("database-refuses", "no-duplicates", "venue-by-letter")
def test_the_database_refuses_duplicates(server, sales, rule, make_buyer, make_event, make_sale, fresh, evidence):
    """The database itself refuses a second event at one place and time, and a second ticket of one seat."""
    venue, starts_at, buyer = f"{fresh.name('venue')} Aaé", fresh.time(), make_buyer()
    event = make_event(venue=venue, starts_at=starts_at)
    make_sale(event, buyer, 5)
    for place, time in (
        (venue, fresh.time()), (venue.upper(), starts_at), (venue.lower(), starts_at), (f" {venue} ", starts_at),
        (venue.replace("é", "e"), starts_at), (venue.replace("é", "e\u0301"), starts_at),
        (f"{venue} ", starts_at), (f"{venue}\u200b", starts_at),
    ):
        events = rule(
            f"a second event with the same venue and starts_at; beside it one at {place} at {time}, after one at {venue} "
            f"at {starts_at}",
            [(EVENT, [fresh.name("event"), place, time, 10, 100])],
            [(EVENT, [fresh.name("event"), venue, starts_at, 10, 100])],
            "direct-duplicate-accepted",
        )
    long = f"{fresh.name('venue')} ".ljust(199, "a")
    for taken, free in ((f"{long}a", f"{long}b"), (f"{venue}🎟", f"{venue}🎫")):
        time = fresh.time()
        make_event(venue=taken, starts_at=time)
        rule(
            f"a second event with the same venue and starts_at; beside it one at {free}, after one at {taken}",
            [(EVENT, [fresh.name("event"), free, time, 10, 100])],
            [(EVENT, [fresh.name("event"), taken, time, 10, 100])],
            "direct-duplicate-accepted",
        )
    tickets = rule(
        "a second ticket of a seat that is sold",
        sale_of(event, buyer, 6),
        sale_of(event, buyer, 5),
        "direct-duplicate-accepted",
    )
    evidence(
        f"{sales.title} refused a second event (SQLSTATE {events}) and a second ticket (SQLSTATE {tickets}) that I "
        "wrote with SQL"
    )


@promises("database-refuses", "no-duplicates")
def test_the_database_refuses_duplicates_of_what_it_cannot_see_yet(
    server, sales, make_buyer, make_event, make_sale, fresh, evidence
):
    """Of two sessions that write the same at once, the database itself keeps one: rules that look cannot."""
    venue, starts_at, buyer, event = fresh.name("venue"), fresh.time(), make_buyer(), make_event()
    place = {"venue": venue, "starts_at": starts_at, "seats": 10, "price_cents": 100}
    order = {"event_id": event, "buyer_id": buyer, "seat": 8, "price_cents": 100}

    def sell(session):
        session.insert("tickets", {"order_id": session.insert("orders", order), "event_id": event, "seat": 8})

    rows = [
        ("an event", lambda session: session.insert("events", {"name": fresh.name("event"), **place}),
         "events WHERE venue = %s", [venue]),
        ("a ticket", sell, "tickets WHERE event_id = %s", [event]),
    ]
    for what, write, where, key in rows:
        # If the second has to wait for the first one's end, it will be refused then; that is as good as a refusal.
        with sales.as_learner() as first, sales.as_learner(lock_timeout=0.1) as second:
            write(first)
            try:
                write(second)
            except Exception as error:
                if getattr(error, "sqlstate", None) is None:
                    raise
                second.rollback()
            first.commit()
            second.commit()
        expect.equal(
            1,
            sales.value(f"SELECT count(*) FROM {where}", key),
            f"how many rows {sales.title} has of {what} that two sessions wrote before either had committed",
            reason="duplicate-in-a-race",
        )
    evidence("two SQL sessions wrote the same event, and the same ticket, before either committed: one of each is there")


@promises("database-refuses", "no-orphans", "no-deleting")
def test_the_database_refuses_orphans(server, sales, rule, make_buyer, make_event, make_sale, evidence):
    """The database itself refuses orders of nobody, tickets of no order, and deleting what an order names."""
    buyer, event, unused_buyer, unused_event = make_buyer(), make_event(), make_buyer(), make_event()
    kept_order = make_sale(event, buyer, 5)
    # Ids of the right type that no row has any more.
    gone_buyer, gone_event, gone_order = make_buyer(), make_event(), make_sale(event, buyer, 9)
    sales.plant("DELETE FROM tickets WHERE order_id = %s", [gone_order])
    sales.plant("DELETE FROM orders WHERE id = %s", [gone_order])
    sales.plant("DELETE FROM buyers WHERE id = %s", [gone_buyer])
    sales.plant("DELETE FROM events WHERE id = %s", [gone_event])

    good = sale_of(event, buyer, 6)
    states = [
        rule(
            "an order of an event that does not exist",
            good,
            sale_of(gone_event, buyer, 6),
            "direct-orphan-accepted",
        ),
        rule(
            "an order of a buyer who does not exist",
            good,
            sale_of(event, gone_buyer, 6),
            "direct-orphan-accepted",
        ),
        rule(
            "a ticket of an order that does not exist",
            good,
            [(TICKET, [gone_order, event, 6])],
            "direct-orphan-accepted",
        ),
        rule(
            "an UPDATE that gives a ticket to an order that does not exist",
            [(MOVED, [kept_order, kept_order])],
            [(MOVED, [gone_order, kept_order])],
            "direct-orphan-accepted",
        ),
        rule(
            "an UPDATE that gives an order to a buyer who does not exist",
            [(GIVEN, [unused_buyer, kept_order])],
            [(GIVEN, [gone_buyer, kept_order])],
            "direct-orphan-accepted",
        ),
        rule(
            "deleting an event that an order names",
            [("DELETE FROM events WHERE id = %s", [unused_event])],
            [("DELETE FROM events WHERE id = %s", [event])],
            "direct-orphan-accepted",
        ),
        rule(
            "deleting a buyer whom an order names",
            [("DELETE FROM buyers WHERE id = %s", [unused_buyer])],
            [("DELETE FROM buyers WHERE id = %s", [buyer])],
            "direct-orphan-accepted",
        ),
    ]
    evidence(
        f"{sales.title} refused {len(states)} statements that would have left an order or a ticket without its "
        "other half"
    )


@promises("database-refuses", "no-gaps")
def test_the_database_refuses_gaps(server, sales, rule, make_buyer, make_event, fresh, evidence):
    """The database itself refuses rows with something missing, and a balance below zero."""
    buyer, event = make_buyer(), make_event()
    rows = [
        (BUYER, ("name", "balance_cents"), [fresh.name("buyer"), 100]),
        (
            EVENT,
            ("name", "venue", "starts_at", "seats", "price_cents"),
            [fresh.name("event"), fresh.name("venue"), fresh.time(), 10, 100],
        ),
        (
            ORDER_AT,
            ("event_id", "buyer_id", "seat", "price_cents", "created_at"),
            [event, buyer, 6, 100, "2027-01-02T03:04:05Z"],
        ),
    ]
    refused = 0
    for sql, columns, values in rows:
        for place, column in enumerate(columns):
            broken = [None if at == place else value for at, value in enumerate(values)]
            rule(
                f"NULL for the column {column} ({' '.join(sql.split()[:3])})",
                [(sql, values)],
                [(sql, broken)],
                "direct-null-accepted",
            )
            refused += 1
    order, ticket_of_it = sale_of(event, buyer, 6)
    for column, ticket in (
        ("order_id", "NULL, event_id, seat"),
        ("event_id", "id, NULL, seat"),
        ("seat", "id, event_id, NULL"),
    ):
        broken = [order, (ticket_of_it[0].replace("SELECT id, event_id, seat", f"SELECT {ticket}"), ticket_of_it[1])]
        rule(f"NULL for the column {column} (INSERT INTO tickets)", [order, ticket_of_it], broken, "direct-null-accepted")
        refused += 1
    rule(
        "a buyer with a balance of -1",
        [(BUYER, [fresh.name("buyer"), 0])],
        [(BUYER, [fresh.name("buyer"), -1])],
        "direct-negative-balance-accepted",
    )
    evidence(f"{sales.title} refused NULL in {refused} columns and a balance of -1")


@promises("venue-by-letter", "post-events-409", "patch-events-one-409", "delete-events-one-409", "seats-not-below-sold")
def test_the_api_says_which_rule(server, sales, make_buyer, make_event, make_sale, fresh, sold, evidence):
    """The API answers a broken rule with its code, not with an error of the server."""
    venue, starts_at = f"{fresh.name('venue')} Aaé", fresh.time()
    first = make_event(venue=venue, starts_at=starts_at)
    other = make_event(venue=venue)
    body = {"name": fresh.name("event"), "venue": venue, "starts_at": starts_at, "seats": 10, "price_cents": 100}
    expect.status(server.post("/events", json=body), 409, reason="duplicate-answer", code="event_exists")
    expect.status(
        server.patch(f"/events/{other}", json={"starts_at": starts_at}),
        409,
        reason="duplicate-answer",
        code="event_exists",
    )
    expect.status(server.patch(f"/events/{first}", json={"starts_at": starts_at}), 200, reason="duplicate-of-itself")
    # Another text is another venue.
    for place in (venue.upper(), venue.lower(), f"{venue} ", venue.replace("é", "e"), venue.replace("é", "e\u0301")):
        expect.status(server.post("/events", json={**body, "venue": place}), 201, reason="other-venue-refused")
    for place in (f"{venue}\nback door", f"{venue} ' for key '", f'{venue} "(venue)=("'):  # as a database's own words have it
        for status, code in ((201, None), (409, "event_exists")):
            answer = server.post("/events", json={**body, "venue": place})
            expect.status(answer, status, reason="duplicate-answer" if code else "good-body-refused", code=code)

    event, buyer = make_event(seats=50), make_buyer()
    make_sale(event, buyer, 20)
    expect.status(server.delete(f"/events/{event}"), 409, reason="sold-event-answer", code="seats_sold")
    expect.status(
        server.patch(f"/events/{event}", json={"seats": 19}), 409, reason="sold-event-answer", code="seats_sold"
    )
    expect.status(server.patch(f"/events/{event}", json={"seats": 20}), 200, reason="sold-event-answer")
    expect.equal(
        (1, 1),
        sold(event),
        "how many orders and tickets the event has after DELETE was refused",
        reason="sold-event-lost",
    )
    rows = sales.value("SELECT count(*) FROM events WHERE venue = %s AND starts_at = %s", [venue, starts_at])
    expect.equal(1, rows, f"how many events {sales.title} has at this venue at this time", reason="duplicate-stored")
    evidence(
        f"{sales.title} still has one event at that place and time, and the order and ticket of the event that may not go"
    )


@promises("patch-events-one-200", "delete-events-one-204", "patch-events-one-409", "delete-events-one-409")
def test_a_refusal_keeps_no_lock(server, twin, make_buyer, make_event, make_sale, fresh, evidence):
    """What was refused leaves nothing locked: the same events are changed and deleted at once by another process."""
    place = {"venue": fresh.name("venue"), "starts_at": fresh.time()}
    first, other, sold_out, unsold, gone = make_event(**place), *(make_event() for _ in range(4))
    make_sale(sold_out, make_buyer(), 20)
    expect.status(server.delete(f"/events/{gone}"), 204, reason="delete-refused")
    body = {"name": fresh.name("event"), "seats": 10, "price_cents": 100}
    refusals = [
        (Call("POST", "/events", json={**body, **place}), 409),
        (Call("PATCH", f"/events/{other}", json=place), 409),
        (Call("PATCH", f"/events/{unsold}", json={**body, **place}), 409),
        (Call("PATCH", f"/events/{first}", json={"seats": 0}), 422),
        (Call("PATCH", f"/events/{sold_out}", json={"seats": 19}), 409),
        (Call("DELETE", f"/events/{sold_out}"), 409),
        (Call("PATCH", f"/events/{gone}", json=body), 404),
        (Call("DELETE", f"/events/{gone}"), 404),
    ]
    for call, status in refusals:
        expect.status(server.request(call.method, call.path, json=call.json), status, reason="refusal-wrong")
    twin.get("/events")  # it has started
    for method, event, status in (
        *(("PATCH", event, 200) for event in (first, other, sold_out, unsold)),
        ("DELETE", unsold, 204), ("DELETE", other, 204), ("PATCH", gone, 404),
    ):
        change = {"name": fresh.name("event"), "seats": 50} if method == "PATCH" else None
        what = f"{method} of an event at a second process of your server, after requests for it were refused at the first one"

        def ask(method=method, event=event, change=change):
            return twin.request(method, f"/events/{event}", json=change)

        # Who has to wait for a lock that nobody frees is answered 503 within 2 seconds, or not at all.
        answer = expect.within(2.5, ask, what=what, reason="left-behind")
        seen = f"{answer.status} {answer.text}"
        expect.true(answer.status == status, f"the answer to {what}", reason="left-behind", expected=status, seen=seen)
    evidence(f"after {len(refusals)} requests that were refused, a second process changed and deleted their events at once")
