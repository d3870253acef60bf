"""postgres/isolation: many sales at the same moment, and the sums still hold.

Beside each round a naive control runs on a table of the checker's own: a few connections that read a number, add one
and write it back. If the control loses no update, nothing overlapped on this machine, the round proves nothing and is
repeated.
"""

import pytest

from orchestrator.checks import Call, expect
from orchestrator.checks.errors import MachineSlow

ROUNDS, TRIES = 2, 6
PRICE = 300


@pytest.fixture
def with_teeth(postgres, together):
    """`with_teeth(round)`: runs `round()` until the naive control beside it has lost updates in ROUNDS rounds."""
    postgres.admin(
        "CREATE SCHEMA IF NOT EXISTS labs_check; CREATE TABLE IF NOT EXISTS labs_check.control (number bigint);"
        " GRANT USAGE ON SCHEMA labs_check TO PUBLIC; GRANT ALL ON labs_check.control TO PUBLIC;"
    )

    def naive():
        with postgres.as_learner() as connection:
            connection.autocommit = True
            for _ in range(12):
                number = connection.execute("SELECT number FROM labs_check.control").fetchone()[0]
                connection.execute("UPDATE labs_check.control SET number = %s", [number + 1])

    def run(round_):
        counted = lost = 0
        for _ in range(TRIES):
            postgres.admin("DELETE FROM labs_check.control; INSERT INTO labs_check.control VALUES (0)")
            together([round_, *[naive] * 4])
            missing = 4 * 12 - postgres.admin("SELECT number FROM labs_check.control")[0][0]
            counted, lost = counted + (missing > 0), lost + missing
            if counted == ROUNDS:
                return lost
        raise MachineSlow(
            f"in {TRIES} rounds a naive control never lost an update: nothing overlaps on this machine, so the "
            "rounds prove nothing"
        )

    return run


def orders(events, buyers, seats):
    return [
        Call("POST", "/orders", json={"event": event, "seat": seat, "buyer": buyer})
        for event, buyer, seat in zip(events, buyers, seats, strict=True)
    ]


def test_fifty_sales_on_one_balance(server, postgres, make_buyer, make_event, balance, with_teeth, evidence):
    """Fifty sales at once to one buyer, whose money is enough for twenty: exactly twenty are sold and paid."""
    events = [make_event(price_cents=PRICE) for _ in range(50)]

    def one_round():
        buyer = make_buyer(20 * PRICE)
        answers = server.parallel(orders(events, [buyer] * 50, [next(seat)] * 50), at_once=50)
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

    seat = iter(range(1, TRIES + 1))
    lost = with_teeth(one_round)
    evidence(
        f"PostgreSQL: 50 sales at once, 20 orders, balance 0, {ROUNDS} times; a naive control beside them lost "
        f"{lost} updates"
    )


def test_no_fifth_ticket(server, postgres, make_buyer, make_event, balance, with_teeth, evidence):
    """Of twelve sales at once to one buyer for one event, exactly four are made."""

    def one_round():
        buyers, events = (
            [make_buyer(100 * PRICE) for _ in range(3)],
            [make_event(price_cents=PRICE) for _ in range(3)],
        )
        calls = [call for seat in range(1, 13) for call in orders(events, buyers, [seat] * 3)]
        answers = server.parallel(calls, at_once=36)
        for event, buyer in zip(events, buyers, strict=True):
            tickets = postgres.value("SELECT count(*) FROM tickets WHERE event_id::text = %s", [event])
            expect.at_most(
                4,
                tickets,
                "how many tickets of one event a buyer has who sent 12 orders at once",
                reason="limit-exceeded",
            )
            expect.equal(
                (100 - tickets) * PRICE,
                balance(buyer),
                f"the balance in PostgreSQL after {tickets} tickets",
                reason="lost-update",
            )
        for answer in answers:
            if answer.status != 201:
                expect.status(answer, 409, reason="sale-fails-under-load", code="limit_4")
        expect.equal(
            12,
            sum(answer.status == 201 for answer in answers),
            "how many of the sales were made: 3 buyers, 4 tickets each",
            reason="sale-fails-under-load",
        )

    lost = with_teeth(one_round)
    evidence(
        f"PostgreSQL: three buyers with 12 orders at once each got 4 tickets, {ROUNDS} times; a naive control "
        f"beside them lost {lost} updates"
    )


def test_one_seat_one_buyer(server, postgres, make_buyer, make_event, balance, with_teeth, evidence):
    """Of eight buyers who want one seat at the same moment one gets it, and the others keep their money."""

    def one_round():
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

    lost = with_teeth(one_round)
    evidence(
        f"PostgreSQL: 4 seats, 8 buyers for each at once, one ticket a seat, {ROUNDS} times; a naive control "
        f"beside them lost {lost} updates"
    )
