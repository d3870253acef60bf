"""postgres/isolation: sales at the same moment, and the sums still hold.

A sale stands still before each of its steps while another process of the server makes a second one: whatever moment a
server forgets is found, on any machine. The crowds after that add what two sales alone cannot show: that nobody waits
for the other for ever, and that no sale is refused which no rule forbids.
"""

import itertools
import json

import pytest

from orchestrator.checks import Call, NoAnswer, expect, promises

PRICE = 300
# What PostgreSQL says to the transaction that it ends when two wait for each other: SQLSTATE, text; how often.
DEADLOCK = ("40P01", "deadlock detected", 1)


@pytest.fixture
def sale():
    """`sale(server, event, seat, buyer, **options) -> answer`: POST /orders."""

    def ask(server, event, seat, buyer, **options):
        return server.post("/orders", json={"event": event, "seat": seat, "buyer": buyer}, **options)

    return ask


@pytest.fixture
def orders_of(postgres):
    """`orders_of(buyer) -> (orders, tickets)`: how many PostgreSQL has of this buyer."""

    def count(buyer):
        return tuple(
            postgres.one(
                "SELECT count(*), count(t.order_id) FROM orders o LEFT JOIN tickets t ON t.order_id = o.id"
                " WHERE o.buyer_id::text = %s",
                [buyer],
            )
        )

    return count


def sold_once(answers, code, paid):
    """One of two answers is 201, the other one the refusal; an answer that did not come says nothing."""
    for answer in answers:
        if not isinstance(answer, NoAnswer) and answer.status != 201:
            expect.status(answer, 402, 409, reason="sale-fails-under-load", code=code)
    told = sum(getattr(answer, "status", None) == 201 for answer in answers)
    expect.at_most(paid, told, "how many of two sales at once were answered with 201", reason="false-success")
    if not any(isinstance(answer, NoAnswer) for answer in answers):
        expect.equal(1, told, "how many of two sales at once were answered with 201", reason="sale-fails-under-load")


