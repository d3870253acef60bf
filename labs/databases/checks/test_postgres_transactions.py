"""postgres/transactions: a sale is whole or it is nothing, also when it breaks in the middle.

The middle is found without knowing how a server goes about a sale. It is killed, or its connection is cut, at each of
the sale's steps in turn. And triggers that the checker adds to the three tables do nothing but what a table of the
check's own says for the rows of one sale: raise an error. Sequences count how often they did: a rollback does not take
that back.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.checks import expect, promises

NO_HOLD = ("", " ", "None", "null", "nil", "undefined", "false", "0", "-")
"""Texts that a hold may be, and that look like none where the request is written down to be compared."""
SALE = ("order", "ticket", "event", "seat", "buyer", "price_cents", "created_at")


@pytest.fixture
def shown(server):
    """`shown(buyer, event, cents, sold, when)`: the API shows this balance and so many seats sold, from the tables."""

    def look(buyer, event, cents, sold, when):
        for path, name, value in ((f"/buyers/{buyer}", "balance_cents", cents), (f"/events/{event}", "sold", sold)):
            answer = server.get(path)
            expect.status(answer, 200, reason="plant-not-seen")
            expect.fields(answer, {name: value}, f"what GET {path} shows {when}", reason="stale-answer")

    return look


@promises(
    "sale-whole", "one-ticket", "post-orders-201", "post-orders-402", "post-orders-409", "post-orders-422",
    "seat-sold-once", "limit-4", "balance-covers", "sale-of-what-is-there", "order-created-at",
)
def test_a_sale_is_an_order_a_ticket_and_a_debit(
    server, postgres, make_buyer, make_event, left, fresh, order_as_stored, shown, ids_apart, evidence
):
    """POST /orders takes the money and makes the order and its ticket."""
    price = fresh.integer(100, 900)
    buyer, event, seat = make_buyer(3 * price), make_event(price_cents=price), fresh.integer(1, 100)
    shown(buyer, event, 3 * price, 0, "before its first sale")
    answer = server.post("/orders", json={"event": event, "seat": seat, "buyer": buyer})
    expect.status(answer, 201, reason="sale-refused")
    order, ticket = (expect.field(answer, name, str, reason="answer-wrong") for name in ("order", "ticket"))
    rows = postgres.rows(
        "SELECT o.id::text, t.id::text, o.event_id::text, o.buyer_id::text, o.seat, t.seat, o.price_cents"
        " FROM orders o JOIN tickets t ON t.order_id = o.id AND t.event_id = o.event_id WHERE o.event_id::text = %s",
        [event],
    )
    expect.equal(
        [(order, ticket, event, buyer, seat, seat, price)],
        rows,
        "the order and its ticket in PostgreSQL (order, ticket, event, buyer, seat, ticket's seat, price)",
        reason="not-stored",
    )
    order_as_stored(answer, "the order that POST /orders answered", reason="answer-wrong")
    expect.equal(
        {"balance": 2 * price, "orders": 1, "tickets": 1},
        left(event, buyer),
        "what PostgreSQL has after one sale",
        reason="partial-sale",
    )
    shown(buyer, event, 2 * price, 1, "after one sale")

    other = make_buyer(10 * price)
    refusals = [
        ({"event": event, "seat": seat, "buyer": other}, 409, "seat_sold"),
        ({"event": event, "seat": 101, "buyer": other}, 422, "invalid"),
        ({"event": "none", "seat": 1, "buyer": other}, 422, "invalid"),
        ({"event": event, "seat": seat % 100 + 1, "buyer": make_buyer(price - 1)}, 402, "balance_too_low"),
    ]
    for body, status, code in refusals:
        expect.status(server.post("/orders", json=body), status, reason="rule-broken", code=code)
        expect.equal(
            {"balance": 2 * price, "orders": 1, "tickets": 1},
            left(event, buyer),
            f"what PostgreSQL has after a sale that was refused with {code}",
            reason="partial-sale",
        )
    for number in range(1, 5):
        expect.status(
            server.post("/orders", json={"event": event, "seat": (seat + number) % 100 + 1, "buyer": other}),
            201,
            reason="sale-refused",
        )
    expect.status(
        server.post("/orders", json={"event": event, "seat": (seat + 5) % 100 + 1, "buyer": other}),
        409,
        reason="rule-broken",
        code="limit_4",
    )
    expect.equal(
        {"balance": 6 * price, "orders": 5, "tickets": 5},
        left(event, other),
        "what PostgreSQL has after five sales and as many refusals (balance of the second buyer)",
        reason="partial-sale",
    )
    evidence(f"PostgreSQL has 5 orders, 5 tickets and 5 times {price} cents less; a refused order left nothing")


@promises("orders-newest-first", "get-orders-200", "pages")
def test_orders_are_listed_newest_first(
    postgres, make_buyer, make_event, make_sale, pages, order_as_stored, ids_apart, evidence
):
    """GET /orders lists a buyer's orders, newest first, page by page, whoever wrote them."""
    buyer, event, other = make_buyer(), make_event(), make_event()
    # What was paid is not what the event costs today.
    orders = [make_sale(event, buyer, seat, price_cents=700 + seat) for seat in (4, 1)] + [
        make_sale(other, buyer, seat, price_cents=1_200 + seat) for seat in (9, 2, 5)
    ]
    make_sale(event, make_buyer(), 8)
    for age, order in enumerate([orders[2], orders[0], orders[4], orders[1], orders[3]]):
        postgres.plant(
            "UPDATE orders SET created_at = now() - %s * interval '1 hour' WHERE id::text = %s RETURNING id",
            [age, order],
        )
    rows = postgres.rows(
        "SELECT o.id::text, t.id::text, o.event_id::text, o.seat FROM orders o JOIN tickets t ON t.order_id = o.id"
        " WHERE o.buyer_id::text = %s ORDER BY o.created_at DESC",
        [buyer],
    )
    items = pages("/orders", 2, buyer=buyer)
    seen = [
        (
            *(expect.field(item, name, str, reason="answer-wrong") for name in ("order", "ticket", "event")),
            expect.field(item, "seat", int, reason="answer-wrong"),
        )
        for item in items
    ]
    expect.equal(
        sorted(rows),
        sorted(seen),
        "the orders of a buyer that GET /orders lists (order, ticket, event, seat)",
        reason="plant-not-seen",
    )
    expect.equal(
        rows, seen, "the order in which GET /orders lists them (order, ticket, event, seat)", reason="list-order"
    )
    for item in items:
        order_as_stored(item, "an order that GET /orders lists", reason="plant-not-seen")
    evidence("GET /orders listed the 5 orders in PostgreSQL in the order of their created_at, two at a time")


