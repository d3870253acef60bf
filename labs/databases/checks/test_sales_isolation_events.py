"""postgres/isolation and mysql/isolation: an event changes, is deleted or read while it is sold, as if one came after the other."""

import json

import pytest

from orchestrator.checks import NoAnswer, expect, promises

PRICE = 300


@promises("seats-not-below-sold", "sale-of-what-is-there", "allowed-sale-made")
def test_seats_taken_away_between_two_steps(
    explore, server, twin, sale, sales, make_buyer, make_event, evidence
):
    """Between any two steps of a sale the event loses this seat, and the other way round: one of the two is refused."""

    def prepare():
        return make_event(seats=20, price_cents=PRICE), make_buyer(PRICE)

    def sell(one, case):
        return sale(one, case[0], 20, case[1])

    def shrink(one, case):
        return one.patch(f"/events/{case[0]}", json={"seats": 10})

    def holds(case, sold, shrunk):
        seats, tickets = sales.one(
            "SELECT seats, (SELECT count(*) FROM tickets t WHERE t.event_id = e.id) FROM events e WHERE concat(id) = %s",
            [case[0]],
        )
        expect.true(
            seats == 20 or not tickets,
            f"what {sales.title} has of an event after a sale of its seat 20 and a change to 10 seats at the same moment",
            reason="seat-beyond-event",
            expected="a ticket for seat 20 and 20 seats, or no ticket and 10 seats",
            seen=f"{tickets} ticket for seat 20 and {seats} seats",
        )
        if not isinstance(sold, NoAnswer) and sold.status != 201:
            expect.status(sold, 422, reason="sale-fails-under-load", code="invalid")
        if not isinstance(shrunk, NoAnswer) and shrunk.status != 200:
            expect.status(shrunk, 409, reason="sale-fails-under-load", code="seats_sold")
        if not any(isinstance(answer, NoAnswer) for answer in (sold, shrunk)):
            expect.equal(
                (sold.status == 201, shrunk.status == 200),
                (tickets == 1, seats == 10),
                f"which of the two was answered as done (the sale, the change), beside {sales.title}",
                reason="false-success",
            )
            expect.at_least(1, tickets + (seats == 10), "how many of the two were done", reason="sale-fails-under-load")

    first = explore.interleave(
        lambda case: sell(server, case),
        lambda case: shrink(twin, case),
        holds,
        prepare=prepare,
        during="a second process of it took the seat away from the event",
    )
    second = explore.interleave(
        lambda case: shrink(server, case),
        lambda case: sell(twin, case),
        lambda case, shrunk, sold: holds(case, sold, shrunk),
        prepare=prepare,
        during="a second process of it sold a seat that the change takes away",
    )
    evidence(f"a change came before {first} of a sale, and a sale before {second} of a change: no ticket is beyond `seats`")


@pytest.fixture
def stored(sales, balance):
    """`stored(event, buyer) -> {...}`: an event as PostgreSQL has it, what is sold of it and what the buyer has."""

    def read(event, buyer):
        found = sales.rows("SELECT name, seats, price_cents FROM events WHERE concat(id) = %s", [event])
        paid = sales.rows("SELECT price_cents FROM orders WHERE concat(event_id) = %s", [event])
        tickets = sales.rows("SELECT seat FROM tickets WHERE concat(event_id) = %s", [event])
        return {
            "event": dict(zip(("name", "seats", "price_cents"), found[0], strict=True)) if found else None,
            "orders paid": [row[0] for row in paid],
            "tickets for": [row[0] for row in tickets],
            "balance": balance(buyer),
        }

    return read


@pytest.fixture
def change():
    """`change(**fields) -> act`: PATCH of the case's event."""

    def of(**fields):
        return lambda one, case: one.patch(f"/events/{case[0]}", json=fields)

    return of


@pytest.fixture
def of_one_event(in_some_order, stored, make_event, make_buyer, fresh):
    """`of_one_event(first, others, what, reason, read=()) -> tried`: `in_some_order` with an event and a buyer."""
    name = fresh.name("event")

    def look(first, others, what, reason, read=()):
        return in_some_order(
            lambda: (make_event(name=name, seats=40, price_cents=PRICE), make_buyer(3 * PRICE)),
            first, others, lambda case: stored(*case), what, reason, read,
        )

    return look


@promises("as-one-after-the-other", "patch-events-one-200")
def test_two_changes_of_an_event_at_once(sales, of_one_event, change, fresh, evidence):
    """Two fields of an event are changed at the same moment: both changes are there, the other fields stay."""
    tried = sum(
        of_one_event(
            change(**one), (change(**other),),
            f"PATCH of an event with {json.dumps(one)} and one with {json.dumps(other)}", "change-lost",
        )
        for one, other in (({"price_cents": 2 * PRICE}, {"seats": 30}), ({"name": fresh.name("event")}, {"seats": 10}))
    )
    evidence(f"two changes of one event met at {tried} steps: {sales.title} has both each time")


