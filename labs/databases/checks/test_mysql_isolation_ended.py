"""mysql/isolation: a sale that MySQL ends for a deadlock is tried again, and made once."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as done_within

from orchestrator.checks import Call, NoAnswer, expect, promises

PRICE = 300
POOL_MAX = 8  # DB_POOL_MAX of lab.toml
LATE = 1.3
"""Seconds for which another session has a seat: more than the shortest limit that MySQL takes for such a wait."""
HEAVY = 200
"""So many rows are changed by the other session: MySQL ends whoever of two has changed fewer."""


@promises("allowed-sale-made", "sale-whole")
def test_a_deadlock_is_tried_again(explore, server, sales, sale, make_buyer, make_event, plant_many, left, evidence):
    """A sale whose transaction MySQL ends for a deadlock, at whatever step, is tried again, made, and paid once."""
    others = plant_many("buyers", HEAVY)
    heavy = f"UPDATE buyers SET balance_cents = balance_cents + 1 WHERE id IN ({', '.join(['%s'] * HEAVY)})"
    before, tried = sales.deadlocks(), 0
    for order in (("buyers", "events"), ("events", "buyers")):

        def prepare():
            return {"events": make_event(price_cents=PRICE), "buyers": make_buyer(1_000)}

        def lock(case, order=order):
            with sales.as_learner(lock_timeout=3.0) as session:
                session.execute(heavy, others)
                for table in order:
                    session.execute(f"SELECT id FROM {table} WHERE id = %s FOR UPDATE", [case[table]])
                session.commit()

        def holds(case, answer, locked):
            if isinstance(answer, NoAnswer) or isinstance(locked, NoAnswer):
                return
            expect.true(
                answer.status == 201,
                "the answer to a sale that no rule forbids, while another session locks its event and its buyer",
                reason="deadlock-not-tried-again",
                expected="201: the whole sale is tried again when MySQL has ended it",
                seen=f"{answer.status} {answer.text}",
            )
            there = left(case["events"], case["buyers"])
            what = f"what MySQL has of a sale for {PRICE} cents that may have been tried again"
            expect.equal({"balance": 1_000 - PRICE, "orders": 1, "tickets": 1}, there, what, reason="charged-twice")

        tried += explore.interleave(
            lambda case: sale(server, case["events"], 1, case["buyers"]), lock, holds, prepare=prepare,
            during=f"another session locked the rows of {order[0]} and {order[1]}",
        ).tried
    met = sales.deadlocks() - before
    evidence(f"another session locked a sale's rows at {tried} of its steps; MySQL counted {met} deadlocks: each sale was made")


@promises("sale-whole", "seat-sold-once")
def test_a_lock_that_comes_too_late(server, sales, sale, make_buyer, make_event, plant_many, left, evidence):
    """Another session has the seat for longer than MySQL may wait, and gives it back: what is left of the sale is whole, whatever comes next."""
    event, buyer, other = make_event(price_cents=PRICE), make_buyer(3 * PRICE), make_buyer(PRICE)
    # The order is there, so that nothing but the ticket is locked.
    order = sales.insert("orders", {"event_id": event, "buyer_id": other, "seat": 7, "price_cents": PRICE})
    with sales.as_learner() as session, ThreadPoolExecutor(1) as beside:
        session.insert("tickets", {"order_id": order, "event_id": event, "seat": 7})
        asked = beside.submit(sale, server, event, 7, buyer, deadline=10.0)
        done_within([asked], timeout=LATE)
        session.rollback()
        answer = asked.result()
    sales.plant("DELETE FROM orders WHERE id = %s", [order])
    # A transaction that was left open ends with the next one on its connection, whichever of the pool this is.
    another, others = make_event(price_cents=PRICE), plant_many("buyers", 2 * POOL_MAX)
    calls = [Call("POST", "/orders", json={"event": another, "seat": 1 + i, "buyer": one}) for i, one in enumerate(others)]
    for one in server.parallel(calls, at_once=POOL_MAX):
        expect.status(one, 201, 503, reason="sale-fails-under-load")
    expect.status(answer, 201, 503, reason="sale-fails-under-load", code=None if answer.status == 201 else "unavailable")
    made = int(answer.status == 201)
    whole, there = {"balance": 3 * PRICE - PRICE * made, "orders": made, "tickets": made}, left(event, buyer)
    what = f"what MySQL has of a sale for {PRICE} cents that was answered with {answer.status}; it had waited {LATE} s for its seat"
    expect.equal(whole, there, what, reason="partial-sale")
    evidence(f"a sale waited {LATE} s for its seat and was answered with {answer.status}: {made} order, {made} ticket, {made} debit")
