"""postgres/transactions and mysql/transactions: an Idempotency-Key makes a repeated request the same sale, and no other request."""

import json
from datetime import timedelta

from orchestrator.checks import expect, promises

NO_HOLD = ("", " ", "None", "null", "nil", "undefined", "false", "0", "-")
"""Texts that a hold may be, and that look like none where the request is written down to be compared."""
SALE = ("order", "ticket", "event", "seat", "buyer", "price_cents", "created_at")


@promises("key-same-answer", "sale-whole")
def test_the_same_request_after_a_lost_answer(explore, server, sales, sale_with_key, again, evidence):
    """When the database did what it was asked and its answer was lost, the same request again is still one sale."""
    seen = explore.cut(
        lambda case: server.post("/orders", json=case[0], headers=case[1]),
        again,
        answer="lost",
        prepare=sale_with_key,
    )
    evidence(
        f"the answer was lost after {seen} of a sale; the same request again: {sales.title} has one order and one debit"
    )


@promises("key-same-answer", "key-remembered", "sale-whole")
def test_the_same_request_after_a_crash(explore, server, sales, sale_with_key, again, evidence):
    """Whenever your server is killed in the middle of a sale, the same request again is one sale."""
    seen = explore.crash(
        lambda case: server.post("/orders", json=case[0], headers=case[1]),
        again,
        prepare=sale_with_key,
    )
    evidence(f"your server was killed at {seen} of a sale; the same request again: {sales.title} has one order and one debit")


@promises("key-same-answer", "key-same-request", "key-remembered")
def test_the_same_request_again_sells_nothing(
    server, sales, make_buyer, make_event, left, fresh, instant, ids_apart, evidence
):
    """A request that is sent again with its Idempotency-Key gets the first answer and sells nothing more."""
    buyer, event, headers = make_buyer(1_000), make_event(price_cents=300), {"Idempotency-Key": fresh.token()}
    body = {"event": event, "seat": fresh.integer(1, 50), "buyer": buyer}
    first = server.post("/orders", json=body, headers=headers)
    expect.status(first, 201, reason="sale-refused")
    # Another price from now on: the answer is the first one, and not made anew from what the event costs today.
    sales.plant("UPDATE events SET price_cents = 450 WHERE id = %s", [event])
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
            f"what {sales.title} has when the request was sent again {when}",
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
    (made,) = sales.one("SELECT created_at FROM orders WHERE event_id = %s", [event])
    sales.plant("UPDATE orders SET created_at = %s WHERE event_id = %s", [made - timedelta(days=400), event])
    again = server.post("/orders", json=body, headers=headers)
    what, seen = "the same request with its key, sent again when its order is 400 days old", f"{again.status} {again.text}"
    expect.true(again.status == 201, what, reason="answer-not-repeated", expected="201, the first answer", seen=seen)
    expect.fields(again, same, "the answer 400 days later, beside the first one", reason="answer-not-repeated")
    other = server.post("/orders", json={**body, "seat": body["seat"] + 1}, headers=headers)
    expect.status(other, 409, reason="key-reused-accepted", code="key_reused")
    seen, what = left(event, buyer), f"what {sales.title} has after the same key came again 400 days later"
    expect.equal({"balance": 700, "orders": 1, "tickets": 1}, seen, what, reason="charged-twice")
    evidence(f"one Idempotency-Key came again, after a restart, 400 days later: {sales.title} has one order and one debit")


@promises("key-other-body", "key-same-request", "post-orders-409")
def test_a_key_belongs_to_one_request(server, sales, make_buyer, make_event, left, fresh, evidence):
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
                f"what {sales.title} has after the key came with another `{name}`, {value!r}",
                reason="key-reused-accepted",
            )
    # A hold is another one in capital letters. Where holds are known by now, this one is none.
    held, headers = {**body, "seat": body["seat"] + 2, "hold": fresh.token() + "aB"}, {"Idempotency-Key": fresh.token()}
    answer = server.post("/orders", json=held, headers=headers)
    expect.status(answer, 201, 410, reason="sale-refused")
    if answer.status == 201:
        other = server.post("/orders", json={**held, "hold": held["hold"].swapcase()}, headers=headers)
        expect.status(other, 409, 410, reason="key-reused-accepted", code=("key_reused", "hold_expired"))
    evidence(f"one key came with another seat, buyer, event and hold: {sales.title} has the order of the first request only")


@promises("key-other-body", "key-same-request", "post-orders-409")
def test_a_key_tells_requests_apart_that_look_alike(
    server, sales, make_buyer, make_event, plant_many, look_alikes, left, fresh, evidence
):
    """Requests that look the same when their values are written one after the other are not the same for a key."""
    reason, tried = "key-reused-accepted", 0
    pairs = []
    for name in ("buyer", "event"):
        known = dict.fromkeys(plant_many(f"{name}s", 4_000))  # so many that there are some with ids that look alike
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
            what = f"what {sales.title} has after the key of {sale} came with {other}"
            expect.equal(there, left(sale["event"], sale["buyer"]), what, reason=reason)
            tried += 1
    evidence(f"{tried} requests looked like the one that their key belongs to: none of them got its answer")
