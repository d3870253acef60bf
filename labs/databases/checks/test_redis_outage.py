"""redis/outage: while Redis is stopped sales go on, and with Redis back so are holds."""

import time

import pytest

from orchestrator.checks import Late, expect, promises

AWAY, ASKED = 11.4, 5.0
"""Seconds for which Redis is away, from the first request without it on, and those for which it is asked for meanwhile.

Then only sales go on until the end, which comes right after a try of the server: a pause between two tries that doubles,
or is a third of the time away, is then 3.8 seconds long or more, so that a busy machine may lose most of one. So is one
that only sales have, and that begins with half a second: it is in its middle then."""
EACH = 0.5
"""Seconds between two of the sales that go on."""


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
def sells_on(sells, make_buyer):
    """`sells_on(event, how)`: a free seat of the event, from 500 on, is sold, if the last one was half a second ago."""
    seats, last = iter(range(500, 1_000)), [0.0]

    def go(event, how):
        if time.monotonic() - last[0] >= EACH:
            last[0] = time.monotonic()
            sells({"event": event, "buyer": make_buyer(), "seat": next(seats)}, how)

    return go


@promises(
    "redis-away", "redis-away-sales", "back-again", "health-redis", "get-health-503", "post-events-holds-503",
    "post-events-views-503", "get-events-views-503", "delete-events-holds-one-503", "get-events-seats-503",
    "get-trending-503", "live-after-outage", "without-redis", "held-seat", "hold-holds-now", "key-same-answer",
)
def test_sales_go_on_without_redis(
    server, fault, wait, make_buyer, make_event, sold, balance, together, needs_redis, refused, health_says, sells,
    used, a_try_fails, comes_back, goes_on, sells_on, bought_before, bought_meanwhile, tells, hears_again, evidence,
):
    """While Redis is stopped seats are sold, what needs Redis says 503 at once, and all comes back by itself."""
    used()
    buyer, event = make_buyer(10_000), make_event(seats=1_000, price_cents=1_000)
    holds, views = f"/events/{event}/holds", f"/events/{event}/views"
    answer = server.post(holds, json={"seat": 1, "buyer": buyer})
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    expect.status(server.post(views), 204, reason="view-refused")
    again, listened = bought_before(), make_event(seats=1_000)
    told = tells(listened)
    health_says("up", "up")

    # What ends the outage for the server is the link, so it ends at a moment that we choose: Redis runs again before.
    with server.stream(f"/events/{listened}/live") as patient:
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
                    beside = [lambda: health_says("down", "stopped"), lambda: again("while Redis is stopped"), *goes_on(event, "stopped")]
                    together([*asked, *beside])
                    without = bought_meanwhile("stopped")
                    without("while Redis is stopped")

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

        when = f"Redis was back (it had been away for {away:.1f} s)"
        together([
            lambda: comes_back(event, buyer, when), lambda: hears_again(listened, patient, told, when),
        ])
    without("when Redis was back")
    expect.equal(
        7_000, balance(buyer), "the balance of the buyer of 3 seats for 1000 cents each", reason="sold-twice"
    )
    evidence(
        f"PostgreSQL has {sold(event)[0]} sales, most of them made while Redis was stopped, for {away:.1f} s; Redis has a hold made after, by the "
        "same server process"
    )
