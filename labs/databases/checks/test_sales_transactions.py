"""postgres/transactions and mysql/transactions: a sale is whole or it is nothing, also when it breaks in the middle.

The middle is found without knowing how a server goes about a sale: it is killed, or its connection is cut, at each of
the sale's steps in turn.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.checks import expect, promises


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
    server, sales, make_buyer, make_event, left, fresh, order_as_stored, shown, ids_apart, evidence
):
    """POST /orders takes the money and makes the order and its ticket."""
    price = fresh.integer(100, 900)
    buyer, event, seat = make_buyer(3 * price), make_event(price_cents=price), fresh.integer(1, 100)
    shown(buyer, event, 3 * price, 0, "before its first sale")
    answer = server.post("/orders", json={"event": event, "seat": seat, "buyer": buyer})
    expect.status(answer, 201, reason="sale-refused")
    order, ticket = (expect.field(answer, name, str, reason="answer-wrong") for name in ("order", "ticket"))
    rows = sales.rows(
        "SELECT concat(o.id), concat(t.id), concat(o.event_id), concat(o.buyer_id), o.seat, t.seat, o.price_cents"
        " FROM orders o JOIN tickets t ON t.order_id = o.id AND t.event_id = o.event_id WHERE concat(o.event_id) = %s",
        [event],
    )
    expect.equal(
        [(order, ticket, event, buyer, seat, seat, price)],
        rows,
        f"the order and its ticket in {sales.title} (order, ticket, event, buyer, seat, ticket's seat, price)",
        reason="not-stored",
    )
    order_as_stored(answer, "the order that POST /orders answered", reason="answer-wrong")
    expect.equal(
        {"balance": 2 * price, "orders": 1, "tickets": 1},
        left(event, buyer),
        f"what {sales.title} has after one sale",
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
            f"what {sales.title} has after a sale that was refused with {code}",
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
        f"what {sales.title} has after five sales and as many refusals (balance of the second buyer)",
        reason="partial-sale",
    )
    evidence(f"{sales.title} has 5 orders, 5 tickets and 5 times {price} cents less; a refused order left nothing")


@promises("orders-newest-first", "get-orders-200", "pages")
def test_orders_are_listed_newest_first(
    sales, make_buyer, make_event, make_sale, pages, order_as_stored, ids_apart, evidence
):
    """GET /orders lists a buyer's orders, newest first, page by page, whoever wrote them."""
    buyer, event, other = make_buyer(), make_event(), make_event()
    # What was paid is not what the event costs today.
    orders = [make_sale(event, buyer, seat, price_cents=700 + seat) for seat in (4, 1)] + [
        make_sale(other, buyer, seat, price_cents=1_200 + seat) for seat in (9, 2, 5)
    ]
    make_sale(event, make_buyer(), 8)
    mixed = [orders[2], orders[0], orders[4], orders[1], orders[3]]
    now, hour, microsecond = datetime.now(UTC).replace(microsecond=0), timedelta(hours=1), timedelta(microseconds=1)
    for name, unit, ages in (("hour", hour, mixed), ("microsecond", microsecond, mixed), ("microsecond", microsecond, mixed[::-1])):
        for age, order in enumerate(ages):
            made = now + timedelta(microseconds=9) - age * unit  # all microseconds are of one millisecond
            sales.plant("UPDATE orders SET created_at = %s WHERE id = %s", [made, order])
        made = {
            tuple(row): time
            for *row, time in sales.rows(
                "SELECT concat(o.id), concat(t.id), concat(o.event_id), o.seat, o.created_at"
                " FROM orders o JOIN tickets t ON t.order_id = o.id WHERE concat(o.buyer_id) = %s",
                [buyer],
            )
        }
        items = pages("/orders", 2, buyer=buyer)
        seen = [
            (
                *(expect.field(item, name, str, reason="answer-wrong") for name in ("order", "ticket", "event")),
                expect.field(item, "seat", int, reason="answer-wrong"),
            )
            for item in items
        ]
        what = f"the orders of a buyer that GET /orders lists, each made a {name} after the other (order, ticket, event, seat)"
        expect.equal(sorted(made), sorted(seen), what, reason="plant-not-seen" if unit == hour else "page-skips")
        # Which of two is newer is what PostgreSQL has of them: a column may keep milliseconds only, and then they are equal.
        expect.equal(sorted(seen, key=made.get, reverse=True), seen, f"{what}, newest first", reason="list-order")
        for item in items:
            order_as_stored(item, "an order that GET /orders lists", reason="plant-not-seen")
    evidence(f"GET /orders listed the 5 orders in {sales.title} in the order of their created_at, two at a time, also microseconds apart")


