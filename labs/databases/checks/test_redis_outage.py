"""redis/outage: without Redis sales go on, with Redis back so are holds, and a lost Redis sells no seat twice."""

import time
from contextlib import suppress

import pytest

from orchestrator.checks import Call, Late, expect, promises

AWAY, ASKED = 10.5, 5.0
"""Seconds for which Redis is away, from the first request without it on, and those for which it is asked for meanwhile.

Then only sales go on until the end, which comes right after a try of the server: a pause between two tries that doubles,
or is a third of the time away, is then more than three seconds long. So is one that only sales have, and that begins with
half a second: it is in its middle then."""
EACH = 0.5
"""Seconds between two of the sales that go on."""


LATE = 1.0
"""Seconds for which, after Redis has spoken again, a server may still do what it had put off."""


@pytest.fixture
def needs_redis():
    """`needs_redis(event, buyer, hold) -> [(method, path, body)]`: every request that cannot be answered without Redis."""

    def of(event, buyer, hold):
        holds, views = f"/events/{event}/holds", f"/events/{event}/views"
        return [
            ("POST", holds, {"seat": 9, "buyer": buyer}),
            ("POST", views, None),
            ("GET", views, None),
            ("DELETE", f"{holds}/{hold}", None),
            ("GET", f"/events/{event}/seats", None),
            ("GET", "/trending", None),
        ]

    return of


@pytest.fixture
def refused(server):
    """`refused(method, path, body, how)`: the answer is 503 within 2 seconds, while Redis is away in this way."""

    def ask(method, path, body, how):
        answer = expect.within(
            2.0,
            lambda: server.request(method, path, json=body),
            what=f"{method} {path} while Redis is {how}",
            reason="outage-slow",
        )
        expect.status(answer, 503, reason="outage-answer", code="unavailable")

    return ask


@pytest.fixture
def a_try_fails(server, fault, refused, together, wait):
    """`a_try_fails(method, path, when)`: connections are let in, nothing passes, and the one that the server makes is cut.

    It is asked meanwhile, though it may have connections that come back by themselves. A server that makes none within 3
    seconds would not have been right by then if Redis had been back.
    """

    def look(method, path, when):
        before = fault.opened("redis")

        def tried():
            return fault.opened("redis") > before

        def cut():
            try:
                wait.until(tried, deadline=0.5, what="a new connection to Redis")
            except Late:
                return
            fault.cut("redis")

        def asked():
            together([lambda: refused(method, path, None, "away"), cut])
            return tried()

        expect.eventually(
            asked,
            True,
            within=3.0,
            reason="no-recovery",
            what=f"whether your server, asked for {method} {path} again and again, tries to reach Redis within 3 seconds {when}",
        )

    return look


@pytest.fixture
def health_says(server):
    """`health_says(state, how)`: what GET /health says of `redis`, within 2 seconds."""

    def ask(state, how):
        answer = expect.within(
            2.0, lambda: server.get("/health"), what=f"GET /health while Redis is {how}", reason="outage-slow"
        )
        said = expect.field(answer, "redis", str, reason="health-wrong")
        expect.equal(state, said, f"what GET /health says of `redis` while Redis is {how}", reason="health-wrong")

    return ask


@pytest.fixture
def sells(server):
    """`sells(body, how)`: the seat is sold, within 5 seconds."""

    def ask(body, how):
        answer = expect.within(
            5.0,
            lambda: server.post("/orders", json=body, deadline=10.0),
            what=f"POST /orders while Redis is {how}",
            reason="sales-stop",
        )
        expect.status(answer, 201, reason="sales-stop")

    return ask


@pytest.fixture
def goes_on(server, make_buyer, make_event, fresh):
    """`goes_on(event, how) -> [act]`: each asks for something that needs no Redis, and must get it within 5 seconds."""

    def of(event, how):
        buyer, other = make_buyer(), make_event()
        new = {"name": "Solo", "venue": fresh.name("venue"), "starts_at": fresh.time(), "seats": 10, "price_cents": 100}

        def ask(method, path, body, status):
            answer = expect.within(
                5.0,
                lambda: server.request(method, path, json=body, deadline=10.0),
                what=f"{method} {path} while Redis is {how}",
                reason="needless-redis",
            )
            expect.status(answer, status, reason="needless-redis")

        return [
            lambda one=one: ask(*one)
            for one in (
                ("DELETE", f"/events/{other}", None, 204),
                ("PATCH", f"/events/{event}", {"price_cents": 1_000}, 200),
                ("POST", "/events", new, 201),
                ("GET", "/events?limit=5", None, 200),
                ("GET", f"/events/{event}", None, 200),
                ("POST", "/buyers", {"name": fresh.name("buyer"), "balance_cents": 100}, 201),
                ("GET", f"/buyers/{buyer}", None, 200),
                ("GET", f"/orders?buyer={buyer}", None, 200),
            )
        ]

    return of


