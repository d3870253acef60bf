"""redis/expiry: a sale and the hold of its seat."""

from urllib.parse import quote

from orchestrator.checks import NoAnswer, expect, promises

LONG = 8_000
"""Characters of a hold's id that nobody can make shorter: more than an index of PostgreSQL takes."""
ODD = ("", "0", "*", '"a" \'b\' \\', "a\nb", "%s $1 ; --", "Žofie 漢字 🎟")
"""Ids of holds that are text like any other."""


@promises("held-seat", "hold-holds-now", "sale-ends-hold", "post-orders-410", "key-of-others")
def test_the_sale_ends_the_hold(server, redis, make_buyer, make_event, hold, sold, fresh, evidence):
    """A held seat is sold only to who names the hold, and the sale ends it."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    mine = hold(event, 1, first)
    answer = server.post("/orders", json={"event": event, "seat": 1, "buyer": second})
    expect.status(answer, 409, reason="held-seat-sold", code="seat_held")
    answer = server.post("/orders", json={"event": event, "seat": 1, "buyer": second, "hold": fresh.token()})
    expect.status(answer, 409, 410, reason="held-seat-sold", code=("seat_held", "hold_expired"))
    other = hold(event, 2, second)
    answer = server.post("/orders", json={"event": event, "seat": 1, "buyer": second, "hold": other})
    expect.status(answer, 409, 410, reason="held-seat-sold", code=("seat_held", "hold_expired"))
    expect.equal(
        (0, 0),
        sold(event),
        "orders and tickets in PostgreSQL after three orders that may not have the seat",
        reason="held-seat-sold",
    )

    expect.status(
        server.post("/orders", json={"event": event, "seat": 1, "buyer": first, "hold": mine}),
        201,
        reason="sale-refused",
    )
    expect.equal(
        None,
        redis.get(f"hold:{event}:1"),
        f"the key hold:{event}:1 in Redis after the sale",
        reason="sale-keeps-hold",
    )
    answer = server.post(f"/events/{event}/holds", json={"seat": 1, "buyer": second})
    expect.status(answer, 409, reason="sold-seat-held", code="seat_sold")

    planted = fresh.token()
    redis.plant(f"hold:{event}:3", planted, px=60_000)
    expect.status(
        server.post("/orders", json={"event": event, "seat": 3, "buyer": first}),
        409,
        reason="plant-not-seen",
        code="seat_held",
    )
    expect.status(
        server.post("/orders", json={"event": event, "seat": 3, "buyer": first, "hold": planted}),
        201,
        reason="plant-not-seen",
    )
    expect.equal(
        (2, 2),
        sold(event),
        "orders and tickets in PostgreSQL after two sales with their holds",
        reason="sale-refused",
    )
    evidence("PostgreSQL has the two sales that named their hold, Redis has neither key any more")


@promises("hold-holds-now", "post-orders-410", "release-own-only", "delete-events-holds-one-404")
def test_a_hold_is_named_letter_by_letter(server, redis, make_buyer, make_event, hold, sold, evidence):
    """No text but the hold's own id buys or frees its seat: not an empty one, not a part, not other letters."""
    event, other, buyer = make_event(), make_event(), make_buyer()
    mine, path = hold(event, 1, buyer), f"/events/{event}/holds"
    near = [mine[:-1], mine[: len(mine) // 2], mine + "x", mine + " ", " " + mine, mine.swapcase()]
    near = [text for text in dict.fromkeys(near) if text and text != mine]
    body = {"event": event, "buyer": buyer}
    for text in ["", " ", "none", *near]:
        what = f"orders and tickets in PostgreSQL after an order that named the hold {text!r}"
        answer = server.post("/orders", json={**body, "seat": 2, "hold": text})
        expect.equal((0, 0), sold(event), f"{what} for a seat that is free", reason="any-hold-buys")
        expect.status(answer, 410, reason="any-hold-buys", code="hold_expired")
        answer = server.post("/orders", json={**body, "seat": 1, "hold": text})
        expect.equal((0, 0), sold(event), f"{what} for a seat that is held by {mine!r}", reason="any-hold-buys")
        expect.status(answer, 409, 410, reason="any-hold-buys", code=("seat_held", "hold_expired"))
    # Text with U+0000 is out of range as well, so either answer is right.
    answer = server.post("/orders", json={**body, "seat": 2, "hold": mine + "\0"})
    expect.status(answer, 410, 422, reason="any-hold-buys", code=("hold_expired", "invalid"))
    for where, text in [(path, text) for text in near] + [(f"/events/{other}/holds", mine)]:
        answer = server.delete(f"{where}/{quote(text, safe='')}")
        expect.equal(
            mine,
            redis.get(f"hold:{event}:1"),
            f"the key hold:{event}:1 in Redis after DELETE {where}/{text}",
            reason="release-of-others",
        )
        expect.status(answer, 404, reason="release-of-others", code="not_found")
    expect.equal((0, 0), sold(event), "orders and tickets in PostgreSQL", reason="any-hold-buys")
    evidence(f"{len(near) + 3} other texts bought nothing, and Redis still has the hold {mine}")


@promises("key-same-request", "key-other-body", "key-same-answer", "hold-holds-now")
def test_a_key_belongs_to_a_sale_with_its_hold(
    server, redis, make_buyer, make_event, look_alikes, sold, fresh, evidence
):
    """A sale with a hold and an Idempotency-Key is answered again with that hold only: not with another, nor with none."""
    event, buyer = make_event(), make_buyer()
    for seat, mine in enumerate((fresh.token(), "None", "null"), 1):
        redis.plant(f"hold:{event}:{seat}", mine, px=60_000)
        body, headers = {"event": event, "seat": seat, "buyer": buyer}, {"Idempotency-Key": fresh.token()}
        first = server.post("/orders", json={**body, "hold": mine}, headers=headers)
        expect.status(first, 201, reason="plant-not-seen")
        for named in ({}, {"hold": ""}, {"hold": fresh.token()}, {"hold": mine + "x"}):
            answer = server.post("/orders", json={**body, **named}, headers=headers)
            # The seat is sold by now, and such a hold does not hold it: then several things are wrong.
            expect.status(
                answer, 409, 410, reason="key-reused-accepted", code=("key_reused", "seat_sold", "hold_expired")
            )
        again = server.post("/orders", json={**body, "hold": mine}, headers=headers)
        expect.status(again, 201, reason="answer-not-repeated")
        expect.equal(
            *(expect.field(one, "order", str, reason="answer-wrong") for one in (first, again)),
            "the order that was answered when the same request, with its hold, was sent again",
            reason="answer-not-repeated",
        )
        expect.equal((seat, seat), sold(event), "orders and tickets in PostgreSQL", reason="charged-twice")
    tried = 0
    for between, mine, others in look_alikes():  # what looks the same with this between the values is another sale
        sale, headers = {"event": make_event(), "seat": 3, "buyer": make_buyer(), "hold": mine}, {"Idempotency-Key": fresh.token()}
        redis.plant(f"hold:{sale['event']}:3", mine, px=60_000)
        expect.status(server.post("/orders", json=sale, headers=headers), 201, reason="plant-not-seen")
        for other in others(sale):
            answer = server.post("/orders", json=other, headers=headers)
            codes = ("key_reused", "seat_sold", "hold_expired", "invalid")
            expect.status(answer, 409, 410, 422, reason="key-reused-accepted", code=codes)
            tried += 1
        what = f"orders and tickets in PostgreSQL after requests that look like the first one, with {between!r} between the values"
        expect.equal((1, 1), sold(sale["event"]), what, reason="charged-twice")
    evidence(
        f"three sales with a hold were answered again for their key with that hold, and with no other and none; {tried} that look "
        "alike got no such answer"
    )


@promises("hold-holds-now", "key-of-others", "sale-ends-hold", "key-same-answer", "key-same-request")
def test_any_text_is_the_id_of_a_hold(server, redis, make_buyer, make_event, sold, fresh, evidence):
    """A hold whose id is a long text, an empty or an odd one keeps its seat and buys it, with an Idempotency-Key, too."""
    event = make_event()
    for seat, mine in enumerate((fresh.token(LONG), *ODD), 1):
        key, what = f"hold:{event}:{seat}", f"whose hold I had written into Redis as {mine[:20]!r} ({len(mine)} characters)"
        redis.plant(key, mine, px=60_000)
        body, headers = {"event": event, "seat": seat, "buyer": make_buyer()}, {"Idempotency-Key": fresh.token()}
        answer = server.post("/orders", json=body, headers=headers)
        expect.equal(seat - 1, sold(event)[0], f"orders in PostgreSQL after one without a hold of a seat {what}",
                     reason="held-seat-sold")
        expect.status(answer, 409, reason="held-seat-sold", code="seat_held")
        first = server.post("/orders", json={**body, "hold": mine}, headers=headers)
        expect.equal(seat, sold(event)[0], f"orders in PostgreSQL after one with its hold of a seat {what}",
                     reason="odd-hold-refused")
        expect.status(first, 201, reason="odd-hold-refused")
        expect.equal(None, redis.get(key), f"the key {key} in Redis after the sale of a seat {what}", reason="sale-keeps-hold")
        again = server.post("/orders", json={**body, "hold": mine}, headers=headers)
        expect.status(again, 201, reason="answer-not-repeated")
        expect.equal(
            *(expect.field(one, "order", str, reason="answer-wrong") for one in (first, again)),
            f"the order that was answered when the same request was sent again, for a seat {what}",
            reason="answer-not-repeated",
        )
    evidence(f"{len(ODD)} odd texts and one of {LONG} characters were holds: PostgreSQL has {seat} sales, Redis no key")


@promises("hold-id-once", "release-own-only", "hold-holds-now", "redis-may-vanish")
def test_no_hold_has_the_id_of_an_earlier_one(server, redis, make_buyer, make_event, hold, sold, evidence):
    """When Redis was emptied, or the server started again, a new hold has a new id: the earlier one's frees and buys nothing."""
    event, buyer, old = make_event(), make_buyer(), []
    key = f"hold:{event}:1"
    for before in ("FLUSHALL", "a new start", "FLUSHALL", "a new start"):
        if before == "FLUSHALL":
            redis.flush()
        else:
            redis.delete(key)
            server.restart()
        mine = hold(event, 1, buyer)
        for earlier in old:
            what = f"after {before} and a new hold {mine!r}, an earlier one was {earlier!r}: the key {key} in Redis"
            answer = server.delete(f"/events/{event}/holds/{quote(earlier, safe='')}")
            expect.equal(mine, redis.get(key), f"{what} after the earlier one's release", reason="hold-id-again")
            expect.status(answer, 404, reason="hold-id-again", code="not_found")
            answer = server.post("/orders", json={"event": event, "seat": 1, "buyer": buyer, "hold": earlier})
            expect.equal((0, 0), sold(event), f"orders and tickets with the earlier one's id, {what}", reason="hold-id-again")
            expect.status(answer, 409, 410, reason="hold-id-again", code=("seat_held", "hold_expired"))
        old.append(mine)
    evidence("four holds of one seat had four ids, though Redis was emptied and your server started again in between")


@promises("no-sale-keeps-hold", "held-seat", "one-spelling")
def test_a_refused_sale_keeps_the_hold(
    server, redis, make_buyer, make_event, make_sale, hold, sold, spellings, evidence
):
    """A sale that was refused leaves the hold as it is, with its end, and the seat is still kept for its buyer."""
    (*_, event), rival = [make_event(price_cents=500) for _ in range(10)], make_buyer()
    poor, keen = make_buyer(499), make_buyer()
    for seat in range(11, 15):
        make_sale(event, keen, seat)
    mine, full = hold(event, 1, poor), hold(event, 2, keen)

    def stays(seat, own, after):
        key = f"hold:{event}:{seat}"
        seen, left = redis.get(key), redis.pttl(key)
        expect.equal(own, seen, f"the key {key} in Redis after {after}", reason="hold-spent-by-no-sale")
        expect.between(
            1, 10_000, left, f"how many milliseconds the key {key}, which had 10000, lives after {after}",
            reason="hold-spent-by-no-sale",
        )

    for seat, own, buyer, status, code, why in (
        (1, mine, poor, 402, "balance_too_low", "an order that the balance does not cover"),
        (2, full, keen, 409, "limit_4", "an order of a fifth ticket"),
        (1, mine, "none", 422, "invalid", "an order of a buyer who does not exist"),
    ):
        redis.client.pexpire(f"hold:{event}:{seat}", 10_000)
        answer = server.post("/orders", json={"event": event, "seat": seat, "buyer": buyer, "hold": own})
        expect.status(answer, status, reason="sale-not-refused", code=code)
        stays(seat, own, why)
    for text in spellings(event):
        redis.client.pexpire(f"hold:{event}:1", 10_000)
        server.post("/orders", json={"event": text, "seat": 1, "buyer": rival})
        expect.equal(
            (4, 4),
            sold(event),
            f"orders and tickets in PostgreSQL after an order of the held seat with the event {text!r}",
            reason="held-seat-sold",
        )
        stays(1, mine, f"an order with the event {text!r}")
    evidence("three orders that were refused, and those with other spellings of the event, left both holds in Redis")


@promises("no-sale-keeps-hold", "sale-whole")
def test_a_broken_sale_keeps_the_hold(explore, server, redis, make_buyer, make_event, sold, recovered, evidence):
    """A sale whose connection to PostgreSQL breaks, at whatever step, leaves the hold in Redis if nothing was sold."""
    event, seats = make_event(seats=1_000), iter(range(1, 1_000))

    def prepare():
        """A new buyer with a hold, as soon as the server has PostgreSQL again."""
        buyer = make_buyer()

        tried = []

        def body():
            tried.append(next(seats))
            return {"seat": tried[-1], "buyer": buyer}

        answer = recovered(f"/events/{event}/holds", body, 201)
        expect.status(answer, 201, reason="hold-refused")
        mine = expect.field(answer, "hold", str, reason="answer-wrong")
        return {"event": event, "seat": tried[-1], "buyer": buyer, "hold": mine}, sold(event)[0]

    def holds(case, answer):
        order, before = case
        if sold(event)[0] == before:
            key = f"hold:{event}:{order['seat']}"
            expect.equal(
                order["hold"],
                redis.get(key),
                f"the key {key} in Redis after a sale with this hold that has left no order in PostgreSQL",
                reason="hold-spent-by-no-sale",
            )
        if getattr(answer, "status", 503) != 503:
            expect.status(answer, 201, 500, reason="sale-refused")

    seen = explore.cut(
        lambda case: server.post("/orders", json=case[0]), holds, prepare=prepare, services=("postgres",)
    )
    prepare()  # so the next check, too, finds a server that has PostgreSQL
    evidence(f"the connection to PostgreSQL was cut at {seen} of a sale: no hold is gone whose seat was not sold")


@promises("no-key-meanwhile", "held-seat", "hold-key")
def test_a_sale_beside_a_hold_of_nobody(in_some_order, redis, postgres, make_buyer, make_event, sold, evidence):
    """A hold by a buyer who does not exist, and a sale of the same seat, at once: the sale is made, at whatever step."""
    nobody = make_buyer()
    postgres.plant("DELETE FROM buyers WHERE id::text = %s RETURNING id", [nobody])
    tried = in_some_order(
        lambda: make_event(price_cents=0),
        lambda one, event: one.post(f"/events/{event}/holds", json={"seat": 5, "buyer": nobody}),
        (lambda one, event: one.post("/orders", json={"event": event, "seat": 5, "buyer": make_buyer()}),),
        lambda event: {"sold": sold(event)[0], "key": redis.get(f"hold:{event}:5") is not None},
        "POST of a hold by a buyer who does not exist and POST /orders for its seat, without a hold,",
        "kept-for-nobody",
    )
    evidence(f"a sale and a hold of nobody met at {tried} steps: PostgreSQL has the sale each time, Redis never a key")


@promises("sold-not-held")
def test_a_hold_and_a_sale_meet(explore, server, redis, make_buyer, make_event, evidence):
    """A hold and a sale of one seat meet, at two processes, between any two steps: no sold seat is held in the end."""
    twin, event, seats = server.replica(wait=False), make_event(seats=1_000), iter(range(1, 1_000))
    holder = make_buyer()

    def prepare():
        return next(seats), make_buyer()

    def hold(at):
        return lambda case: at.post(f"/events/{event}/holds", json={"seat": case[0], "buyer": holder})

    def sell(at):
        return lambda case: at.post("/orders", json={"event": event, "seat": case[0], "buyer": case[1]})

    def holds(case, held, sale):
        key = f"hold:{event}:{case[0]}"
        told = [getattr(answer, "status", "nothing") for answer in (held, sale)]
        if told[1] == 201:
            expect.equal(
                None,
                redis.get(key),
                f"the key {key} in Redis of a seat that is sold, after the hold was answered with {told[0]}",
                reason="sold-seat-held",
            )
        if told[0] == 409:
            expect.status(held, 409, reason="sold-seat-held", code=("seat_sold", "seat_held"))

    sales = explore.interleave(
        hold(server), sell(twin), holds, prepare=prepare, during="a second process of it sold the seat"
    )
    held = explore.interleave(
        sell(server), hold(twin), lambda case, sale, held: holds(case, held, sale), prepare=prepare, most=6,
        during="a second process of it held the seat",
    )
    evidence(
        f"a second process sold the seat before {sales} of a hold, and held it before {held} of a sale: Redis has no "
        "hold of a sold seat"
    )


@promises("sold-not-held", "held-seat", "key-of-others", "no-sale-keeps-hold")
def test_a_sale_and_a_key_of_somebody_else_meet(explore, redis, server, make_buyer, make_event, sold, fresh, evidence):
    """Between any two steps of a sale without a hold somebody else writes a key for its seat: the sale ends it, or is refused."""

    def prepare():
        return make_event(), fresh.token()

    def somebody_else(case):
        """Writes the key; whether the seat was sold already. A hold of such a seat is nobody's business here."""
        late = sold(case[0]) != (0, 0)
        redis.plant(f"hold:{case[0]}:5", case[1], px=60_000)
        return late

    def holds(case, sale, late):
        (event, theirs), key = case, f"hold:{case[0]}:5"
        if isinstance(sale, NoAnswer) or late:
            return
        what = "which somebody else had written in the middle of a sale without a hold"
        if sale.status == 201:
            expect.equal(None, redis.get(key), f"the key {key} in Redis, {what} that was made", reason="sold-seat-held")
        else:
            expect.status(sale, 409, reason="sale-refused", code="seat_held")
            expect.equal((0, 0), sold(event), "orders and tickets of a sale that was refused", reason="held-seat-sold")
            expect.equal(theirs, redis.get(key), f"the key {key}, {what} that was refused", reason="hold-spent-by-no-sale")

    seen = explore.interleave(
        lambda case: server.post("/orders", json={"event": case[0], "seat": 5, "buyer": make_buyer()}),
        somebody_else,
        holds,
        prepare=prepare,
        during="somebody else wrote the key of the seat's hold",
    )
    evidence(f"somebody else's key came before {seen} of a sale: it was ended by the sale, or the sale was refused")


@promises("sale-ends-hold", "repeat-ends-hold", "key-same-answer", "key-under-way")
def test_a_repeated_sale_ends_its_hold(explore, redis, server, twin, make_buyer, make_event, fresh, evidence):
    """A server that is killed, or stands still, before a sale's hold is ended: who sends the request again finds it ended."""

    def prepare():
        body = {"event": make_event(), "seat": 5, "buyer": make_buyer(), "hold": fresh.token()}
        redis.plant(f"hold:{body['event']}:5", body["hold"], px=60_000)
        return body, {"Idempotency-Key": fresh.token()}

    def sell(at):
        return lambda case: at.post("/orders", json=case[0], headers=case[1])

    def again(at):
        """The same request at this process: its answer, and whether the key of the hold is there then."""
        return lambda case: (sell(at)(case), redis.get(f"hold:{case[0]['event']}:5"))

    def holds(case, _, second):
        answer, key = second
        expect.status(answer, 201, reason="answer-not-repeated")
        expect.equal(
            None, key, f"the key hold:{case[0]['event']}:5 in Redis after the same request, with its key, was answered again",
            reason="sale-keeps-hold",
        )

    met = explore.interleave(
        sell(server), again(twin), holds, prepare=prepare, services=("redis",),
        during="a second process of it was sent the same request",
    )
    killed = explore.crash(sell(server), lambda case, answer: holds(case, answer, again(server)(case)), prepare=prepare)
    evidence(
        f"the same request came to a second process before {met} of a sale, and after a kill at {killed}: Redis never had "
        "the hold of an order that was answered again"
    )
