"""postgres/isolation and mysql/isolation: sales at the same moment, and the sums still hold.

A sale stands still before each of its steps while another process of the server makes a second one: whatever moment a
server forgets is found, on any machine.
"""

import itertools

import pytest

from orchestrator.checks import NoAnswer, expect, promises

PRICE = 300


@pytest.fixture
def orders_of(sales):
    """`orders_of(buyer) -> (orders, tickets)`: how many PostgreSQL has of this buyer."""

    def count(buyer):
        return tuple(
            sales.one(
                "SELECT count(*), count(t.order_id) FROM orders o LEFT JOIN tickets t ON t.order_id = o.id"
                " WHERE concat(o.buyer_id) = %s",
                [buyer],
            )
        )

    return count


@pytest.fixture
def buy_at_once(explore, server, twin, sale, fresh):
    """`buy_at_once(prepare, first, second, holds, during) -> steps`: two sales, `(event, seat)` of a case each, for `case[0]`.

    Once without and once with an Idempotency-Key, each its own: to look for a key is a step, too, and what is read then
    may be out of date when the sale has its locks.
    """

    def explored(prepare, first, second, holds, during, keyed):
        def buys(where, wish, case):
            headers = {"Idempotency-Key": fresh.token()} if keyed else {}
            return sale(where, *wish(case), case[0], headers=headers)

        return explore.interleave(
            lambda case: buys(server, first, case),
            lambda case: buys(twin, second, case),
            holds,
            prepare=prepare,
            during=f"{during}, each with a key of its own" if keyed else during,
        )

    def run(prepare, first, second, holds, during):
        plain, keyed = (explored(prepare, first, second, holds, during, keyed) for keyed in (False, True))
        return f"{plain}, and with keys before {keyed}"

    return run


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
def test_a_sale_between_two_steps_of_another(sales, buy_at_once, make_buyer, make_event, balance, orders_of, evidence):
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
            f"how many cents a buyer has paid, by the balance in {sales.title}, for {orders} order(s) of {PRICE}",
            reason="lost-update",
        )
        expect.equal(orders, tickets, f"the number of tickets beside {orders} order(s)", reason="partial-sale")
        sold_once(answers, "balance_too_low", orders)

    seen = buy_at_once(
        prepare,
        lambda case: (case[1], 1),
        lambda case: (case[2], 2),
        holds,
        during="a second process of it sold the same buyer another seat",
    )
    evidence(f"a second sale came before {seen}: {sales.title} has one order and one debit each time")


@promises("limit-4")
def test_a_fifth_ticket_between_two_steps(sales, buy_at_once, make_buyer, make_event, make_sale, evidence):
    """Between any two steps of a buyer's fourth sale another one comes: there are four tickets, not five."""

    def prepare():
        buyer, event = make_buyer(10 * PRICE), make_event(price_cents=0)  # a debit would keep the two sales apart
        for seat in (1, 2, 3):
            make_sale(event, buyer, seat, 0)
        return buyer, event

    def holds(case, *answers):
        tickets = sales.value("SELECT count(*) FROM tickets WHERE concat(event_id) = %s", [case[1]])
        expect.at_most(4, tickets, "how many tickets of one event a buyer has", reason="limit-exceeded")
        sold_once(answers, "limit_4", tickets - 3)

    seen = buy_at_once(
        prepare,
        lambda case: (case[1], 11),
        lambda case: (case[1], 12),
        holds,
        during="a second process of it sold the same buyer another seat of this event",
    )
    evidence(f"a fifth ticket was asked for before {seen}: {sales.title} has four each time")


@promises("seat-sold-once", "money-adds-up")
def test_a_seat_between_two_steps(
    explore, server, twin, sale, sales, make_buyer, make_event, balance, evidence
):
    """Between any two steps of a sale another buyer wants the seat: one gets it, the other one keeps the money."""

    def prepare():
        return make_event(price_cents=PRICE), make_buyer(PRICE), make_buyer(PRICE)

    def holds(case, *answers):
        event, *buyers = case
        tickets = sales.value("SELECT count(*) FROM tickets WHERE concat(event_id) = %s", [event])
        expect.at_most(1, tickets, f"how many tickets of one seat {sales.title} has", reason="oversold")
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
    evidence(f"another buyer wanted the seat before {seen}: {sales.title} has one ticket each time")