@pytest.fixture
def sells_on(sells, make_buyer):
    """`sells_on(event, how)`: a free seat of the event, from 500 on, is sold, if the last one was half a second ago."""
    seats, last = iter(range(500, 1_000)), [0.0]

    def go(event, how):
        if time.monotonic() - last[0] >= EACH:
            last[0] = time.monotonic()
            sells({"event": event, "buyer": make_buyer(), "seat": next(seats)}, how)

    return go


@pytest.fixture
def holds_again(server, redis):
    """`holds_again(event, buyer, seat, when)`: the seat is held, and Redis has the hold, within 3 seconds."""

    def look(event, buyer, seat, when):
        holds = f"/events/{event}/holds"
        expect.eventually(
            lambda: server.post(holds, json={"seat": seat, "buyer": buyer}).status,
            lambda status: status in (201, 409),
            within=3.0,
            what=f"the answer to POST {holds}, again and again until 3 seconds after {when} (your server was not "
            "restarted)",
            reason="no-recovery",
        )
        expect.true(
            redis.get(f"hold:{event}:{seat}") is not None,
            f"the key hold:{event}:{seat} in Redis after {when}",
            reason="no-recovery",
            expected="the id of the hold",
            seen="no such key",
        )

    return look


@pytest.fixture
def used(server, make_buyer, make_event):
    """`used()`: what the server does with holds it has done once: what it prepares for that, it has prepared."""

    def use():
        event, buyer = make_event(), make_buyer()
        holds = f"/events/{event}/holds"
        for seat in (1, 2):
            answer = server.post(holds, json={"seat": seat, "buyer": buyer})
            expect.status(answer, 201, reason="hold-refused")
            hold = expect.field(answer, "hold", str, reason="answer-wrong")
            if seat == 1:
                expect.status(server.delete(f"{holds}/{hold}"), 204, reason="release-refused")
            else:
                order = {"event": event, "seat": seat, "buyer": buyer, "hold": hold}
                expect.status(server.post("/orders", json=order), 201, reason="sale-refused")
        for path in (f"/events/{event}/seats", "/trending"):
            expect.status(server.get(path), 200, reason="answer-wrong")

    return use


@pytest.fixture
def comes_back(server, redis, make_buyer, seat_of, holds_again, fresh):
    """`comes_back(event, buyer, when)`: all that asks Redis for something is answered right again within 3 seconds.

    Sales first, which were answered all the time: nobody else sees that they do not look for holds yet.
    """

    def look(event, buyer, when):
        holds, views, live = f"/events/{event}/holds", f"/events/{event}/views", f"/events/{event}/live"
        seats = iter(range(10, 1_000))

        def held():
            """A seat that is held by a new hold, and its id, which is empty if it was refused."""
            seat = next(seats)
            answer = server.post(holds, json={"seat": seat, "buyer": buyer})
            return seat, answer.json()["hold"] if answer.status == 201 else ""

        def ended(seat, answer):
            """The status, and what became of the hold."""
            gone = redis.get(f"hold:{event}:{seat}") is None
            return f"{answer.status}, and the key is {'gone' if gone else 'there'}"

        def released():
            seat, hold = held()
            return ended(seat, server.delete(f"{holds}/{hold}"))

        def sold():
            seat, hold = held()
            order = {"event": event, "seat": seat, "buyer": make_buyer(), "hold": hold}
            return ended(seat, server.post("/orders", json=order))

        def buys(**named):
            """What is said to an order of a new buyer: of a seat that is held by somebody else, or of a free one with a hold."""
            seat = next(seats)
            if not named:
                redis.plant(f"hold:{event}:{seat}", fresh.token(), px=60_000)
            answer = server.post("/orders", json={"event": event, "seat": seat, "buyer": make_buyer(), **named})
            return f"{answer.status} {answer.json().get('code', '')}".strip()

        def heard():
            with server.stream(live) as stream:
                stream.none_within(0.1)  # so that the server listens for it, too
                seat, _ = held()
                while seat_of(stream.next(deadline=1.0)) != seat:
                    pass  # one of before
                return True

        for what, ask, right in (
            ("the answer to POST /orders of a seat that somebody else holds", buys, "409 seat_held"),
            ("the answer to POST /orders with a hold that is none", lambda: buys(hold=fresh.token()), "410 hold_expired"),
        ):
            expect.eventually(ask, right, within=3.0, what=f"{what} after {when}", reason="no-recovery")
        holds_again(event, buyer, 9, when)
        for what, ask, right in (
            (f"the answer to POST {views}", lambda: server.post(views).status, 204),
            (f"the answer to GET {views}", lambda: server.get(views).status, 200),
            ("the answer to GET /trending", lambda: server.get("/trending").status, 200),
            (f"the answer to GET /events/{event}/seats", lambda: server.get(f"/events/{event}/seats").status, 200),
            (f"the answer to DELETE {holds}/HOLD, and the hold's key,", released, "204, and the key is gone"),
            ("the answer to POST /orders with a hold, and the hold's key,", sold, "201, and the key is gone"),
            ("what GET /health says of `redis`", lambda: server.get("/health").json().get("redis"), "up"),
        ):
            expect.eventually(ask, right, within=3.0, what=f"{what} after {when}", reason="no-recovery")
        expect.eventually(
            heard, True, within=3.0, what=f"whether GET {live}, opened after {when}, tells of a hold",
            reason="deaf-after-outage",
        )

    return look