@promises("orders-newest-first", "pages")
def test_orders_of_one_moment_are_listed_once(postgres, fresh, make_buyer, make_event, make_sale, pages, evidence):
    """Orders made at the same moment are all listed, each once, in the same order each time."""
    buyer, events = make_buyer(), [make_event(), make_event()]
    planted = [make_sale(event, buyer, seat) for event in events for seat in fresh.shuffled([1, 2, 3, 4])]
    older, newer, *equal = fresh.shuffled(planted)
    postgres.plant("UPDATE orders SET created_at = now() WHERE buyer_id::text = %s RETURNING id", [buyer])
    for order, hours in ((older, -1), (newer, 1)):
        postgres.plant(
            "UPDATE orders SET created_at = created_at + %s * interval '1 hour' WHERE id::text = %s RETURNING id",
            [hours, order],
        )
    read = []
    for limit in (2, 3, 100):
        items = pages("/orders", limit, buyer=buyer)
        seen = [expect.field(item, "order", str, reason="answer-wrong") for item in items]
        what = f"GET /orders with limit={limit}, of a buyer with {len(equal)} orders of one moment"
        missing = [order for order in planted if order not in seen]
        expect.equal([], missing, f"which orders were left out by {what}", reason="page-skips")
        expect.equal(len(planted), len(seen), f"how many items there are on the pages of {what}", reason="page-repeats")
        expect.equal((newer, older), (seen[0], seen[-1]), f"the first and the last order of {what}", reason="list-order")
        read.append(seen)
    expect.equal(read[0], read[1], "the same list read with limit=3, after limit=2", reason="list-order")
    expect.equal(read[0], read[2], "the same list read with limit=100, after limit=2", reason="list-order")
    evidence(f"{len(equal)} orders have one created_at in PostgreSQL; in pages of 2 and of 3 each came once")


