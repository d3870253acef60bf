"""redis/hold: whatever comes between two steps of a hold, a rival, a change, a kill or a lost connection."""

import time

import pytest

from orchestrator.checks import NoAnswer, expect, promises

LOCKED = "55P03"
"""SQLSTATE of a statement that has waited for a lock for too long."""


@promises("hold-key", "hold-120")
def test_a_server_that_dies_leaves_no_hold_for_ever(explore, server, redis, make_buyer, make_event, evidence):
    """Whenever your server is killed while it holds a seat: the hold in Redis ends by itself, or there is none."""
    event, buyer, seats = make_event(seats=1_000), make_buyer(), iter(range(1, 1_000))

    def ends(seat, answer):
        key = f"hold:{event}:{seat}"
        left = redis.pttl(key)
        expect.true(
            left is None or left >= 0,
            f"how long the key {key} lives",
            reason="hold-without-expiry",
            expected="120 seconds",
            seen="for ever: it has no expiry",
        )
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 201, reason="hold-refused")
            expect.equal(
                expect.field(answer, "hold", str, reason="answer-wrong"),
                redis.get(key),
                f"the key {key} in Redis, beside the hold that was answered",
                reason="hold-not-in-redis",
            )

    seen = explore.crash(
        lambda seat: server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": buyer}),
        ends,
        prepare=lambda: next(seats),
    )
    evidence(f"your server was killed at {seen} of a hold; Redis has no hold without an end")


@promises("hold-one-holder")
def test_a_hold_between_two_steps_of_another(explore, server, redis, make_buyer, make_event, evidence):
    """Between any two steps of a hold another buyer asks for the seat at a second process: one of them has it."""
    twin, event, seats = server.replica(wait=False), make_event(seats=1_000), iter(range(1, 1_000))
    first, second = make_buyer(), make_buyer()

    def holds(seat, *answers):
        held = [answer for answer in answers if getattr(answer, "status", None) == 201]
        expect.at_most(1, len(held), "how many of two buyers were told that they hold the seat", reason="two-holders")
        for answer in answers:
            if not isinstance(answer, NoAnswer) and answer not in held:
                expect.status(answer, 409, reason="two-holders", code="seat_held")
        for answer in held:
            expect.equal(
                expect.field(answer, "hold", str, reason="answer-wrong"),
                redis.get(f"hold:{event}:{seat}"),
                f"the key hold:{event}:{seat} in Redis, beside the hold that was answered",
                reason="two-holders",
            )

    seen = explore.interleave(
        lambda seat: server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": first}),
        lambda seat: twin.post(f"/events/{event}/holds", json={"seat": seat, "buyer": second}),
        holds,
        prepare=lambda: next(seats),
        during="another buyer asked a second process of it for the seat",
    )
    evidence(f"another buyer asked for the seat before {seen} of a hold: one was told so, and Redis has that one's hold")


@pytest.fixture
def hold_beside(in_some_order, postgres, redis, make_buyer, make_event):
    """`hold_beside(other, what, reason) -> tried`: a hold of seat 50 of 100, and `other(server, case)` with its event, at once."""
    buyer = make_buyer()

    def prepare():
        return {"event": make_event(seats=100)}

    def hold(one, case):
        case["told"] = one.post(f"/events/{case['event']}/holds", json={"seat": 50, "buyer": buyer})
        return case["told"]

    def left(case):
        """A key is wrong only after a refusal: who holds a seat that is taken away a moment later was told so rightly."""
        seats = postgres.rows("SELECT seats FROM events WHERE id::text = %s", [case["event"]])
        refused = 400 <= getattr(case.get("told"), "status", 0) < 500
        there = redis.get(f"hold:{case['event']}:50") is not None
        return {"seats": seats[0][0] if seats else "no event", "key of the refused hold": refused and there}

    return lambda other, what, reason="refused-hold-kept": in_some_order(
        prepare, hold, (other,), left, f"POST of a hold of seat 50 and {what}", reason
    )