@promises(
    "redis-away", "redis-away-sales", "back-again", "health-redis", "get-health-503", "post-events-holds-503",
    "post-events-views-503", "get-events-views-503", "delete-events-holds-one-503", "get-events-seats-503",
    "get-trending-503", "live-after-outage", "without-redis", "held-seat", "hold-holds-now",
)
def test_sales_go_on_without_redis(
    server, fault, wait, make_buyer, make_event, sold, balance, together, needs_redis, refused, health_says, sells,
    used, a_try_fails, comes_back, goes_on, sells_on, evidence,
):
    """While Redis is stopped seats are sold, what needs Redis says 503 at once, and all comes back by itself."""
    used()
    buyer, event = make_buyer(10_000), make_event(seats=1_000, price_cents=1_000)
    holds, views = f"/events/{event}/holds", f"/events/{event}/views"
    answer = server.post(holds, json={"seat": 1, "buyer": buyer})
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    expect.status(server.post(views), 204, reason="view-refused")
    health_says("up", "up")

    # What ends the outage for the server is the link, so it ends at a moment that we choose: Redis runs again before.
    with fault.hold("redis"):
        with fault.down("redis"):
            began = time.monotonic()
            refused("POST", views, None, "stopped")
            with fault.stop("redis"):
                for number, body in enumerate([{"seat": 1, "hold": hold}, {"seat": 2}, {"seat": 3}], start=1):
                    sells({"event": event, "buyer": buyer, **body}, "stopped")
                    expect.equal(
                        (number, number),
                        sold(event),
                        "orders and tickets in PostgreSQL, sold while Redis is stopped",
                        reason="sales-stop",
                    )
                asked = [lambda one=one: refused(*one, "stopped") for one in needs_redis(event, buyer, hold)]
                together([*asked, lambda: health_says("down", "stopped"), *goes_on(event, "stopped")])

            def asked_enough():
                sells_on(event, "stopped")
                refused("POST", views, None, "stopped")
                return time.monotonic() - began >= ASKED

            wait.until(asked_enough, deadline=AWAY, every=0.1, what="the middle of the outage")

            def over():
                sells_on(event, "stopped")
                return time.monotonic() - began >= AWAY

            wait.until(over, deadline=AWAY, every=0.1, what="the end of the outage")
        a_try_fails("POST", views, f"after it had been away for {AWAY} s")
        away = time.monotonic() - began

    comes_back(event, buyer, f"Redis was back (it had been away for {away:.1f} s)")
    expect.equal(
        7_000, balance(buyer), "the balance of the buyer of 3 seats for 1000 cents each", reason="sold-twice"
    )
    evidence(
        f"PostgreSQL has {sold(event)[0]} sales, most of them made while Redis was stopped, for {away:.1f} s; Redis has a hold made after, by the "
        "same server process"
    )


@promises("silence-is-away", "redis-away", "redis-away-sales", "back-again", "live-after-outage", "release-own-only",
          "without-redis")
def test_a_silent_redis_is_no_redis(
    server, fault, make_buyer, make_event, sold, together, needs_redis, refused, health_says, sells, comes_back, redis,
    wait, fresh, goes_on, evidence,
):
    """While Redis is silent, connected and without a word, the same is right as while it is stopped."""
    buyer, event = make_buyer(10_000), make_event(seats=1_000, price_cents=1_000)
    answer = server.post(f"/events/{event}/holds", json={"seat": 1, "buyer": buyer})
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    expect.status(server.post(f"/events/{event}/views"), 204, reason="view-refused")

    with fault.hold("redis"):
        asked = [lambda one=one: refused(*one, "silent") for one in needs_redis(event, buyer, hold)]
        sale = {"event": event, "buyer": buyer, "seat": 2}
        beside = [lambda: health_says("down", "silent"), lambda: sells(sale, "silent"), *goes_on(event, "silent")]
        together([*asked, *beside])
        expect.equal(
            (1, 1), sold(event), "orders and tickets in PostgreSQL, sold while Redis is silent", reason="sales-stop"
        )
    # Of the refused requests one wanted seat 9: what its server still does about it is not to end the next buyer's hold.
    key, theirs, spoke = f"hold:{event}:9", fresh.token(), time.monotonic()
    redis.plant(key, theirs, px=60_000)
    comes_back(event, buyer, "Redis spoke again")
    with suppress(Late):
        rest = max(0.05, LATE - (time.monotonic() - spoke))
        wait.until(lambda: redis.get(key) != theirs, deadline=rest, what="the end of a hold that somebody else has")
    expect.equal(
        theirs,
        redis.get(key),
        f"the key {key}, which I had written when Redis spoke again: a hold of this seat had been refused while it was silent",
        reason="hold-of-others-ended",
    )
    evidence(f"a seat was sold while Redis was silent, and {len(asked)} requests that need it were refused in time")