@promises("orders-newest-first", "pages")
def test_orders_of_one_moment_are_listed_once(sales, fresh, make_buyer, make_event, make_sale, pages, evidence):
    """Orders made at the same moment are all listed, each once, in the same order each time."""
    buyer, events = make_buyer(), [make_event(), make_event()]
    planted = [make_sale(event, buyer, seat) for event in events for seat in fresh.shuffled([1, 2, 3, 4])]
    older, newer, *equal = fresh.shuffled(planted)
    now = datetime.now(UTC)
    sales.plant("UPDATE orders SET created_at = %s WHERE buyer_id = %s", [now, buyer])
    for order, hours in ((older, -1), (newer, 1)):
        sales.plant("UPDATE orders SET created_at = %s WHERE id = %s", [now + timedelta(hours=hours), order])
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
    evidence(f"{len(equal)} orders have one created_at in {sales.title}; in pages of 2 and of 3 each came once")


@promises("sale-whole", "next-sale-works")
def test_a_lost_connection_in_the_middle_leaves_nothing(
    explore, server, sales, make_buyer, make_event, left, alive, evidence
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
            f"the answer to that sale, beside what {sales.title} has of it",
            reason="false-success",
            expected="201 only if all of it is there",
            seen=f"{status}, and {sales.title} has {expect.shown(seen)}",
        )
        alive(buyer)

    before, after, late = (
        explore.cut(
            lambda case: server.post("/orders", json={"event": case[1], "seat": 1, "buyer": case[0]}),
            holds,
            answer=answer,
            prepare=lambda: (make_buyer(1_000), make_event(price_cents=300)),
            services=(sales.name,),
        )
        for answer in ("never", "lost", "late")
    )
    evidence(
        f"the connection was cut before {before} of a sale, after {after}, and before {late} that came late: all or nothing "
        "of it was left"
    )


@pytest.fixture
def rival(sales, fault, wait):
    """`rival(event, seat, buyer)`: somebody else's sale by SQL, which has the seat if the server's sale, cut now, was not done.

    It waits, if it must, for what the server has written and not committed. Then the connections of the server are cut,
    and its new ones hear nothing until the rival is through.
    """

    def sells(event, seat, buyer):
        with sales.as_learner() as session:
            order = session.insert("orders", {"event_id": event, "buyer_id": buyer, "seat": seat, "price_cents": 0})
            try:
                session.insert("tickets", {"order_id": order, "event_id": event, "seat": seat})
                session.commit()
            except Exception as error:
                if getattr(error, "sqlstate", None) is None:
                    raise
                session.rollback()

    def run(event, seat, buyer):
        with fault.hold(sales.name), ThreadPoolExecutor(1) as beside:
            sale = beside.submit(sells, event, seat, buyer)
            wait.until(
                lambda: sale.done() or sales.waiting(),
                deadline=3.0,
                every=0.002,
                what="a sale by SQL that waits for another one",
            )
            fault.cut(sales.name)
            sale.result()

    return run


@promises("sale-whole", "seat-sold-once", "post-orders-201")
def test_a_lost_sale_is_not_anothers(explore, server, sales, make_buyer, make_event, sold, balance, rival, alive, evidence):
    """When a sale's connection is lost, and somebody else has its seat then, that is not taken for this sale."""

    def holds(case, answer, _):
        buyer, event, _ = case
        status = getattr(answer, "status", None)
        paid = 1_000 - balance(buyer)
        expect.true(
            sold(event) == (1, 1) and paid == (300 if status == 201 else 0),
            f"a sale for 300 cents whose connection was lost, beside what {sales.title} has of it (somebody else may have bought "
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
        services=(sales.name,),
        during="somebody else asked for the seat, and your server's connections were cut",
    )
    evidence(f"the connection was cut at {seen} of a sale, and another buyer got the seat: the answers were true")