@promises("refused-hold-no-key", "hold-key", "post-events-holds-422", "post-events-holds-404")
def test_a_seat_that_goes_between_two_steps_of_its_hold(hold_beside, evidence):
    """In the middle of a hold its seat is taken away, or its event deleted: a hold that is refused then has no key."""
    changed = hold_beside(
        lambda one, case: one.patch(f"/events/{case['event']}", json={"seats": 10}), "PATCH of its event with 10 seats"
    )
    deleted = hold_beside(lambda one, case: one.delete(f"/events/{case['event']}"), "DELETE of its event")
    evidence(f"a seat was taken away at {changed} steps beside its hold, its event deleted at {deleted}: no refused hold has a key")


@promises("no-key-meanwhile", "free-seat-not-refused", "hold-key", "post-events-holds-422", "post-events-holds-404")
def test_who_can_only_be_refused_keeps_no_seat(
    explore, hold_beside, server, postgres, redis, make_buyer, make_event, evidence
):
    """In the middle of a hold that can only be refused, for want of its buyer, seat or event, the seat is free for others."""
    buyer, nobody, event, nowhere = make_buyer(), make_buyer(), make_event(seats=100), make_event(seats=100)
    postgres.plant("DELETE FROM buyers WHERE id::text = %s RETURNING id", [nobody])
    postgres.plant("DELETE FROM events WHERE id::text = %s RETURNING id", [nowhere])

    def hold(place, seat, who):
        return lambda one: one.post(f"/events/{place}/holds", json={"seat": seat, "buyer": who})

    tried = hold_beside(
        lambda one, case: hold(case["event"], 50, nobody)(one), "one by a buyer who does not exist", "kept-for-nobody"
    )
    for ask, key, whose in (
        (hold(event, 5, nobody), f"hold:{event}:5", "a buyer who does not exist"),
        (hold(event, 101, buyer), f"hold:{event}:101", "a seat that the event does not have"),
        (hold(nowhere, 5, buyer), f"hold:{nowhere}:5", "an event that does not exist"),
    ):
        tried += explore.interleave(
            lambda _, ask=ask: ask(server),
            lambda _, key=key: redis.get(key),
            lambda _case, _answer, seen, key=key, whose=whose: expect.equal(
                None, seen, f"the key {key} in Redis in the middle of a hold of {whose}", reason="kept-for-nobody"
            ),
            during="I looked into Redis",
        ).tried
    evidence(f"a hold that could only be refused stood still at {tried} steps: its seat had no key, and the next buyer got it")


@promises("hold-stays-as-it-is", "redis-may-vanish", "key-of-others")
def test_a_hold_that_vanished_leaves_the_next_alone(explore, server, redis, make_buyer, make_event, fresh, evidence):
    """Between any two steps of a hold its key vanishes and the next buyer's comes: that one keeps its id and its end."""
    event, buyer, seats = make_event(seats=1_000), make_buyer(), iter(range(1, 1_000))
    planted = {}  # seat -> when

    def the_next_hold(case):
        redis.delete(f"hold:{event}:{case[0]}")
        planted[case[0]] = time.monotonic()
        redis.plant(f"hold:{event}:{case[0]}", case[1], px=20_000)

    def holds(case, answer, _):
        seat, theirs = case
        key, what = f"hold:{event}:{seat}", "which I had written for 20 seconds when the one before had vanished"
        expect.equal(theirs, redis.get(key), f"the key {key} in Redis, {what}", reason="hold-of-others-changed")
        left, passed = redis.pttl(key), time.monotonic() - planted[seat]
        expect.between(
            20 - passed - 1, 20, (left or 0) / 1000,
            f"how many seconds the key {key} still lives, {what}", reason="hold-of-others-changed",
        )
        if not isinstance(answer, NoAnswer) and answer.status != 201:  # lost a moment before its answer, or after it
            expect.status(answer, 409, 503, reason="hold-refused", code=("seat_held", "unavailable"))

    seen = explore.interleave(
        lambda case: server.post(f"/events/{event}/holds", json={"seat": case[0], "buyer": buyer}),
        the_next_hold,
        holds,
        prepare=lambda: (next(seats), fresh.token()),
        during="its key vanished and the next buyer's came",
    )
    evidence(f"the next buyer's hold came before {seen} of a hold, and Redis still has it, with its end, each time")