@promises("two-silences", "silence-is-away", "postgres-away", "redis-away", "back-again", "get-health-503")
def test_two_silent_services_are_waited_for_once(
    server, fault, fresh, make_buyer, make_event, together, needs_redis, refused, health_says, used, holds_again, evidence
):
    """While PostgreSQL and Redis are silent at once, every route says so within 2 seconds: the two waits are not added."""
    used()
    buyer, event, other = make_buyer(), make_event(), make_event()
    answer = server.post(f"/events/{event}/holds", json={"seat": 1, "buyer": buyer})
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    new = {"name": "Solo", "venue": fresh.name("venue"), "starts_at": fresh.time(), "seats": 10, "price_cents": 100}
    order = {"event": event, "buyer": buyer}
    routes = [
        *needs_redis(event, buyer, hold),
        ("POST", "/orders", {**order, "seat": 1, "hold": hold}),
        ("POST", "/orders", {**order, "seat": 2}),
        ("GET", f"/orders?buyer={buyer}", None),
        ("POST", "/buyers", {"name": fresh.name("buyer"), "balance_cents": 100}),
        ("GET", f"/buyers/{buyer}", None),
        ("POST", "/events", new),
        ("GET", "/events", None),
        ("GET", f"/events/{event}", None),
        ("PATCH", f"/events/{event}", {"price_cents": 5}),
        ("DELETE", f"/events/{other}", None),
    ]
    with fault.hold("redis"), fault.hold("postgres"):
        together([
            *(lambda one=one: refused(*one, "silent, and PostgreSQL too") for one in routes),
            lambda: health_says("down", "silent, and PostgreSQL too"),
        ])
    expect.eventually(
        lambda: server.get(f"/buyers/{buyer}").status,
        200,
        within=3.0,
        reason="no-recovery",
        what=f"the answer to GET /buyers/{buyer} after PostgreSQL and Redis spoke again (your server was not restarted)",
    )
    holds_again(event, buyer, 9, "PostgreSQL and Redis spoke again")
    evidence(f"PostgreSQL and Redis were silent at once: {len(routes)} requests were refused in time")


@promises("live-after-outage", "back-again", "redis-may-vanish")
def test_listeners_hear_again(server, redis, fault, make_buyer, make_event, seat_of, evidence):
    """A listener that was there before Redis went away hears again within 3 seconds after it is back."""
    buyer, event = make_buyer(), make_event(seats=1_000)
    path, holds, seats = f"/events/{event}/live", f"/events/{event}/holds", iter(range(1, 1_001))

    def told(stream):
        """Whether the next hold comes to the stream."""
        seat = next(seats)
        if server.post(holds, json={"seat": seat, "buyer": buyer}).status != 201:
            return False
        return seat in [seat_of(message) for message in stream.none_within(0.3)]

    with server.stream(path) as patient:
        patient.none_within(0.3)
        expect.true(
            told(patient),
            "the live stream of an event, opened while Redis was there (it may have been away before)",
            reason="deaf-after-outage",
            expected="the message of a hold",
            seen="nothing came",
        )
        for _ in range(4):  # whoever numbers messages by a key in Redis has come to six
            server.post(holds, json={"seat": next(seats), "buyer": buyer})
        with fault.down("redis"):
            redis.flush()
            for _ in range(3):  # whoever tries again at once has tried, and failed
                server.post(holds, json={"seat": next(seats), "buyer": buyer})

        def hears():
            if not patient.ended():
                return told(patient)
            with server.stream(path) as anew:  # as a browser does when a stream has ended
                anew.none_within(0.3)
                return told(anew)

        expect.eventually(
            hears,
            True,
            within=3.0,
            reason="deaf-after-outage",
            what="whether a hold reaches a client that has listened since before Redis was away, again and again until 3 "
            "seconds after it was back, with nothing in it (your server was not restarted)",
        )
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