@promises("money-adds-up", "allowed-sale-made")
def test_a_sale_between_two_steps_of_another(
    explore, server, twin, sale, make_buyer, make_event, balance, orders_of, evidence
):
    """Between any two steps of a sale the same buyer buys elsewhere: the money pays for one, and one is sold."""

    def prepare():
        return make_buyer(PRICE + PRICE // 2), make_event(price_cents=PRICE), make_event(price_cents=PRICE)

    def holds(case, *answers):
        orders, tickets = orders_of(case[0])
        paid = PRICE + PRICE // 2 - balance(case[0])
        expect.at_most(
            1,
            orders,
            f"how many orders for {PRICE} cents a buyer with {PRICE + PRICE // 2} cents has, who paid {paid} cents",
            reason="lost-update",
        )
        expect.equal(
            orders * PRICE,
            paid,
            f"how many cents a buyer has paid, by the balance in PostgreSQL, for {orders} order(s) of {PRICE}",
            reason="lost-update",
        )
        expect.equal(orders, tickets, f"the number of tickets beside {orders} order(s)", reason="partial-sale")
        sold_once(answers, "balance_too_low", orders)

    seen = explore.interleave(
        lambda case: sale(server, case[1], 1, case[0]),
        lambda case: sale(twin, case[2], 2, case[0]),
        holds,
        prepare=prepare,
        during="a second process of it sold the same buyer another seat",
    )
    evidence(f"a second sale came before {seen}: PostgreSQL has one order and one debit each time")


@promises("limit-4")
def test_a_fifth_ticket_between_two_steps(
    explore, server, twin, sale, postgres, make_buyer, make_event, make_sale, evidence
):
    """Between any two steps of a buyer's fourth sale another one comes: there are four tickets, not five."""

    def prepare():
        buyer, event = make_buyer(10 * PRICE), make_event(price_cents=0)  # a debit would keep the two sales apart
        for seat in (1, 2, 3):
            make_sale(event, buyer, seat, 0)
        return buyer, event

    def holds(case, *answers):
        tickets = postgres.value("SELECT count(*) FROM tickets WHERE event_id::text = %s", [case[1]])
        expect.at_most(4, tickets, "how many tickets of one event a buyer has", reason="limit-exceeded")
        sold_once(answers, "limit_4", tickets - 3)

    seen = explore.interleave(
        lambda case: sale(server, case[1], 11, case[0]),
        lambda case: sale(twin, case[1], 12, case[0]),
        holds,
        prepare=prepare,
        during="a second process of it sold the same buyer another seat of this event",
    )
    evidence(f"a fifth ticket was asked for before {seen}: PostgreSQL has four each time")


@promises("seat-sold-once", "money-adds-up")
def test_a_seat_between_two_steps(
    explore, server, twin, sale, postgres, make_buyer, make_event, balance, evidence
):
    """Between any two steps of a sale another buyer wants the seat: one gets it, the other one keeps the money."""

    def prepare():
        return make_event(price_cents=PRICE), make_buyer(PRICE), make_buyer(PRICE)

    def holds(case, *answers):
        event, *buyers = case
        tickets = postgres.value("SELECT count(*) FROM tickets WHERE event_id::text = %s", [event])
        expect.at_most(1, tickets, "how many tickets of one seat PostgreSQL has", reason="oversold")
        left = sum(balance(buyer) for buyer in buyers)
        expect.equal(
            2 * PRICE - tickets * PRICE,
            left,
            f"what two buyers with {PRICE} cents each have left, after {tickets} ticket(s) for {PRICE}",
            reason="lost-update",
        )
        sold_once(answers, "seat_sold", tickets)

    seen = explore.interleave(
        lambda case: sale(server, case[0], 7, case[1]),
        lambda case: sale(twin, case[0], 7, case[2]),
        holds,
        prepare=prepare,
        during="a second process of it was asked for the same seat by another buyer",
    )
    evidence(f"another buyer wanted the seat before {seen}: PostgreSQL has one ticket each time")


@promises("key-same-answer", "key-under-way")
def test_one_key_twice_at_once(explore, server, twin, sale, make_buyer, make_event, orders_of, fresh, evidence):
    """Between any two steps of a sale the same request comes again with its Idempotency-Key: it is one sale."""

    def prepare():
        return make_event(price_cents=PRICE), make_buyer(2 * PRICE), {"Idempotency-Key": fresh.token()}

    def holds(case, *answers):
        orders, _ = orders_of(case[1])
        expect.at_most(1, orders, "how many orders one Idempotency-Key made", reason="charged-twice")
        for answer in answers:
            if not isinstance(answer, NoAnswer):  # also when the first one is not done yet: then there is a wait
                expect.status(answer, 201, reason="answer-not-repeated")
        told = [answer for answer in answers if getattr(answer, "status", None) == 201]
        expect.at_most(orders, min(len(told), 1), "whether a sale that was answered is there", reason="false-success")
        named = {expect.field(answer, "order", str, reason="answer-wrong") for answer in told}
        expect.at_most(1, len(named), "how many orders the answers to one key name", reason="charged-twice")

    seen = explore.interleave(
        lambda case: sale(server, case[0], 3, case[1], headers=case[2]),
        lambda case: sale(twin, case[0], 3, case[1], headers=case[2]),
        holds,
        prepare=prepare,
        during="the same request with the same key came to a second process of it",
    )
    evidence(f"the same key came again before {seen}: PostgreSQL has one order each time")


@promises("key-other-body", "key-under-way", "as-one-after-the-other")
def test_one_key_for_two_requests_at_once(
    explore, server, twin, sale, make_buyer, make_event, balance, sold, fresh, evidence
):
    """Between any two steps of a sale its key comes with another request: one is made, the other one is refused for it."""

    others = itertools.cycle([("event", "seat", "buyer"), ("seat",)])  # what the second request has of its own, in turn

    def prepare():
        mine = {"event": make_event(price_cents=PRICE), "seat": 3, "buyer": make_buyer(2 * PRICE)}
        own = {"event": make_event(price_cents=PRICE), "seat": 4, "buyer": make_buyer(2 * PRICE)}
        return mine, {**mine, **{name: own[name] for name in next(others)}}, {"Idempotency-Key": fresh.token()}

    def holds(case, *answers):
        *wishes, _ = case
        events, buyers = ({wish[name] for wish in wishes} for name in ("event", "buyer"))
        there = [sum(numbers) for numbers in zip(*(sold(event) for event in events), strict=True)]
        paid = 2 * PRICE * len(buyers) - sum(balance(buyer) for buyer in buyers)
        what = "orders, tickets and cents paid after two different requests with one Idempotency-Key"
        told = sum(getattr(answer, "status", None) == 201 for answer in answers)
        if NoAnswer not in map(type, answers):
            expect.equal(1, told, "how many of two different requests with one key were answered with 201", "key-reused-accepted")
            expect.equal([1, 1, PRICE], [*there, paid], what, reason="key-reused-accepted")
        expect.at_most(1, there[0], what, reason="key-reused-accepted")
        for answer, wish in zip(answers, wishes, strict=True):
            if getattr(answer, "status", None) == 201:
                expect.fields(answer, wish, "the order, beside what was asked for", reason="key-reused-accepted")
            elif not isinstance(answer, NoAnswer):
                expect.status(answer, 409, reason="key-reused-accepted", code="key_reused")

    seen = explore.interleave(
        lambda case: sale(server, **case[0], headers=case[2]),
        lambda case: sale(twin, **case[1], headers=case[2]),
        holds,
        prepare=prepare,
        during="a second process of it was asked for another sale with the same key",
    )
    evidence(f"the key of a sale came with another one before {seen}: PostgreSQL has one of the two each time")


@promises("key-same-answer", "key-under-way", "sale-whole")
def test_one_key_again_while_the_first_sale_is_lost(
    explore, server, twin, sale_with_key, left, order_as_stored, alive, evidence
):
    """A sale waits for another one with its key, and that one loses its connection: what both are told is one sale."""

    def holds(case, *answers):
        body, _ = case
        there = left(body["event"], body["buyer"])
        orders = there["orders"]
        expect.at_most(1, orders, "how many orders one Idempotency-Key made", reason="charged-twice")
        whole = {"balance": 1_000 - 300 * orders, "orders": orders, "tickets": orders}
        expect.equal(whole, there, "what PostgreSQL has of a sale for 300 cents that was asked for twice", "partial-sale")
        for answer in answers:
            if getattr(answer, "status", None) == 201:
                order_as_stored(answer, "an order that was answered with 201", reason="false-success")
            elif not isinstance(answer, NoAnswer):
                expect.status(answer, 500, 503, reason="answer-not-repeated", code=("internal", "unavailable"))
        alive(body["buyer"])

    seen = explore.interleave(
        lambda case: server.post("/orders", json=case[0], headers=case[1]),
        lambda case: twin.post("/orders", json=case[0], headers=case[1]),
        holds,
        prepare=sale_with_key,
        services=("postgres",),
        during="the same request with the same key came to a second process of it",
        cut=True,
    )
    evidence(f"the connection was lost at {seen} of a sale, and the same key came meanwhile: each 201 was the order that is there")


@promises("seats-not-below-sold", "sale-of-what-is-there", "allowed-sale-made")
def test_seats_taken_away_between_two_steps(
    explore, server, twin, sale, postgres, make_buyer, make_event, evidence
):
    """Between any two steps of a sale the event loses this seat, and the other way round: one of the two is refused."""

    def prepare():
        return make_event(seats=20, price_cents=PRICE), make_buyer(PRICE)

    def sell(one, case):
        return sale(one, case[0], 20, case[1])

    def shrink(one, case):
        return one.patch(f"/events/{case[0]}", json={"seats": 10})

    def holds(case, sold, shrunk):
        seats, tickets = postgres.one(
            "SELECT seats, (SELECT count(*) FROM tickets t WHERE t.event_id = e.id) FROM events e WHERE id::text = %s",
            [case[0]],
        )
        expect.true(
            seats == 20 or not tickets,
            "what PostgreSQL has of an event after a sale of its seat 20 and a change to 10 seats at the same moment",
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
                "which of the two was answered as done (the sale, the change), beside PostgreSQL",
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
def stored(postgres, balance):
    """`stored(event, buyer) -> {...}`: an event as PostgreSQL has it, what is sold of it and what the buyer has."""

    def read(event, buyer):
        found = postgres.rows("SELECT name, seats, price_cents FROM events WHERE id::text = %s", [event])
        paid = postgres.rows("SELECT price_cents FROM orders WHERE event_id::text = %s", [event])
        tickets = postgres.rows("SELECT seat FROM tickets WHERE event_id::text = %s", [event])
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
def test_two_changes_of_an_event_at_once(of_one_event, change, fresh, evidence):
    """Two fields of an event are changed at the same moment: both changes are there, the other fields stay."""
    tried = sum(
        of_one_event(
            change(**one), (change(**other),),
            f"PATCH of an event with {json.dumps(one)} and one with {json.dumps(other)}", "change-lost",
        )
        for one, other in (({"price_cents": 2 * PRICE}, {"seats": 30}), ({"name": fresh.name("event")}, {"seats": 10}))
    )
    evidence(f"two changes of one event met at {tried} steps: PostgreSQL has both each time")


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


@promises("allowed-sale-made")
def test_a_deadlock_is_tried_again(server, trap, met, sale_with_key, left, evidence):
    """A sale that PostgreSQL ends because of a deadlock is tried again, and made."""
    for place in ("buyers", "orders", "tickets"):
        body, headers = sale_with_key()
        tries = trap(place, body["buyer"] if place == "buyers" else body["event"], *DEADLOCK)
        answer = server.post("/orders", json=body, headers=headers)
        met(tries, answer, place)
        expect.true(
            answer.status == 201,
            f"the answer to a sale whose transaction ended with PostgreSQL's error 40P01 (`deadlock detected`) when it "
            f"wrote into {place} for the first time; a second time is free",
            reason="deadlock-not-tried-again",
            expected="201: the whole sale is tried again",
            seen=f"{answer.status} after {tries()} time(s)",
        )
        expect.equal(
            {"balance": 700, "orders": 1, "tickets": 1},
            left(body["event"], body["buyer"]),
            "what PostgreSQL has of a sale for 300 cents that was tried again after a deadlock",
            reason="partial-sale",
        )
    evidence("three sales met a deadlock, at buyers, orders and tickets: each was tried again and is there once")


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