@promises("key-same-answer", "key-under-way")
def test_one_key_twice_at_once(explore, server, sales, twin, sale, make_buyer, make_event, orders_of, fresh, evidence):
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
    evidence(f"the same key came again before {seen}: {sales.title} has one order each time")


@promises("key-other-body", "key-under-way", "as-one-after-the-other")
def test_one_key_for_two_requests_at_once(
    explore, server, sales, twin, sale, make_buyer, make_event, balance, sold, fresh, evidence
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
    evidence(f"the key of a sale came with another one before {seen}: {sales.title} has one of the two each time")


@promises("key-same-answer", "key-under-way", "sale-whole")
def test_one_key_again_while_the_first_sale_is_lost(
    explore, server, sales, twin, sale_with_key, left, order_as_stored, alive, evidence
):
    """A sale waits for another one with its key, and that one loses its connection: what both are told is one sale."""

    def holds(case, *answers):
        body, _ = case
        there = left(body["event"], body["buyer"])
        orders = there["orders"]
        expect.at_most(1, orders, "how many orders one Idempotency-Key made", reason="charged-twice")
        whole = {"balance": 1_000 - 300 * orders, "orders": orders, "tickets": orders}
        expect.equal(whole, there, f"what {sales.title} has of a sale for 300 cents that was asked for twice", "partial-sale")
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
        services=(sales.name,),
        during="the same request with the same key came to a second process of it",
        cut=True,
    )
    evidence(f"the connection was lost at {seen} of a sale, and the same key came meanwhile: each 201 was the order that is there")


@promises("as-one-after-the-other", "sale-whole", "seat-sold-once")
def test_one_seat_twice_for_one_buyer_while_a_sale_is_lost(
    explore, server, sales, twin, sale, make_buyer, make_event, left, order_as_stored, alive, evidence
):
    """A sale loses its connection, and the same buyer buys the same seat elsewhere: one order is one 201."""

    def holds(case, *answers):
        event, buyer = case
        there = left(event, buyer)
        orders = there["orders"]
        whole = {"balance": 3 * PRICE - PRICE * orders, "orders": orders, "tickets": orders}
        expect.equal(whole, there, f"what {sales.title} has after a buyer asked twice for one seat at {PRICE} cents", "partial-sale")
        told = [answer for answer in answers if getattr(answer, "status", None) == 201]
        expect.at_most(
            orders,
            len(told),
            f"how many of two sales of one seat to one buyer, without an Idempotency-Key, were answered with 201; {sales.title} has "
            f"{orders} order(s)",
            reason="false-success",
        )
        for answer in told:
            order_as_stored(answer, "an order that was answered with 201", reason="false-success")
        for answer, lost in zip(answers, (True, False), strict=True):
            if isinstance(answer, NoAnswer) or answer.status == 201:
                continue
            codes = {409: "seat_sold", **({500: "internal", 503: "unavailable"} if lost else {})}
            expect.status(answer, *codes, reason="sale-fails-under-load", code=tuple(codes.values()))
            expect.true(
                answer.status != 409 or orders == 1,
                f"the answer to a sale of a seat that {sales.title} has no ticket of",
                reason="sale-fails-under-load",
                expected="201" + (", or 503: its connection was lost" if lost else ""),
                seen=f"409 {answer.text}",
            )
        alive(buyer)

    seen = explore.interleave(
        lambda case: sale(server, case[0], 7, case[1]),
        lambda case: sale(twin, case[0], 7, case[1]),
        holds,
        prepare=lambda: (make_event(price_cents=PRICE), make_buyer(3 * PRICE)),
        services=(sales.name,),
        during="the same buyer asked a second process of it for the same seat",
        cut=True,
    )
    evidence(f"the connection was lost at {seen} of a sale, and its buyer asked for the seat again: one 201 for the one order")