@promises("sale-whole", "next-sale-works")
def test_a_failure_in_the_middle_leaves_nothing(server, make_buyer, make_event, trap, met, left, evidence):
    """When one statement of a sale fails, nothing of the sale remains."""
    for place in ("tickets", "orders", "buyers"):
        buyer, event = make_buyer(1_000), make_event(price_cents=300)
        times = trap(place, buyer if place == "buyers" else event)
        answer = server.post("/orders", json={"event": event, "seat": 1, "buyer": buyer})
        met(times, answer, place)
        expect.equal(
            {"balance": 1_000, "orders": 0, "tickets": 0},
            left(event, buyer),
            f"what is left of a sale for 300 cents in which writing into {place} failed",
            reason="partial-sale",
        )
        expect.true(
            answer.status >= 400,
            f"the answer to a sale in which writing into {place} failed",
            reason="false-success",
            expected="an error: nothing was sold",
            seen=str(answer.status),
        )

        buyer, event = make_buyer(1_000), make_event(price_cents=300)
        expect.status(
            server.post("/orders", json={"event": event, "seat": 1, "buyer": buyer}),
            201,
            reason="broken-after-failure",
        )
        expect.equal(
            {"balance": 700, "orders": 1, "tickets": 1},
            left(event, buyer),
            "what PostgreSQL has of the next sale, in which nothing failed",
            reason="broken-after-failure",
        )
    evidence(
        "PostgreSQL raised an error while the sale wrote its ticket, its order, its debit: each time nothing was "
        "left of it"
    )


@promises("sale-whole", "next-sale-works")
def test_a_lost_connection_in_the_middle_leaves_nothing(
    explore, server, make_buyer, make_event, left, alive, evidence
):
    """When the connection is lost in the middle of a sale, all or nothing of it remains, and nobody is refused for it."""
    whole, nothing = {"balance": 700, "orders": 1, "tickets": 1}, {"balance": 1_000, "orders": 0, "tickets": 0}

    def holds(case, answer):
        buyer, event = case
        seen = left(event, buyer)
        expect.true(
            seen in (whole, nothing),
            "what is left of a sale for 300 cents whose connection was lost",
            reason="partial-sale",
            expected=f"{expect.shown(nothing)}, or all of it",
            seen=seen,
        )
        status = getattr(answer, "status", None)
        if status is not None and status != 201:
            # What it finds sold, or the money that it misses, is its own first try.
            reason = "sold-but-refused" if seen == whole else "sale-refused"
            expect.status(answer, 500, 503, reason=reason, code=("internal", "unavailable"))
        expect.true(
            status != 201 or seen == whole,
            "the answer to that sale, beside what PostgreSQL has of it",
            reason="false-success",
            expected="201 only if all of it is there",
            seen=f"{status}, and PostgreSQL has {expect.shown(seen)}",
        )
        alive(buyer)

    before, after = (
        explore.cut(
            lambda case: server.post("/orders", json={"event": case[1], "seat": 1, "buyer": case[0]}),
            holds,
            answer=answer,
            prepare=lambda: (make_buyer(1_000), make_event(price_cents=300)),
            services=("postgres",),
        )
        for answer in ("never", "lost")
    )
    evidence(f"the connection was cut before {before} of a sale, and after {after}: all or nothing of it was left")


