"""redis/outage: what a lost connection, or a Redis that has lost everything, may not cost."""

from orchestrator.checks import Call, expect, promises


@promises("live-after-outage", "back-again", "redis-may-vanish")
def test_listeners_hear_again(server, redis, fault, make_buyer, make_event, tells, hears_again, evidence):
    """A listener that was there before Redis went away hears again within 3 seconds after it is back."""
    buyer, event = make_buyer(), make_event(seats=1_000)
    path, holds, told = f"/events/{event}/live", f"/events/{event}/holds", tells(event)
    with server.stream(path) as patient:
        patient.none_within(0.3)
        expect.true(
            told(patient),
            "the live stream of an event, opened while Redis was there (it may have been away before)",
            reason="deaf-after-outage",
            expected="the message of a hold",
            seen="nothing came",
        )
        for seat in range(990, 994):  # whoever numbers messages by a key in Redis has come to six
            server.post(holds, json={"seat": seat, "buyer": buyer})
        with fault.down("redis"):
            redis.flush()
            for seat in range(994, 997):  # whoever tries again at once has tried, and failed
                server.post(holds, json={"seat": seat, "buyer": buyer})
        hears_again(event, patient, told, "it was back, with nothing in it")
    evidence("Redis was away and came back empty: who had listened before heard of the next hold")


@promises("redis-away-sales", "back-again")
def test_a_cut_connection_costs_no_sale(
    explore, server, make_buyer, make_event, sold, balance, holds_again, evidence
):
    """A connection to Redis that is cut, at whatever step of a sale, costs neither the sale nor what comes after."""

    def holds(case, answer):
        buyer, event = case
        expect.status(answer, 201, reason="sales-stop")
        expect.equal(
            {"orders": 1, "tickets": 1, "balance": 900},
            dict(zip(("orders", "tickets"), sold(event), strict=True)) | {"balance": balance(buyer)},
            "what PostgreSQL has of a sale for 100 cents while its connection to Redis was cut",
            reason="sales-stop",
        )
        holds_again(event, buyer, 2, "the connection was cut")

    seen = [
        explore.cut(
            lambda case: server.post("/orders", json={"event": case[1], "seat": 1, "buyer": case[0]}, deadline=10.0),
            holds,
            answer=answer,
            prepare=lambda: (make_buyer(1_000), make_event(price_cents=100)),
            services=("redis",),
        )
        for answer in ("never", "lost")
    ]
    evidence(
        f"{sum(one.tried for one in seen)} connections to Redis were cut in the middle of a sale: each was made, and the "
        "next hold is in Redis"
    )


@promises("redis-may-vanish", "seat-sold-once")
def test_a_lost_redis_sells_no_seat_twice(
    server, redis, postgres, make_buyer, make_event, sold, balance, together, evidence
):
    """When everything in Redis is lost in the middle of a sale, no seat is sold twice and no money is lost."""
    event, buyers = make_event(price_cents=100), [make_buyer(400) for _ in range(12)]
    first = server.post("/orders", json={"event": event, "seat": 1, "buyer": buyers[0]})
    expect.status(first, 201, reason="sale-refused")
    answer = server.post(f"/events/{event}/holds", json={"seat": 2, "buyer": buyers[0]})
    expect.status(answer, 201, reason="hold-refused")
    redis.flush()
    again = server.post("/orders", json={"event": event, "seat": 1, "buyer": buyers[1]})
    expect.equal(
        (1, 1),
        sold(event),
        "orders and tickets of a seat that was sold, and asked for again after Redis had lost everything",
        reason="sold-twice",
    )
    expect.status(again, 409, reason="sale-forgotten", code="seat_sold")
    answer = server.post(f"/events/{event}/holds", json={"seat": 1, "buyer": buyers[1]})
    expect.status(answer, 409, reason="sold-seat-held", code="seat_sold")
    expect.status(
        server.post("/orders", json={"event": event, "seat": 2, "buyer": buyers[1]}), 201, reason="lost-hold-alive"
    )

    def sell():
        calls = [
            Call("POST", "/orders", json={"event": event, "seat": seat, "buyer": buyer})
            for seat in range(3, 7)
            for buyer in buyers[2:]
        ]
        return server.parallel(calls, at_once=40)

    def lose():
        for _ in range(10):
            redis.flush()

    answers, _ = together([sell, lose])
    twice = postgres.rows(
        "SELECT seat, count(*) FROM tickets WHERE event_id::text = %s GROUP BY seat HAVING count(*) > 1", [event]
    )
    expect.equal(
        [],
        twice,
        "which seats have more than one ticket in PostgreSQL (seat, tickets) after sales while Redis lost everything",
        reason="sold-twice",
    )
    orders = 2 + sum(answer.status == 201 for answer in answers)
    expect.equal(
        (orders, orders),
        sold(event),
        f"orders and tickets in PostgreSQL, beside {orders} answers 201",
        reason="sold-twice",
    )
    money = sum(balance(buyer) for buyer in buyers)
    expect.equal(
        12 * 400 - 100 * orders,
        money,
        f"what the 12 buyers have left of 4800 cents after {orders} sales of 100",
        reason="money-lost",
    )
    for answer in answers:
        if answer.status != 201:
            expect.status(answer, 409, reason="sale-fails-under-load", code="seat_sold")
    expect.equal(6, orders, "how many of the 6 seats were sold", reason="sale-fails-under-load")
    evidence(
        f"FLUSHALL 11 times in the middle of {len(answers) + 3} orders: PostgreSQL has 6 tickets for 6 seats, "
        f"and {money} of 4800 cents are left"
    )
