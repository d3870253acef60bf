"""postgres/isolation and mysql/isolation: what two requests alone do not show: nobody waits for ever, no sale is refused without a rule."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest

from orchestrator.checks import Call, Late, expect, promises

PRICE = 300
UNDECIDED = 0.5
"""Seconds for which another sale has a seat and is not over: less than a request must wait for a row."""


@pytest.fixture
def while_undecided(server, sales, wait, sale):
    """`while_undecided(event, buyer, end) -> answer`: of a sale of seat 7, whose ticket a session has inserted.

    It is over, with `end()`, half a second after the sale has come to wait for it.
    """

    def run(event, buyer, end):
        with ThreadPoolExecutor(1) as beside:
            asked = beside.submit(sale, server, event, 7, buyer)
            with contextlib.suppress(Late):  # it may wait in a way that the database knows nothing of
                wait.until(
                    lambda: asked.done() or sales.waiting(),
                    deadline=1.0,
                    what="a sale that waits for another one of its seat",
                )
            wait_for([asked], timeout=UNDECIDED)
            end()
            return asked.result()

    return run


@promises("allowed-sale-made", "as-one-after-the-other", "seat-sold-once")
def test_a_seat_of_a_sale_that_is_not_over(sales, while_undecided, make_buyer, make_event, left, evidence):
    """Another sale has the seat, is not over for half a second, and is taken back: whoever waited for it buys it."""
    event, buyer, other = make_event(price_cents=PRICE), make_buyer(PRICE), make_buyer(PRICE)
    with sales.as_learner() as session:
        order = session.insert("orders", {"event_id": event, "buyer_id": other, "seat": 7, "price_cents": PRICE})
        session.insert("tickets", {"order_id": order, "event_id": event, "seat": 7})
        answer = while_undecided(event, buyer, session.rollback)
    waited_long = answer.status == 503 and answer.elapsed > 1.0  # this it may, and it may go on waiting
    expect.true(
        answer.status == 201 or waited_long,
        f"the answer to a sale of a seat for which another sale had inserted the ticket, had not committed it for {UNDECIDED} s, "
        "and took it back then (ROLLBACK)",
        reason="seat-not-sold-yet" if answer.status == 409 else "sale-fails-under-load",
        expected="201, when the other one is over: nobody has bought the seat",
        seen=f"{answer.status} {answer.text} after {answer.elapsed:.1f} s",
    )
    whole, nothing = {"balance": 0, "orders": 1, "tickets": 1}, {"balance": PRICE, "orders": 0, "tickets": 0}
    there, what = left(event, buyer), f"what {sales.title} has of that sale for {PRICE} cents, beside its answer {answer.status}"
    expect.true(there == whole or (waited_long and there == nothing), what, "partial-sale", expected=whole, seen=there)
    evidence(f"a sale waited for another one of its seat, which was taken back: it was answered with {answer.status}")


@promises("sale-whole", "as-one-after-the-other", "seat-sold-once")
def test_a_seat_of_a_sale_that_comes_to_its_end(sales, while_undecided, make_buyer, make_event, left, evidence):
    """Another sale has its order, inserts the ticket and commits it half a second later: whoever waited has bought nothing."""
    event, buyer, other = make_event(price_cents=PRICE), make_buyer(PRICE), make_buyer(PRICE)
    row = {"event_id": event, "buyer_id": other, "seat": 7, "price_cents": PRICE}
    with sales.as_learner() as session:
        order = session.insert("orders", row)
        try:
            session.commit()  # so that nothing but the ticket is locked, and the sale learns of it as late as can be
        except Exception as error:
            if getattr(error, "sqlstate", None) is None:
                raise
            session.rollback()  # a database that keeps no order without its ticket, which is right, too
            order = session.insert("orders", row)
        session.insert("tickets", {"order_id": order, "event_id": event, "seat": 7})
        answer = while_undecided(event, buyer, session.commit)
    if not (answer.status == 503 and answer.elapsed > 1.0):
        expect.status(answer, 409, reason="sale-fails-under-load", code="seat_sold")
    expect.equal(
        {"balance": PRICE, "orders": 1, "tickets": 1},
        left(event, buyer),
        f"what {sales.title} has: the balance of the buyer who came too late for the seat, at {PRICE} cents, and was answered with "
        f"{answer.status}; and the event's orders and tickets, one each of the other sale",
        reason="partial-sale",
    )
    evidence(f"a sale waited for another one of its seat, which was committed: {answer.status}, and nothing is left of it")


def orders(events, buyers, seats):
    return [
        Call("POST", "/orders", json={"event": event, "seat": seat, "buyer": buyer})
        for event, buyer, seat in zip(events, buyers, seats, strict=True)
    ]


@promises("money-adds-up", "allowed-sale-made", "balance-covers")
def test_fifty_sales_on_one_balance(server, sales, make_buyer, make_event, balance, evidence):
    """Fifty sales at once to one buyer, whose money is enough for twenty: exactly twenty are sold and paid."""
    events = [make_event(price_cents=PRICE) for _ in range(50)]
    buyer = make_buyer(20 * PRICE)
    answers = server.parallel(orders(events, [buyer] * 50, range(1, 51)), at_once=50)
    paid = sales.value("SELECT count(*) FROM orders WHERE concat(buyer_id) = %s", [buyer])
    expect.equal(
        paid * PRICE,
        20 * PRICE - balance(buyer),
        f"how many of {20 * PRICE} cents a buyer has paid, by the balance in {sales.title}, for {paid} orders of "
        f"{PRICE} cents",
        reason="lost-update",
    )
    expect.equal(
        (paid, paid),
        (
            sum(answer.status == 201 for answer in answers),
            sales.value(
                "SELECT count(*) FROM tickets t JOIN orders o ON o.id = t.order_id WHERE concat(o.buyer_id) = %s",
                [buyer],
            ),
        ),
        f"the answers 201 and the tickets, beside the {paid} orders in {sales.title}",
        reason="partial-sale",
    )
    for answer in answers:
        if answer.status != 201:
            expect.status(answer, 402, reason="sale-fails-under-load", code="balance_too_low")
    expect.equal(
        20, paid, "how many of 50 sales at once were made, with money for 20", reason="sale-fails-under-load"
    )
    evidence(f"{sales.title}: 50 sales at once, 20 orders, 20 tickets, balance 0")


@promises("seat-sold-once", "money-adds-up")
def test_one_seat_one_buyer(server, sales, make_buyer, make_event, balance, evidence):
    """Of eight buyers who want one seat at the same moment one gets it, and the others keep their money."""
    event, buyers = make_event(price_cents=PRICE), [make_buyer(4 * PRICE) for _ in range(8)]
    calls = [call for seat in range(1, 5) for call in orders([event] * 8, buyers, [seat] * 8)]
    answers = server.parallel(calls, at_once=32)
    rows = sales.rows(
        "SELECT seat, count(*) FROM tickets WHERE concat(event_id) = %s GROUP BY seat HAVING count(*) > 1", [event]
    )
    expect.equal(
        [],
        rows,
        f"which seats have more than one ticket in {sales.title} (seat, tickets) after 8 buyers wanted each",
        reason="oversold",
    )
    rows = sales.rows("SELECT concat(buyer_id) FROM orders WHERE concat(event_id) = %s", [event])
    owners = [row[0] for row in rows]
    for buyer in buyers:
        expect.equal(
            (4 - owners.count(buyer)) * PRICE,
            balance(buyer),
            f"the balance in {sales.title} of a buyer who had {4 * PRICE} cents and got {owners.count(buyer)} "
            f"seat(s) for {PRICE}",
            reason="lost-update",
        )
    for answer in answers:
        if answer.status != 201:
            expect.status(answer, 409, reason="sale-fails-under-load", code="seat_sold")
    expect.equal(
        4, len(owners), "how many of the 4 seats that 8 buyers wanted were sold", reason="sale-fails-under-load"
    )
    evidence(f"{sales.title}: 4 seats, 8 buyers for each at once, one ticket a seat, and only its buyer has paid")


@promises("key-under-way", "balance-covers", "as-one-after-the-other")
def test_one_key_of_a_sale_that_is_refused(server, make_buyer, make_event, left, fresh, evidence):
    """Twenty requests at once with one Idempotency-Key, and too little money for their sale: each is told so."""
    event, buyer, headers = make_event(price_cents=PRICE), make_buyer(PRICE - 1), {"Idempotency-Key": fresh.token()}
    calls = [Call("POST", "/orders", json={"event": event, "seat": 3, "buyer": buyer}, headers=headers) for _ in range(20)]
    for answer in server.parallel(calls, at_once=20):
        expect.status(answer, 402, reason="sale-fails-under-load", code="balance_too_low")
    nothing = {"balance": PRICE - 1, "orders": 0, "tickets": 0}
    expect.equal(nothing, left(event, buyer), "what there is of a sale that was refused twenty times", "partial-sale")
    evidence("twenty requests at once with one key and too little money were refused, each for the money")