@pytest.fixture
def rival(postgres, fault, wait):
    """`rival(event, seat, buyer)`: somebody else's sale by SQL, which has the seat if the server's sale, cut now, was not done.

    It waits, if it must, for what the server has written and not committed. Then the connections of the server are cut,
    and its new ones hear nothing until the rival is through.
    """

    def sells(event, seat, buyer):
        with postgres.as_learner() as session:
            order = session.execute(
                "INSERT INTO orders (event_id, buyer_id, seat, price_cents) SELECT e.id, b.id, %s, 0 FROM events e, buyers b"
                " WHERE e.id::text = %s AND b.id::text = %s RETURNING id, event_id, seat",
                [seat, event, buyer],
            ).fetchone()
            ticket = session.execute(
                "INSERT INTO tickets (order_id, event_id, seat) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING id", order
            ).fetchone()
            if ticket:
                session.commit()
            else:
                session.rollback()

    def run(event, seat, buyer):
        with fault.hold("postgres"), ThreadPoolExecutor(1) as beside:
            sale = beside.submit(sells, event, seat, buyer)
            wait.until(
                lambda: sale.done() or postgres.value("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"),
                deadline=3.0,
                every=0.002,
                what="a sale by SQL that waits for another one",
            )
            fault.cut("postgres")
            sale.result()

    return run


@promises("sale-whole", "seat-sold-once", "post-orders-201")
def test_a_lost_sale_is_not_anothers(explore, server, make_buyer, make_event, sold, balance, rival, alive, evidence):
    """When a sale's connection is lost, and somebody else has its seat then, that is not taken for this sale."""

    def holds(case, answer, _):
        buyer, event, _ = case
        status = getattr(answer, "status", None)
        paid = 1_000 - balance(buyer)
        expect.true(
            sold(event) == (1, 1) and paid == (300 if status == 201 else 0),
            "a sale for 300 cents whose connection was lost, beside what PostgreSQL has of it (somebody else may have bought "
            "the seat since)",
            reason="false-success" if status == 201 else "partial-sale",
            expected="one order, one ticket; and 201 and 300 cents, or neither",
            seen=f"{status or 'no answer'}, (orders, tickets) = {sold(event)}, and {paid} cents were paid",
        )
        if status is not None and status not in (201, 500, 503):
            expect.status(answer, 409, reason="rule-broken", code="seat_sold")
        alive(buyer)

    seen = explore.interleave(
        lambda case: server.post("/orders", json={"event": case[1], "seat": 1, "buyer": case[0]}),
        lambda case: rival(case[1], 1, case[2]),
        holds,
        prepare=lambda: (make_buyer(1_000), make_event(price_cents=300), make_buyer()),
        services=("postgres",),
        during="somebody else asked for the seat, and your server's connections were cut",
    )
    evidence(f"the connection was cut at {seen} of a sale, and another buyer got the seat: the answers were true")


@promises("key-same-answer", "sale-whole")
def test_the_same_request_after_a_lost_answer(explore, server, sale_with_key, again, evidence):
    """When PostgreSQL did what it was asked and its answer was lost, the same request again is still one sale."""
    seen = explore.cut(
        lambda case: server.post("/orders", json=case[0], headers=case[1]),
        again,
        answer="lost",
        prepare=sale_with_key,
    )
    evidence(
        f"the answer was lost after {seen} of a sale; the same request again: PostgreSQL has one order and one debit"
    )


@promises("key-same-answer", "key-remembered", "sale-whole")
def test_the_same_request_after_a_crash(explore, server, sale_with_key, again, evidence):
    """Whenever your server is killed in the middle of a sale, the same request again is one sale."""
    seen = explore.crash(
        lambda case: server.post("/orders", json=case[0], headers=case[1]),
        again,
        prepare=sale_with_key,
    )
    evidence(f"your server was killed at {seen} of a sale; the same request again: PostgreSQL has one order and one debit")


