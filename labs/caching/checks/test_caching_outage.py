"""caching/outage: without Redis reads are right and changes are refused, and nothing old comes back with it."""

import time
from functools import partial

import pytest

from orchestrator.checks import expect, promises

QUICK, BACK, ROUNDS = 2, 3, 2
AWAY = 8.0
"""Seconds for which Redis is away at the least: a pause between two tries that doubles is a long one by then."""


@pytest.fixture
def without_redis(server, twin, make_event, new_fields, fresh, read, truth, health_says):
    """`without_redis(events, how)`: what both processes must answer for events, while Redis is away."""

    def quick(what, how, call):
        return expect.within(QUICK, call, what=f"{what} while Redis is {how}", reason="too-slow")

    def look(events, how):
        nobody = f"n-{fresh.token().lower()}"
        for one in (server, twin):
            for address in (*events, nobody):
                found = quick("a read", how, partial(read, one, address))
                expect.equal(truth(address), found, f"a read of {address} while Redis is {how}, beside the row in PostgreSQL",
                             reason="stale")
            health_says(one, "down", how)
        for method, address in (("PUT", events[0]), ("DELETE", events[0]), ("PUT", nobody), ("PUT", events[-1])):
            before = truth(address)
            body = new_fields() if method == "PUT" else None
            answer = quick(f"a {method}", how, partial(server.request, method, f"/events/{address}", json=body))
            expect.status(answer, 503, reason="change-without-redis", code="cache_down")
            expect.equal(before, truth(address), f"the row of {address} after a {method} that was refused while Redis is {how}",
                         reason="refused-but-changed")

    return look


@pytest.fixture
def health_says(server):
    """`health_says(server, redis, how)`: what `GET /health` says of both services."""

    def look(one, redis, how):
        answer = expect.within(QUICK, partial(one.get, "/health"), what=f"GET /health while Redis is {how}", reason="too-slow")
        expect.status(answer, 200 if redis == "up" else 503, reason="health-wrong")
        expect.fields(answer, {"postgres": "up", "redis": redis}, f"GET /health while Redis is {how}", reason="health-wrong")

    return look


@pytest.fixture
def all_works(server, twin, postgres, make_event, new_fields, read, truth, agrees, health_says):
    """`all_works(events)`: within three seconds changes are made, entries are used, and nothing old is seen."""

    def tried(one, address):
        answer = one.put(f"/events/{address}", json=new_fields())
        expect.status(answer, 200, 503, reason="no-recovery")
        return answer.status

    def asks(one, address):
        with postgres.statements() as asked:
            read(one, address)
        return asked.calls

    def look(events):
        for one in (server, twin):
            expect.eventually(partial(tried, one, events[0]), 200, within=BACK, reason="no-recovery",
                              what="the status of a PUT when Redis was back")
            expect.eventually(partial(asks, one, events[0]), 0, within=BACK, reason="no-recovery",
                              what="how many statements PostgreSQL got for a read when Redis was back, and the event had been read")
            health_says(one, "up", "back")
        for address in events:
            agrees(address, "when Redis was back", "stale")

    return look


@promises("reads-without-redis", "changes-need-redis", "back-again", "put-events-503", "delete-events-503", "get-health-200",
          "get-health-503", "health-redis", "health-postgres", "nothing-stale")
def test_redis_is_stopped(
    server, twin, fault, make_event, new_fields, read, health_says, without_redis, all_works, evidence,
):
    """While Redis is stopped reads come from PostgreSQL and changes are refused; when it is back all is as before."""
    events = [make_event() for _ in range(3)]
    health_says(server, "up", "there")
    for one in (server, twin):
        read(one, events[0])
        read(one, events[1])
    # Who keeps what it answered last, for such a time, has something old now.
    expect.status(twin.put(f"/events/{events[1]}", json=new_fields()), 200, reason="change-refused")
    with fault.stop("redis"):
        for _ in range(ROUNDS):
            without_redis(events, "stopped")
    all_works(events)
    evidence("without Redis both processes answered what PostgreSQL has, and changed nothing; with it they kept entries again")


@promises("back-again", "reads-without-redis")
def test_redis_is_away_for_long(server, twin, fault, wait, make_event, read, all_works, evidence):
    """Redis cannot be reached for eight seconds, and is asked for all the time: when it is back all is as before."""
    events = [make_event() for _ in range(2)]
    with fault.down("redis"):
        began = time.monotonic()

        def over():
            for one in (server, twin):
                read(one, events[0])
            return time.monotonic() - began >= AWAY

        wait.until(over, deadline=2 * AWAY, every=0.1, what="the end of the outage")
        away = time.monotonic() - began
    all_works(events)
    evidence(f"Redis was away for {away:.1f} s: reads came from PostgreSQL, and when it was back entries were kept again")


@promises("silence-is-away", "reads-without-redis", "changes-need-redis", "back-again")
def test_redis_is_silent(server, fault, make_event, read, truth, without_redis, all_works, evidence):
    """While Redis is connected and says nothing the same is right; what was refused then is not done later."""
    events = [make_event() for _ in range(3)]
    read(server, events[0])
    refused = events[-1]
    before = truth(refused)
    with fault.hold("redis"):
        without_redis(events, "silent")
    all_works(events)
    expect.equal(before, truth(refused), f"the row of {refused} when Redis has spoken again: a PUT of it was refused while Redis was silent",
                 reason="refused-but-changed")
    evidence("while Redis was silent reads were right within 2 seconds, and changes were refused")


@promises("silence-is-away", "nothing-stale", "unanswered-soon-true")
def test_redis_falls_silent_in_the_middle(explore, server, make_event, read, new_fields, agrees, evidence):
    """Redis falls silent at any step of a change: the change is refused, or seen by all when Redis speaks again."""

    def warm():
        address = make_event()
        read(server, address)
        return address

    def change(address):
        return expect.within(QUICK, lambda: server.put(f"/events/{address}", json=new_fields()), reason="too-slow",
                             what="a PUT in whose middle Redis fell silent")

    def holds(address, answer):
        expect.status(answer, 200, 503, reason="change-refused")
        agrees(address, "after a PUT in whose middle Redis fell silent", "stale", within=None if answer.status == 200 else 5)

    seen = explore.silence(change, holds, pick=lambda steps: [one for one in steps if one.service == "redis"], prepare=warm)
    evidence(f"Redis fell silent at {seen} of a change: each was answered in time, and nothing old was seen afterwards")


@promises("reads-without-redis", "back-again")
def test_a_read_loses_redis(explore, server, redis, make_event, read, truth, evidence):
    """The connection to Redis breaks at any step of a read: the answer is what PostgreSQL has."""

    def cold():
        address = make_event()
        redis.flush()
        return address

    seen = explore.cut(
        lambda address: read(server, address),
        lambda address, answer: expect.equal(truth(address), answer, "a read that lost its connection to Redis",
                                             reason="answer-wrong"),
        services=("redis",), prepare=cold,
    )
    evidence(f"the connection to Redis broke at {seen} of a read: each was answered from PostgreSQL")
