"""redis/outage: a store that is connected and says nothing, alone or with the other one."""

import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress

from orchestrator.checks import Late, expect, promises

SLOW = 1.6
"""Seconds for which PostgreSQL says nothing before it answers: less than the 2 after which it counts as away."""
LATER, FELT = 1.2, 0.3
"""Seconds for which a later step to PostgreSQL waits, and after which a hold that is not answered stands at it."""
LATE = 1.0
"""Seconds for which, after Redis has spoken again, a server may still do what it had put off."""


@promises("silence-is-away", "redis-away", "redis-away-sales", "back-again", "live-after-outage", "release-own-only",
          "without-redis", "key-same-answer")
def test_a_silent_redis_is_no_redis(
    server, fault, make_buyer, make_event, sold, together, needs_redis, refused, health_says, sells, comes_back, redis,
    wait, fresh, goes_on, bought_before, evidence,
):
    """While Redis is silent, connected and without a word, the same is right as while it is stopped."""
    buyer, event = make_buyer(10_000), make_event(seats=1_000, price_cents=1_000)
    answer = server.post(f"/events/{event}/holds", json={"seat": 1, "buyer": buyer})
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    expect.status(server.post(f"/events/{event}/views"), 204, reason="view-refused")
    again = bought_before()

    with fault.hold("redis"):
        asked = [lambda one=one: refused(*one, "silent") for one in needs_redis(event, buyer, hold)]
        sale = {"event": event, "buyer": buyer, "seat": 2}
        beside = [lambda: health_says("down", "silent"), lambda: sells(sale, "silent"), lambda: again("while Redis is silent")]
        together([*asked, *beside, *goes_on(event, "silent")])
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
    server, fault, fresh, make_buyer, make_event, new_event, together, needs_redis, refused, health_says, used, holds_again,
    evidence,
):
    """While PostgreSQL and Redis are silent at once, every route says so within 2 seconds: the two waits are not added."""
    used()
    buyer, event, other = make_buyer(), make_event(), make_event()
    answer = server.post(f"/events/{event}/holds", json={"seat": 1, "buyer": buyer})
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    order = {"event": event, "buyer": buyer}
    routes = [
        *needs_redis(event, buyer, hold),
        ("POST", "/orders", {**order, "seat": 1, "hold": hold}),
        ("POST", "/orders", {**order, "seat": 2}),
        ("GET", f"/orders?buyer={buyer}", None),
        ("POST", "/buyers", {"name": fresh.name("buyer"), "balance_cents": 100}),
        ("GET", f"/buyers/{buyer}", None),
        ("POST", "/events", new_event()),
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


@promises("two-silences", "silence-is-away", "redis-away", "back-again")
def test_a_late_postgres_leaves_redis_the_rest(
    server, fault, make_buyer, make_event, hold, needs_redis, refused, used, holds_again, evidence
):
    """PostgreSQL answers late, Redis not at all: what needs Redis says so within 2 seconds from its request on."""
    used()
    buyer, event = make_buyer(), make_event()
    asks = needs_redis(event, buyer, hold(event, 1, buyer))
    how = f"silent, and PostgreSQL {SLOW:g} s late"
    with fault.hold("redis"), ThreadPoolExecutor(len(asks)) as beside:
        with fault.hold("postgres"):
            asked = [beside.submit(refused, *one, how) for one in asks]
            wait_for(asked, timeout=SLOW)
        for one in asked:
            one.result()
    holds_again(event, buyer, 9, "Redis spoke again")
    evidence(f"Redis was silent, and PostgreSQL {SLOW:g} s late: {len(asks)} requests were refused in time")


@promises("two-silences", "silence-is-away", "redis-away", "post-events-holds-503", "back-again")
def test_a_late_last_look_leaves_redis_the_rest(
    explore, server, fault, wait, redis, make_buyer, make_event, holds_again, evidence
):
    """PostgreSQL is late at the last step to it of a hold, and Redis silent from then on: the answer comes within 2 seconds."""
    event, buyer, seats = make_event(seats=1_000), make_buyer(), iter(range(2, 1_001))

    def ask(seat):
        answer = expect.within(
            2.0,
            lambda: server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": buyer}),
            what=f"POST /events/{event}/holds while PostgreSQL is {LATER:g} s late at its last step, and Redis silent from then on",
            reason="outage-slow",
        )
        if answer.status != 201:
            expect.status(answer, 503, reason="outage-answer", code="unavailable")
        return answer

    def call(seat):
        """Redis falls silent when it has the hold, which is not answered yet, as PostgreSQL lets it wait."""
        with ThreadPoolExecutor(1) as beside:
            asked = beside.submit(ask, seat)
            with suppress(Late):
                wait.until(
                    lambda: asked.done() or redis.get(f"hold:{event}:{seat}") is not None, deadline=LATER + FELT, what="a hold"
                )
            wait_for([asked], timeout=FELT)
            if asked.done():
                return asked.result()
            with fault.hold("redis"):
                return asked.result()

    tried = explore.delay(
        call,
        lambda *_: holds_again(event, buyer, 1, "Redis spoke again"),
        seconds=LATER,
        pick=lambda steps: [step for step in steps if step.service == "postgres"][-1:],
        prepare=lambda: next(seats),
    )
    evidence(f"PostgreSQL was {LATER:g} s late at {tried} of a hold, and Redis silent from then on: the answer came in time")