@promises("key-same-answer", "key-same-request", "key-remembered")
def test_the_same_request_again_sells_nothing(
    server, postgres, make_buyer, make_event, left, fresh, instant, ids_apart, evidence
):
    """A request that is sent again with its Idempotency-Key gets the first answer and sells nothing more."""
    buyer, event, headers = make_buyer(1_000), make_event(price_cents=300), {"Idempotency-Key": fresh.token()}
    body = {"event": event, "seat": fresh.integer(1, 50), "buyer": buyer}
    first = server.post("/orders", json=body, headers=headers)
    expect.status(first, 201, reason="sale-refused")
    # Another price from now on: the answer is the first one, and not made anew from what the event costs today.
    postgres.plant("UPDATE events SET price_cents = 450 WHERE id::text = %s RETURNING id", [event])
    backwards = json.dumps(dict(reversed(body.items())), indent=3) + "\n"
    for when, request in (
        ("at once", {"json": body}),
        ("with its fields in another order and with more spaces", {"content": backwards}),
        ("with a field more, which is ignored", {"json": {**body, fresh.token(): 1}}),
        ("after a restart of your server", {"json": body}),
    ):
        if "restart" in when:
            server.restart()
        more = {"Content-Type": "application/json"} if "content" in request else {}
        again = server.post("/orders", **request, headers={**headers, **more})
        expect.equal(
            {"balance": 700, "orders": 1, "tickets": 1},
            left(event, buyer),
            f"what PostgreSQL has when the request was sent again {when}",
            reason="charged-twice",
        )
        expect.status(again, 201, reason="answer-not-repeated")
        what = f"the answer when the request was sent again {when}, beside the first one"
        same = {name: value for name, value in first.json().items() if name in SALE and name != "created_at"}
        expect.fields(again, same, what, reason="answer-not-repeated")
        then, now = (instant(answer.json()["created_at"], "`created_at`") for answer in (first, again))
        expect.true(
            abs((now - then).total_seconds()) < 0.001,  # a clock that shows no microseconds is no other moment
            f"`created_at` of {what}",
            reason="answer-not-repeated",
            expected=then.isoformat(),
            seen=now.isoformat(),
        )

    # A key lives as long as its order, however old that is.
    age = "UPDATE orders SET created_at = created_at - interval '400 days' WHERE event_id::text = %s RETURNING id"
    postgres.plant(age, [event])
    again = server.post("/orders", json=body, headers=headers)
    what, seen = "the same request with its key, sent again when its order is 400 days old", f"{again.status} {again.text}"
    expect.true(again.status == 201, what, reason="answer-not-repeated", expected="201, the first answer", seen=seen)
    expect.fields(again, same, "the answer 400 days later, beside the first one", reason="answer-not-repeated")
    other = server.post("/orders", json={**body, "seat": body["seat"] + 1}, headers=headers)
    expect.status(other, 409, reason="key-reused-accepted", code="key_reused")
    seen, what = left(event, buyer), "what PostgreSQL has after the same key came again 400 days later"
    expect.equal({"balance": 700, "orders": 1, "tickets": 1}, seen, what, reason="charged-twice")
    evidence("one Idempotency-Key came again, after a restart, 400 days later: PostgreSQL has one order and one debit")


@promises("key-other-body", "key-same-request", "post-orders-409")
def test_a_key_belongs_to_one_request(server, make_buyer, make_event, left, fresh, evidence):
    """A key that comes again with another event, seat, buyer or hold is refused: it belongs to the first request."""
    buyer, event, headers = make_buyer(1_000), make_event(price_cents=300), {"Idempotency-Key": fresh.token()}
    body = {"event": event, "seat": fresh.integer(1, 50), "buyer": buyer}
    expect.status(server.post("/orders", json=body, headers=headers), 201, reason="sale-refused")
    elsewhere, somebody = make_event(price_cents=300), make_buyer(1_000)
    for name, value in (
        ("seat", body["seat"] + 1), ("buyer", somebody), ("event", elsewhere), ("hold", fresh.token()),
        *(("hold", text) for text in NO_HOLD),
    ):
        other = server.post("/orders", json={**body, name: value}, headers=headers)
        # While your server knows no holds, none that is named holds the seat: then two things are wrong.
        codes = (("key_reused", "hold_expired"), (409, 410)) if name == "hold" else (("key_reused",), (409,))
        expect.status(other, *codes[1], reason="key-reused-accepted", code=codes[0])
        for where, who, there in ((event, buyer, 1), (elsewhere, somebody, 0)):
            expect.equal(
                {"balance": 1_000 - 300 * there, "orders": there, "tickets": there},
                left(where, who),
                f"what PostgreSQL has after the key came with another `{name}`, {value!r}",
                reason="key-reused-accepted",
            )
    # A hold is another one in capital letters. Where holds are known by now, this one is none.
    held, headers = {**body, "seat": body["seat"] + 2, "hold": fresh.token() + "aB"}, {"Idempotency-Key": fresh.token()}
    answer = server.post("/orders", json=held, headers=headers)
    expect.status(answer, 201, 410, reason="sale-refused")
    if answer.status == 201:
        other = server.post("/orders", json={**held, "hold": held["hold"].swapcase()}, headers=headers)
        expect.status(other, 409, 410, reason="key-reused-accepted", code=("key_reused", "hold_expired"))
    evidence("one key came with another seat, buyer, event and hold: PostgreSQL has the order of the first request only")