@promises("free-seat-not-refused", "post-events-holds-503", "refused-hold-no-key")
def test_a_hold_without_its_answer(explore, server, redis, make_buyer, make_event, recovered, evidence):
    """When the connection to Redis or PostgreSQL breaks in a hold, nobody is told that somebody else has the seat, and nobody has."""
    event, buyer, seats = make_event(seats=1_000), make_buyer(), iter(range(1, 1_000))

    def holds(seat, answer, service):
        if getattr(answer, "status", None) == 201:
            expect.equal(
                expect.field(answer, "hold", str, reason="answer-wrong"),
                redis.get(f"hold:{event}:{seat}"),
                f"the key hold:{event}:{seat} in Redis, beside the hold that was answered",
                reason="hold-not-in-redis",
            )
        elif not isinstance(answer, NoAnswer):
            expect.status(answer, 500, 503, reason="own-hold-refused", code=("internal", "unavailable"))
            if service == "postgres":  # Redis was there all the time
                expect.eventually(
                    lambda: redis.get(f"hold:{event}:{seat}"),
                    None,
                    within=2.0,
                    what=f"the key hold:{event}:{seat} in Redis after its hold was answered with {answer.status}",
                    reason="refused-hold-kept",
                )
        after = recovered(f"/events/{event}/holds", lambda: {"seat": next(seats), "buyer": buyer}, 201)
        expect.status(after, 201, reason="hold-refused")

    seen = [
        explore.cut(
            lambda seat: server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": buyer}),
            lambda seat, answer, service=service: holds(seat, answer, service),
            answer=answer,
            prepare=lambda: next(seats),
            services=(service,),
        )
        for service in ("redis", "postgres")
        for answer in ("never", "lost")
    ]
    evidence(f"{sum(one.tried for one in seen)} connections were cut in a hold of a free seat: none was called held, and none kept")


@promises("unknown-id", "post-events-holds-404")
def test_an_event_that_goes_while_it_is_looked_at(explore, server, postgres, redis, make_buyer, make_event, evidence):
    """PostgreSQL has told one hold of the event; it is deleted, and the same process is asked for another seat: 404, and no key."""
    first, second, deleted = make_buyer(), make_buyer(), []

    def hold(event, seat, buyer):
        return server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": buyer})

    def gone(event):
        """Nothing, where the hold has locked its event: then nobody can delete it now."""
        with postgres.as_learner() as session:
            session.execute("SET LOCAL lock_timeout = '50ms'")
            try:
                session.execute("DELETE FROM events WHERE id::text = %s", [event])
                session.commit()
            except Exception as error:
                if getattr(error, "sqlstate", None) != LOCKED:
                    raise
                session.rollback()
                return None
        deleted.append(event)
        return hold(event, 2, second)

    def holds(event, _, answer):
        if answer is None or isinstance(answer, NoAnswer):
            return
        asked = f"POST /events/{event}/holds, which came when the event was deleted, while a hold of another seat was under way"
        expect.true(
            answer.status == 404,
            f"the answer to {asked} at the same process",
            reason="anothers-answer",
            expected="404 not_found",
            seen=str(answer.status),
        )
        expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
        expect.equal(None, redis.get(f"hold:{event}:2"), f"the key hold:{event}:2 after {asked}", reason="refused-hold-kept")

    explore.interleave(
        lambda event: hold(event, 1, first), gone, holds, prepare=make_event, services=("postgres",), answers=True,
        during="the event was deleted, and the same process was asked for another seat",
    )
    evidence(f"{len(deleted)} events were deleted when PostgreSQL had answered a hold's look at them: the next hold was 404")