@promises("as-one-after-the-other", "sale-whole")
def test_a_price_between_two_steps_of_a_sale(of_one_event, change, sale, evidence):
    """The price changes in the middle of a sale: the order says what was paid, and the change what was sold by then."""
    tried = of_one_event(
        lambda one, case: sale(one, case[0], 7, case[1]),
        (change(price_cents=2 * PRICE),),
        f"POST /orders for {PRICE} cents and PATCH of the event with a price of {2 * PRICE}",
        "price-paid",
        read=("price_cents", "sold"),
    )
    evidence(f"a price changed at {tried} steps beside a sale: what was paid is what the order says, and PATCH knew it sold")


@promises("as-one-after-the-other", "delete-events-one-409")
def test_an_event_deleted_between_two_steps_of_a_sale(of_one_event, sale, evidence):
    """An event is deleted in the middle of its sale: one of the two is refused, and says why."""
    tried = of_one_event(
        lambda one, case: sale(one, case[0], 7, case[1]),
        (lambda one, case: one.delete(f"/events/{case[0]}"),),
        "POST /orders and DELETE of the event",
        "deleted-or-sold",
    )
    evidence(f"an event was deleted at {tried} steps beside its sale: one of the two was done each time")


@promises("as-one-after-the-other", "get-events-one-200")
def test_an_event_read_while_it_changes(of_one_event, change, sale, evidence):
    """Between two steps of a GET its event grows and sells a new seat: what is answered was true at some moment."""
    tried = of_one_event(
        lambda one, case: one.get(f"/events/{case[0]}"),
        (change(seats=100, price_cents=2 * PRICE), lambda one, case: sale(one, case[0], 90, case[1])),
        "GET of an event, PATCH with 100 seats and another price, and POST /orders for seat 90",
        "never-was-so",
        read=("seats", "price_cents", "sold"),
    )
    evidence(f"an event grew and sold a seat before {tried} steps of a GET: the answer was true before, between or after")


@promises("as-one-after-the-other", "get-events-200")
def test_an_event_in_a_list_read_while_it_changes(explore, server, twin, sale, change, make_event, make_buyer, evidence):
    """Between two steps of a page of GET /events one of its events changes its price, and then sells: both, one, or none."""

    def page(after):
        return server.get("/events", params={"limit": "100", **({"after": after} if after else {})})

    def prepare():
        """An event, a buyer, and with what the page is asked for that has the event on it."""
        event, after = make_event(price_cents=PRICE), ""
        while after is not None:
            answer = page(after)
            expect.status(answer, 200, reason="list-refused")
            if any(item["id"] == event for item in expect.field(answer, "items", list, reason="list-shape")):
                return event, make_buyer(3 * PRICE), after
            after = expect.field(answer, "next", (str, type(None)), reason="list-shape")
        return expect.fail("the pages of GET /events", reason="page-skips", expected=f"the event {event} on one of them", seen="it is on none")

    def change_and_sell(case):
        return [change(price_cents=2 * PRICE)(twin, case), sale(twin, case[0], 7, case[1])]

    def holds(case, answer, others):
        if isinstance(answer, NoAnswer) or isinstance(others, NoAnswer):
            return
        for other, status in zip(others, (200, 201), strict=True):
            expect.status(other, status, reason="sale-fails-under-load")
        found = [item for item in expect.field(answer, "items", list, reason="list-shape") if item["id"] == case[0]]
        seen = [(item["price_cents"], item["sold"]) for item in found]
        was = [(PRICE, 0), (2 * PRICE, 0), (2 * PRICE, 1)]
        what = f"(`price_cents`, `sold`) in GET /events of an event that got the price {2 * PRICE} meanwhile, and then sold a seat"
        expect.true(len(seen) == 1 and seen[0] in was, what, "never-was-so", expected=f"one of {was}", seen=seen)

    seen = explore.interleave(
        lambda case: page(case[2]), change_and_sell, holds, prepare=prepare,
        during="a second process of it changed the price of an event, and sold a seat of it",
    )
    evidence(f"an event changed its price and sold a seat before {seen} of a list: it was so before, between or after")


@promises("as-one-after-the-other", "patch-events-one-200")
def test_what_a_change_answers_while_others_change_and_sell(of_one_event, change, sale, fresh, evidence):
    """Between two steps of a PATCH of the name a seat is sold and the price changes: the event that it answers was so."""
    tried = of_one_event(
        change(name=fresh.name("event")),
        (lambda one, case: sale(one, case[0], 7, case[1]), change(price_cents=2 * PRICE)),
        f"PATCH of an event with another name, POST /orders for {PRICE} cents, and PATCH with a price of {2 * PRICE}",
        "never-was-so",
        read=("price_cents", "sold"),
    )
    evidence(f"an event sold a seat and changed its price before {tried} steps of another PATCH: its answer was true")