MANY = {  # so many that there are some with ids that look alike
    "buyer": "INSERT INTO buyers (name, balance_cents) SELECT %s, 10000 FROM generate_series(1, 4000) RETURNING id::text",
    "event": "INSERT INTO events (name, venue, starts_at, seats, price_cents)"
    " SELECT %s, 'Many', now() + place * interval '1 day', 100, 1000 FROM generate_series(1, 4000) place RETURNING id::text",
}


@promises("key-other-body", "key-same-request", "post-orders-409")
def test_a_key_tells_requests_apart_that_look_alike(
    server, postgres, make_buyer, make_event, look_alikes, left, fresh, evidence
):
    """Requests that look the same when their values are written one after the other are not the same for a key."""
    reason, tried = "key-reused-accepted", 0
    pairs = []
    for name, sql in MANY.items():
        known = dict.fromkeys(row[0] for row in postgres.plant(sql, [fresh.name("many")]))
        begins = next(((one, f"{one}1") for one in known if f"{one}1" in known), None)
        ends = next(((one[1:], one) for one in known if one[1:] in known), None)
        for alike, seat, mine in ((begins, 5, "15"), (ends, 1, "1{}")):
            if alike is not None:  # without anything between: 71, seat 5 and 7, seat 15; seat 1, 47 and seat 14, 7
                one, other = alike
                wish = {"event": make_event(), "buyer": make_buyer(), name: other, "seat": seat}
                pairs.append((wish, {name: one, "seat": int(mine.format(other[0]))}))
    for wish, change in pairs:
        headers = {"Idempotency-Key": fresh.token()}
        expect.status(server.post("/orders", json=wish, headers=headers), 201, reason="sale-refused")
        other = server.post("/orders", json={**wish, **change}, headers=headers)
        expect.status(other, 409, reason=reason, code="key_reused")
        tried += 1
    for _, hold, others in look_alikes():
        headers, sale = {"Idempotency-Key": fresh.token()}, {"event": make_event(), "seat": 3, "buyer": make_buyer(), "hold": hold}
        first = server.post("/orders", json=sale, headers=headers)
        expect.status(first, 201, 410, reason="sale-refused")
        if first.status == 410:
            break  # holds are known by now, and this is none: redis/expiry goes on from there
        there = left(sale["event"], sale["buyer"])
        for other in others(sale):
            answer = server.post("/orders", json=other, headers=headers)
            # No such event or buyer is there, either, and no such hold.
            expect.status(answer, 409, 410, 422, reason=reason, code=("key_reused", "hold_expired", "invalid"))
            what = f"what PostgreSQL has after the key of {sale} came with {other}"
            expect.equal(there, left(sale["event"], sale["buyer"]), what, reason=reason)
            tried += 1
    evidence(f"{tried} requests looked like the one that their key belongs to: none of them got its answer")


