"""redis/expiry: a hold ends by itself or by release, and nobody ends another's."""

import pytest

from orchestrator.checks import expect, promises


@pytest.fixture
def expire(redis):
    """`expire(event, seat)`: lets the hold's time run out now, as if two minutes had passed."""

    def end(event, seat):
        key = f"hold:{event}:{seat}"
        expect.true(
            redis.get(key) is not None,
            f"the key {key} in Redis",
            reason="hold-not-in-redis",
            expected="the id of the hold",
            seen="no key",
        )
        redis.client.pexpire(key, 1)
        expect.eventually(
            lambda: redis.get(key),
            None,
            within=1.0,
            what=f"the key {key} after its time ran out",
            reason="expired-hold-alive",
        )

    return end


@promises("hold-key", "key-of-others", "hold-holds-now", "post-orders-410")
def test_time_ends_a_hold(server, redis, make_buyer, make_event, hold, expire, evidence):
    """When the time of a hold is over, the seat is free for the next buyer."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    old = hold(event, 1, first)
    expire(event, 1)
    new = hold(event, 1, second, reason="expired-hold-alive")
    expect.equal(
        new,
        redis.get(f"hold:{event}:1"),
        f"the key hold:{event}:1 in Redis: the second buyer's hold",
        reason="hold-not-in-redis",
    )
    answer = server.post("/orders", json={"event": event, "seat": 1, "buyer": first, "hold": old})
    expect.status(answer, 409, 410, reason="expired-hold-alive", code=("hold_expired", "seat_held"))

    old = hold(event, 2, first)
    expire(event, 2)
    answer = server.post("/orders", json={"event": event, "seat": 2, "buyer": first, "hold": old})
    expect.status(answer, 410, reason="expired-hold-alive", code="hold_expired")
    expect.status(server.delete(f"/events/{event}/holds/{old}"), 404, reason="expired-hold-alive", code="not_found")
    expect.status(
        server.post("/orders", json={"event": event, "seat": 2, "buyer": second}), 201, reason="expired-hold-alive"
    )
    evidence("Redis let two holds end after PEXPIRE; your server gave one seat to the next buyer and sold the other")


@promises("delete-events-holds-one-204", "delete-events-holds-one-404", "hold-key")
def test_release_frees_the_seat(server, redis, make_buyer, make_event, hold, evidence):
    """A hold that is released is gone from Redis, and the seat is free."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    mine, other = hold(event, 1, first), hold(event, 2, first)
    expect.status(server.delete(f"/events/{event}/holds/{mine}"), 204, reason="release-refused")
    expect.equal(
        None,
        redis.get(f"hold:{event}:1"),
        f"the key hold:{event}:1 in Redis after its release",
        reason="release-keeps-key",
    )
    expect.equal(
        other,
        redis.get(f"hold:{event}:2"),
        f"the key hold:{event}:2 in Redis, whose release nobody asked for",
        reason="release-of-others",
    )
    expect.status(server.delete(f"/events/{event}/holds/{mine}"), 404, reason="release-twice", code="not_found")
    hold(event, 1, second, reason="release-keeps-key")
    large = make_event(seats=100_000)
    last = hold(large, 100_000, first)
    expect.status(server.delete(f"/events/{large}/holds/{last}"), 204, reason="release-refused")
    expect.equal(None, redis.get(f"hold:{large}:100000"), f"the key hold:{large}:100000 after its release",
                 reason="release-keeps-key")
    evidence("Redis lost the key of the released hold, kept the one beside it, and took the next buyer's")


@promises("release-lost-seat", "delete-events-holds-one-204", "hold-key")
def test_a_hold_of_a_seat_that_went_is_released(server, redis, make_buyer, make_event, hold, evidence):
    """A hold of a seat that the event has lost since is released like any other, and the seat is free when it comes back."""
    event, first, second = make_event(seats=100), make_buyer(), make_buyer()
    path, key = f"/events/{event}", f"hold:{event}:100"
    mine = hold(event, 100, first)
    expect.status(server.patch(path, json={"seats": 50}), 200, reason="change-refused")
    expect.equal(
        mine, redis.get(key), f"the key {key} in Redis after PATCH of its event with 50 seats", reason="lost-seat-kept"
    )
    expect.status(server.delete(f"{path}/holds/{mine}"), 204, reason="lost-seat-kept")
    expect.equal(None, redis.get(key), f"the key {key} in Redis after its release", reason="lost-seat-kept")
    expect.status(server.patch(path, json={"seats": 100}), 200, reason="change-refused")
    hold(event, 100, second, reason="lost-seat-kept")
    evidence("Redis lost the key of a hold of seat 100, released while the event had 50 seats, and took the next one's")


@promises("release-own-only", "delete-events-holds-one-404")
def test_nobody_releases_anothers_hold(server, redis, make_buyer, make_event, hold, expire, evidence):
    """A hold that is over cannot release the hold of the buyer who came after."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    old = hold(event, 1, first)
    expire(event, 1)
    new = hold(event, 1, second, reason="expired-hold-alive")
    answer = server.delete(f"/events/{event}/holds/{old}")
    expect.equal(
        new,
        redis.get(f"hold:{event}:1"),
        f"the key hold:{event}:1 in Redis, the second buyer's, after the first buyer released a hold that was over",
        reason="release-of-others",
    )
    expect.status(answer, 404, reason="release-of-others", code="not_found")
    evidence("Redis still has the second buyer's hold after the first buyer's came to be released too late")


@promises("release-own-only")
def test_a_release_never_ends_the_next_hold(explore, server, redis, make_buyer, make_event, hold, fresh, evidence):
    """Between any two steps of a release the hold ends and the next buyer's comes: that one stays."""
    event, buyer, seats = make_event(seats=1_000), make_buyer(), iter(range(1, 1_000))

    def prepare():
        seat = next(seats)
        return seat, hold(event, seat, buyer), fresh.token()

    def the_next_hold(case):
        redis.plant(f"hold:{event}:{case[0]}", case[2], px=60_000)

    def holds(case, answer, _):
        seat, _, theirs = case
        expect.equal(
            theirs,
            redis.get(f"hold:{event}:{seat}"),
            f"the key hold:{event}:{seat} in Redis: the next buyer's hold, after the release of the one before",
            reason="release-of-others",
        )
        if getattr(answer, "status", 204) != 204:
            expect.status(answer, 404, reason="release-of-others", code="not_found")

    seen = explore.interleave(
        lambda case: server.delete(f"/events/{event}/holds/{case[1]}"),
        the_next_hold,
        holds,
        prepare=prepare,
        during="the hold ended and the next buyer's came",
    )
    evidence(f"the next buyer's hold came before {seen} of a release, and Redis still has it each time")