@promises("as-one-after-the-other", "seats-not-below-sold")
def test_seats_that_grow_and_are_sold_between_two_steps_of_a_change(of_one_event, change, sale, evidence):
    """Between two steps of a change of `seats` they grow beyond it, and one of the new ones is sold."""
    tried = of_one_event(
        change(seats=60),
        (change(seats=100), lambda one, case: sale(one, case[0], 90, case[1])),
        "PATCH of an event with 60 seats, one with 100, and POST /orders for seat 90",
        "seat-beyond-event",
    )
    evidence(f"seats grew and were sold before {tried} steps of a change: no ticket is beyond `seats`")


@promises("as-one-after-the-other", "post-events-201", "created-once")
def test_a_new_event_is_deleted_or_changed_before_it_is_answered(explore, server, twin, sales, new_event, evidence):
    """A new event is found, and deleted or changed, before your server has answered: the answer is 201 all the same."""
    change = {"seats": 30, "price_cents": 2 * PRICE}
    columns = "SELECT concat(id), name, venue, seats, price_cents FROM events WHERE venue = %s"

    def found(body):
        rows = sales.rows(columns, [body["venue"]])
        return [dict(zip(("id", "name", "venue", "seats", "price_cents"), row, strict=True)) for row in rows]

    def act(method, body):
        return [twin.request(method, f"/events/{one['id']}", json=change if method == "PATCH" else None) for one in found(body)]

    def judge(method, status, rows_left):
        def holds(body, answer, others):
            done = [] if isinstance(others, NoAnswer) else others
            for other in done:
                expect.status(other, status, reason="sale-fails-under-load")
            asked = {name: value for name, value in body.items() if name != "starts_at"}
            changed = {**asked, **change} if done and method == "PATCH" else asked
            if not isinstance(answer, NoAnswer):
                what = f"the answer to POST /events, beside {method} of the new event at the same moment"
                seen = f"{answer.status} {answer.text}"
                expect.true(answer.status == 201, what, "made-and-refused", "201 and the event: it was made, and then came the other", seen)
                mine = {name: expect.field(answer, name, None, reason="answer-wrong") for name in asked}
                expect.true(mine in (asked, changed), what, "made-and-refused", asked, mine)
            rows = [{name: value for name, value in one.items() if name != "id"} for one in found(body)]
            what = f"the rows of a new event in {sales.title}, after {method} of it at the same moment"
            expect.equal([changed] * (rows_left if done else 1), rows, what, reason="change-lost")

        return holds

    seen = [
        explore.interleave(
            lambda body: server.post("/events", json=body), lambda body, method=method: act(method, body),
            judge(method, status, rows_left), prepare=new_event, during=f"a second process of it was asked for {method} of the new event, if it was there",
        )
        for method, status, rows_left in (("DELETE", 204, 0), ("PATCH", 200, 1))
    ]
    evidence(f"a new event was deleted at {seen[0]} of its POST, if it was there, and changed at {seen[1]}: 201 each time")


@promises("as-one-after-the-other", "post-buyers-201", "money-adds-up")
def test_a_new_buyer_buys_before_the_answer(explore, server, twin, sale, sales, make_event, fresh, evidence):
    """A new buyer is found, and buys a seat, before your server has answered: all the money was there, and is paid with."""
    cents = 2 * PRICE

    def buyers(name):
        return sales.rows("SELECT concat(id), balance_cents FROM buyers WHERE name = %s", [name])

    def holds(case, answer, sales):
        done = [] if isinstance(sales, NoAnswer) else sales
        what = f"the answer to {{}} of a new buyer with {cents} cents, who buys a seat for {PRICE} before POST /buyers is answered"
        for other in done:
            seen = f"{other.status} {other.text}"
            expect.true(other.status == 201, what.format("POST /orders"), "made-and-refused", "201: the money covers it", seen)
        if not isinstance(answer, NoAnswer):
            seen, right = f"{answer.status} {answer.text}", answer.status == 201
            right = right and answer.json()["balance_cents"] in {cents, cents - PRICE * len(done)}
            expect.true(right, what.format("POST /buyers"), "made-and-refused", f"201 and {cents} cents, or what is left of them", seen)
        left = [row[1] for row in buyers(case["name"])]
        expect.equal([cents - PRICE * len(done)], left, "what a new buyer has left, after a sale at the same moment", "lost-update")

    seen = explore.interleave(
        lambda case: server.post("/buyers", json={"name": case["name"], "balance_cents": cents}),
        lambda case: [sale(twin, case["event"], 1, id_) for id_, _ in buyers(case["name"])],
        holds, prepare=lambda: {"name": fresh.name("buyer"), "event": make_event(price_cents=PRICE)},
        during="a second process of it sold a seat to the new buyer, if there was one",
    )
    evidence(f"a new buyer bought at {seen} of POST /buyers, if there was one: the money adds up")