@promises(
    "new-order-seat", "sale-of-what-is-there", "balance-covers", "post-orders-201", "post-orders-402", "post-orders-422",
)
def test_the_edges_of_a_sale(server, edges, make_buyer, make_event, left, fresh, evidence):
    """The first and the last seat are sold, and money that is just enough is enough; one less or more is refused."""
    seats, price = fresh.integer(20, 90), fresh.integer(500, 5_000)
    event, buyer = make_event(seats, price), make_buyer(4 * price)
    wish = {"event": event, "seat": 1, "buyer": buyer}
    tried = [(one.value, one.allowed) for one in edges.body("POST", "/orders") if one.field == "seat"]
    sold_seats = 0
    for seat, allowed in [*tried, (seats, True), (seats + 1, False)]:
        answer = server.post("/orders", json={**wish, "seat": seat})
        if allowed:
            expect.status(answer, 201, reason="sale-refused")
            expect.fields(answer, {"seat": seat, "price_cents": price}, "the order", reason="answer-wrong")
            sold_seats += 1
        else:
            expect.status(answer, 422, reason="bad-body-accepted", code="invalid")
    for cents, status, code in ((price, 201, None), (price - 1, 402, "balance_too_low")):
        poor = make_buyer(cents)
        before = left(event, poor)
        answer = server.post("/orders", json={"event": event, "seat": cents - price + 5, "buyer": poor})
        expect.status(answer, status, reason="sale-refused" if code is None else "rule-broken", code=code)
        if code:
            expect.equal(before, left(event, poor), "what there is after a sale that was refused", reason="partial-sale")
    free = server.post("/orders", json={"event": make_event(price_cents=0), "seat": 1, "buyer": make_buyer(0)})
    expect.status(free, 201, reason="sale-refused")
    evidence(f"seats 1 and {seats} were sold, 0 and {seats + 1} refused; {price} cents were enough, one less was not")


@promises("field-names", "more-fields", "bad-body", "key-same-request", "post-orders-422")
def test_a_field_of_an_order_in_another_letter_case(server, edges, make_buyer, make_event, left, fresh, evidence):
    """`Seat` beside `seat` is a further field, which neither a sale nor its key looks at; alone it leaves `seat` lacking."""
    others, reason, tried = {"event": make_event(), "seat": 50, "buyer": make_buyer(), "hold": fresh.token()}, "name-by-letter", 0
    for field, names in edges.misnamed("POST", "/orders").items():
        wish = {"event": make_event(price_cents=300), "seat": fresh.integer(1, 40), "buyer": make_buyer(1_000)}
        headers, spelled = {"Idempotency-Key": fresh.token()}, " and ".join(f"`{one}`" for one in names)
        if field in wish:
            lacking = {name: value for name, value in wish.items() if name != field}
            answer = server.post("/orders", json={**lacking, **dict.fromkeys(names, wish[field])}, headers=headers)
            expect.status(answer, 422, reason=reason, code="invalid")
        for more in ({**wish, **dict.fromkeys(names, others[field])}, {**{one: [] for one in names}, **wish}):
            answer = server.post("/orders", json=more, headers=headers)
            what = f"the answer to POST /orders with {spelled} beside its fields, and to the same again with other values there"
            expect.true(answer.status == 201, what, reason, "201", f"{answer.status} {answer.text}")
            expect.fields(answer, wish, what, reason=reason)
            whole = {"balance": 700, "orders": 1, "tickets": 1}
            expect.equal(whole, left(wish["event"], wish["buyer"]), f"what PostgreSQL has after an order with {spelled}", reason)
            tried += 1
    evidence(f"{tried} orders had fields such as `Seat` and `HOLD`: PostgreSQL has what they say under the right names")


