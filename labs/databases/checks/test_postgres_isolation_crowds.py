"""postgres/isolation: what two requests alone do not show: nobody waits for ever, no sale is refused without a rule."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest

from orchestrator.checks import Call, Late, expect, promises

PRICE = 300
UNDECIDED = 0.5
"""Seconds for which another sale has a seat and is not over: less than a request must wait for a row."""
# What PostgreSQL says to a transaction that it ends so that another one can go on: SQLSTATE, text, reason.
ENDED = (
    ("40P01", "deadlock detected", "deadlock-not-tried-again"),
    ("40001", "could not serialize access due to concurrent update", "serialization-not-tried-again"),
)


@pytest.fixture
def tried_again(server, trap, met, sale_with_key, left):
    """`tried_again(place, ended, when, reason, after, at_commit=False)`: a sale whose transaction PostgreSQL ends once is made.

    It ends at a write into this table, or at the COMMIT after it. `when` and `after` are for the words of a failure.
    """

    def look(place, ended, when, reason, after, at_commit=False):
        body, headers = sale_with_key()
        tries = trap(place, body["buyer"] if place == "buyers" else body["event"], *ended, most=1, at_commit=at_commit)
        answer = server.post("/orders", json=body, headers=headers)
        met(tries, answer, place)
        expect.true(
            answer.status == 201,
            f"the answer to a sale {when}; a second time is free",
            reason=reason,
            expected="201: the whole sale is tried again",
            seen=f"{answer.status} after {tries()} time(s)",
        )
        expect.equal(
            {"balance": 700, "orders": 1, "tickets": 1},
            left(body["event"], body["buyer"]),
            f"what PostgreSQL has of a sale for 300 cents that was tried again after {after}",
            reason="partial-sale",
        )

    return look


@promises("allowed-sale-made")
def test_what_postgresql_ends_is_tried_again(tried_again, evidence):
    """A sale that PostgreSQL ends because of a deadlock, or because it could not serialize it, is tried again, and made."""
    for state, words, reason in ENDED:
        for place in ("buyers", "orders", "tickets"):
            when = f"whose transaction ended with PostgreSQL's error {state} (`{words}`) when it wrote into {place} for the first time"
            tried_again(place, (state, words), when, reason, f"the error {state}")
    evidence(
        "six sales met a deadlock or a serialization failure, at buyers, orders and tickets: each was tried again and is "
        "there once"
    )


@promises("allowed-sale-made", "as-one-after-the-other", "seat-sold-once")
def test_a_seat_of_a_sale_that_is_not_over(server, postgres, wait, sale, make_buyer, make_event, left, evidence):
    """Another sale has the seat, is not over for half a second, and is taken back: whoever waited for it buys it."""
    event, buyer, other = make_event(price_cents=PRICE), make_buyer(PRICE), make_buyer(PRICE)
    with postgres.as_learner() as session, ThreadPoolExecutor(1) as beside:
        order = session.execute(
            "INSERT INTO orders (event_id, buyer_id, seat, price_cents) SELECT e.id, b.id, 7, %s FROM events e, buyers b"
            " WHERE e.id::text = %s AND b.id::text = %s RETURNING id, event_id, seat",
            [PRICE, event, other],
        ).fetchone()
        session.execute("INSERT INTO tickets (order_id, event_id, seat) VALUES (%s, %s, %s)", order)
        asked = beside.submit(sale, server, event, 7, buyer)
        with contextlib.suppress(Late):  # it may wait in a way that PostgreSQL knows nothing of
            wait.until(
                lambda: asked.done() or postgres.value("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"),
                deadline=1.0,
                what="a sale that waits for another one of its seat",
            )
        wait_for([asked], timeout=UNDECIDED)
        session.rollback()
        answer = asked.result()
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
    there, what = left(event, buyer), f"what PostgreSQL has of that sale for {PRICE} cents, beside its answer {answer.status}"
    expect.true(there == whole or (waited_long and there == nothing), what, "partial-sale", expected=whole, seen=there)
    evidence(f"a sale waited for another one of its seat, which was taken back: it was answered with {answer.status}")


def orders(events, buyers, seats):
    return [
        Call("POST", "/orders", json={"event": event, "seat": seat, "buyer": buyer})
        for event, buyer, seat in zip(events, buyers, seats, strict=True)
    ]


@promises("money-adds-up", "allowed-sale-made", "balance-covers")
def test_fifty_sales_on_one_balance(server, postgres, make_buyer, make_event, balance, evidence):
    """Fifty sales at once to one buyer, whose money is enough for twenty: exactly twenty are sold and paid."""
    events = [make_event(price_cents=PRICE) for _ in range(50)]
    buyer = make_buyer(20 * PRICE)
    answers = server.parallel(orders(events, [buyer] * 50, range(1, 51)), at_once=50)
    paid = postgres.value("SELECT count(*) FROM orders WHERE buyer_id::text = %s", [buyer])
    expect.equal(
        paid * PRICE,
        20 * PRICE - balance(buyer),
        f"how many of {20 * PRICE} cents a buyer has paid, by the balance in PostgreSQL, for {paid} orders of "
        f"{PRICE} cents",
        reason="lost-update",
    )
    expect.equal(
        (paid, paid),
        (
            sum(answer.status == 201 for answer in answers),
            postgres.value(
                "SELECT count(*) FROM tickets t JOIN orders o ON o.id = t.order_id WHERE o.buyer_id::text = %s",
                [buyer],
            ),
        ),
        f"the answers 201 and the tickets, beside the {paid} orders in PostgreSQL",
        reason="partial-sale",
    )
    for answer in answers:
        if answer.status != 201:
            expect.status(answer, 402, reason="sale-fails-under-load", code="balance_too_low")
    expect.equal(
        20, paid, "how many of 50 sales at once were made, with money for 20", reason="sale-fails-under-load"
    )
    evidence("PostgreSQL: 50 sales at once, 20 orders, 20 tickets, balance 0")


@promises("seat-sold-once", "money-adds-up")
def test_one_seat_one_buyer(server, postgres, make_buyer, make_event, balance, evidence):
    """Of eight buyers who want one seat at the same moment one gets it, and the others keep their money."""
    event, buyers = make_event(price_cents=PRICE), [make_buyer(4 * PRICE) for _ in range(8)]
    calls = [call for seat in range(1, 5) for call in orders([event] * 8, buyers, [seat] * 8)]
    answers = server.parallel(calls, at_once=32)
    rows = postgres.rows(
        "SELECT seat, count(*) FROM tickets WHERE event_id::text = %s GROUP BY seat HAVING count(*) > 1", [event]
    )
    expect.equal(
        [],
        rows,
        "which seats have more than one ticket in PostgreSQL (seat, tickets) after 8 buyers wanted each",
        reason="oversold",
    )
    rows = postgres.rows("SELECT buyer_id::text FROM orders WHERE event_id::text = %s", [event])
    owners = [row[0] for row in rows]
    for buyer in buyers:
        expect.equal(
            (4 - owners.count(buyer)) * PRICE,
            balance(buyer),
            f"the balance in PostgreSQL of a buyer who had {4 * PRICE} cents and got {owners.count(buyer)} "
            f"seat(s) for {PRICE}",
            reason="lost-update",
        )
    for answer in answers:
        if answer.status != 201:
            expect.status(answer, 409, reason="sale-fails-under-load", code="seat_sold")
    expect.equal(
        4, len(owners), "how many of the 4 seats that 8 buyers wanted were sold", reason="sale-fails-under-load"
    )
    evidence("PostgreSQL: 4 seats, 8 buyers for each at once, one ticket a seat, and only its buyer has paid")


@promises("allowed-sale-made")
def test_a_commit_is_tried_again(tried_again, evidence):
    """A sale whose COMMIT PostgreSQL refuses because of another transaction is tried again, and made."""
    for state, words, _ in ENDED:
        when = (
            f"whose statements were all done, and whose COMMIT PostgreSQL refused for once, with its error {state} (`{words}`)"
        )
        after = f"{state} at its COMMIT"
        tried_again("tickets", (state, words), when, "commit-not-tried-again", after, at_commit=True)
    evidence(f"PostgreSQL refused the COMMIT of {len(ENDED)} sales once each: each was tried again and is there once")