@promises("id-spelled", "sale-of-what-is-there", "orders-of-nobody")
def test_an_order_with_an_id_spelled_otherwise(
    server, make_buyer, make_event, make_sale, spellings, sold, order_as_stored, evidence
):
    """An order that names `007` is refused, or it is one of the row 7 and says so; no list shows another spelling."""
    # Of ten the last one: an id that is counted has two digits by then.
    (*_, buyer), (*_, event), tried = *([make() for _ in range(10)] for make in (make_buyer, make_event)), 0
    for name, own in (("event", event), ("buyer", buyer)):
        for seat, text in enumerate(spellings(own), 1):
            # Each is another buyer or another event, so that no limit of tickets is met.
            wish = {"event": event, "buyer": make_buyer()} if name == "event" else {"event": make_event(), "buyer": buyer}
            answer, what = server.post("/orders", json={**wish, name: text, "seat": seat}), f"an order with `{name}` {text!r}"
            tried += 1
            if answer.status == 201:
                expect.fields(answer, {**wish, "seat": seat}, f"the answer to {what}, another spelling of {own}", "id-as-sent")
                order_as_stored(answer, what, reason="id-as-sent")
            else:
                expect.status(answer, 422, reason="unknown-id-answer", code="invalid")
    make_sale(make_event(), buyer, 1)
    for text in spellings(buyer):
        answer = server.get("/orders", params={"buyer": text})
        expect.status(answer, *((200, 422) if "\0" in text else (200,)), reason="unknown-id-answer")
        for item in expect.field(answer, "items", list, reason="list-shape") if answer.status == 200 else ():
            expect.fields(item, {"buyer": buyer}, f"an order of the list for {text!r}, another spelling of {buyer}", "id-as-sent")
    evidence(f"{tried} orders with other spellings of ids were refused, or name the rows as they are")


@promises("key-length", "key-same-answer")
def test_the_longest_key(server, make_event, make_buyer, fresh, evidence):
    """An Idempotency-Key may have 100 characters, and two that differ in one letter's case are two keys."""
    event, buyer = make_event(), make_buyer(100_000)
    key = fresh.token(99)
    orders = []
    for seat, last in ((1, "x"), (1, "x"), (2, "X")):
        body = {"event": event, "seat": seat, "buyer": buyer}
        answer = server.post("/orders", json=body, headers={"Idempotency-Key": key + last})
        expect.status(answer, 201, reason="answer-not-repeated")
        orders.append(expect.field(answer, "order", str, reason="answer-wrong"))
    expect.equal(orders[0], orders[1], "the order of the same request, sent again", reason="answer-not-repeated")
    expect.true(
        orders[2] != orders[0],
        "the order of a key that ends in X, after one that ends in x",
        reason="answer-not-repeated",
        expected="another order",
        seen=orders[2],
    )
    evidence("a key of 100 characters was remembered, and the same with another letter case was a new one")


@promises("get-orders-200", "get-orders-422", "orders-of-nobody", "limit", "pages-full", "bad-page")
def test_a_page_of_orders_is_as_long_as_asked(server, edges, make_buyer, make_event, make_sale, fresh, evidence):
    """A page of GET /orders has as many items as `limit` says, 20 without it; a buyer who does not exist has none."""
    event, buyer = make_event(seats=200), make_buyer()
    for seat in range(1, 102):
        make_sale(event, buyer, seat)
    for edge in edges.query("GET", "/orders"):
        answer = server.get("/orders", params={"buyer": buyer, edge.field: edge.value})
        if edge.allowed:
            expect.status(answer, 200, reason="list-refused")
            items = expect.field(answer, "items", list, reason="list-shape")
            what = f"the number of items of GET /orders with limit={edge.value}"
            expect.equal(int(edge.value), len(items), what, reason="page-length")
        else:
            expect.status(answer, 422, reason="bad-limit-accepted", code="invalid")
    items = expect.field(server.get("/orders", params={"buyer": buyer}), "items", list, reason="list-shape")
    expect.equal(20, len(items), "the number of items of GET /orders without `limit`", reason="page-length")
    nobody = server.get("/orders", params={"buyer": fresh.name("none")})
    expect.status(nobody, 200, reason="list-refused")
    expect.fields(nobody, {"items": [], "next": None}, "the orders of a buyer who does not exist", reason="list-shape")
    expect.status(server.get("/orders"), 422, reason="bad-body-accepted", code="invalid")
    evidence("pages of 1, 20 and 100 orders were as long as asked; a buyer who does not exist had none")
