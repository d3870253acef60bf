"""redis/hold: one seat, one holder, for 120 seconds, by one key in Redis."""

import re
import time
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from urllib.parse import quote

from orchestrator.checks import Call, expect, promises

HOLD = 120.0
ROUNDED, MEASURED = 1.0, 0.3
"""Seconds that a hold may be shorter (an end in whole seconds) and that our own look at it may be wrong."""
LAST, SURELY = 400, 0.38
"""Milliseconds that a hold has left (TTL says 0), and seconds from before that on in which it cannot have ended."""
SLOW = 1.3
"""Seconds for which PostgreSQL keeps a hold waiting: more than ROUNDED, less than the 2 after which it counts as away."""


@promises("post-events-holds-201", "hold-key", "hold-120", "hold-expires-at")
def test_a_hold_is_a_key_that_ends(server, redis, make_buyer, make_event, instant, fresh, evidence):
    """A hold is a key in Redis that ends by itself after 120 seconds."""
    event, buyer, seat = make_event(), make_buyer(), fresh.integer(1, 100)
    asked, asked_at = time.monotonic(), datetime.now(UTC)
    answer = server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": buyer})
    answered, answered_at = time.monotonic(), datetime.now(UTC)
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    key = f"hold:{event}:{seat}"
    expect.equal(
        hold,
        redis.get(key),
        f"the key {key} in Redis after POST /events/{event}/holds answered 201",
        reason="hold-not-in-redis",
    )
    left, now = redis.pttl(key), time.monotonic()
    expect.true(
        left is not None and left >= 0,
        f"how long the key {key} lives",
        reason="hold-without-expiry",
        expected="120 seconds",
        seen="for ever: it has no expiry" if left == -1 else "it is gone already",
    )
    expect.between(
        HOLD - (now - asked) - ROUNDED - MEASURED,
        HOLD - (now - answered) + MEASURED,
        left / 1000,
        f"how many seconds the key {key} still lives",
        reason="hold-time-wrong",
    )
    ends = instant(expect.field(answer, "expires_at", str, reason="answer-wrong"), "`expires_at` of the hold")
    expect.between(
        HOLD - ROUNDED - MEASURED,
        HOLD + MEASURED + (answered_at - asked_at).total_seconds(),
        (ends - asked_at).total_seconds(),
        "how many seconds after the request `expires_at` is",
        reason="hold-time-wrong",
    )
    evidence(f"Redis has {key} with the hold's id, and will delete it in {left / 1000:.1f} s")


@promises("hold-120")
def test_a_hold_has_its_whole_time(server, postgres, redis, make_buyer, make_event, evidence):
    """A hold that had to wait for PostgreSQL lives for 120 seconds from when its key is made."""
    event, buyer = make_event(), make_buyer()
    calls, key = [Call("POST", f"/events/{event}/holds", json={"seat": 1, "buyer": buyer})], f"hold:{event}:1"

    with ThreadPoolExecutor(1) as beside, postgres.as_learner() as keeper:
        keeper.execute("LOCK TABLE buyers, events, tickets IN ACCESS EXCLUSIVE MODE")
        asked = beside.submit(server.parallel, calls, unanswered="keep")
        began = absent = looked = time.monotonic()
        while looked - began < SLOW and not asked.done():
            wait([asked], timeout=0.02)
            looked = time.monotonic()
            if redis.get(key) is None:
                absent = looked
    answer = asked.result()[0]
    if getattr(answer, "status", 503) == 503:  # it need not wait so long, and has made no hold then
        evidence(f"PostgreSQL kept your server waiting for {SLOW} s, and it gave up")
        return
    expect.status(answer, 201, reason="hold-refused")
    left, now = redis.pttl(key), time.monotonic()
    expect.between(
        HOLD - ROUNDED - (now - absent),
        HOLD + MEASURED,
        (left or 0) / 1000,
        f"how many seconds the key {key} still lives, which was not there {now - absent:.2f} s before (PostgreSQL had kept "
        f"your server waiting for {SLOW} s)",
        reason="hold-time-wrong",
    )
    evidence(f"PostgreSQL kept your server waiting for {SLOW} s: Redis has {key} for {left / 1000:.1f} s from then on")


@promises("post-events-holds-409", "key-of-others")
def test_a_held_seat_stays_with_its_holder(server, redis, make_buyer, make_event, make_sale, fresh, evidence):
    """A seat that is held or sold is refused to the next buyer, whoever wrote the hold."""
    event, first, second = make_event(seats=100), make_buyer(), make_buyer()
    path = f"/events/{event}/holds"
    answer = server.post(path, json={"seat": 1, "buyer": first})
    expect.status(answer, 201, reason="hold-refused")
    hold = expect.field(answer, "hold", str, reason="answer-wrong")
    expect.equal(
        hold,
        redis.get(f"hold:{event}:1"),
        f"the key hold:{event}:1 in Redis after the seat was held",
        reason="hold-not-in-redis",
    )
    again = server.post(path, json={"seat": 1, "buyer": second})
    expect.equal(
        hold,
        redis.get(f"hold:{event}:1"),
        f"the key hold:{event}:1 in Redis after a second buyer asked for the seat",
        reason="two-holders",
    )
    expect.status(again, 409, reason="two-holders", code="seat_held")

    planted = fresh.token()
    redis.plant(f"hold:{event}:2", planted, px=60_000)
    answer = server.post(path, json={"seat": 2, "buyer": second})
    expect.equal(
        planted,
        redis.get(f"hold:{event}:2"),
        f"the key hold:{event}:2, which I had written into Redis, after a buyer asked for the seat",
        reason="plant-not-seen",
    )
    expect.status(answer, 409, reason="plant-not-seen", code="seat_held")

    make_sale(event, first, 3)
    expect.status(
        server.post(path, json={"seat": 3, "buyer": second}), 409, reason="sold-seat-held", code="seat_sold"
    )
    for body in (
        {"seat": 101, "buyer": first},
        {"seat": 0, "buyer": first},
        {"seat": 4, "buyer": "none"},
        {"seat": 4},
    ):
        expect.status(server.post(path, json=body), 422, reason="bad-body-accepted", code="invalid")
    expect.status(
        server.post("/events/none/holds", json={"seat": 1, "buyer": first}),
        404,
        reason="unknown-id-answer",
        code="not_found",
    )
    expect.equal(
        sorted([f"hold:{event}:1", f"hold:{event}:2"]),
        sorted(redis.keys(f"hold:{event}:*")),
        "the keys of this event's holds in Redis",
        reason="bad-body-stored",
    )
    evidence(
        "Redis still has the first holder's id after a second buyer asked, and the hold that the checker planted"
    )


@promises("hold-stays-as-it-is", "post-events-holds-409", "key-of-others")
def test_a_refusal_does_not_touch_the_hold(server, redis, make_buyer, make_event, fresh, evidence):
    """Who asks for a held seat, its holder or another, is refused, and the hold neither changes nor lasts longer."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    path = f"/events/{event}/holds"
    answer = server.post(path, json={"seat": 1, "buyer": first})
    expect.status(answer, 201, reason="hold-refused")
    holds = {1: expect.field(answer, "hold", str, reason="answer-wrong"), 2: fresh.token()}
    redis.plant(f"hold:{event}:2", holds[2], px=20_000)
    redis.client.pexpire(f"hold:{event}:1", 20_000)
    for seat, hold in holds.items():
        key = f"hold:{event}:{seat}"
        for buyer, who in ((second, "another buyer"), (first, "its own buyer" if seat == 1 else "a third buyer")):
            answer = server.post(path, json={"seat": seat, "buyer": buyer})
            asked = f"after {who} had asked for the held seat"
            expect.status(answer, 409, reason="two-holders", code="seat_held")
            expect.equal(hold, redis.get(key), f"the key {key} in Redis {asked}", reason="two-holders")
            left = redis.pttl(key)
            expect.true(
                left is not None and 0 < left <= 20_000,
                f"how many milliseconds the key {key}, which had 20000, lives {asked}",
                reason="hold-prolonged",
                expected="at most 20000",
                seen=str(left),
            )
    evidence("Redis has both holds as they were, with their ends, after four refusals")


@promises("hold-stays-as-it-is", "post-events-holds-409", "hold-key")
def test_a_hold_is_one_to_its_last_moment(server, redis, make_buyer, make_event, hold, evidence):
    """A hold with less than half a second left is a hold: the next buyer is refused, and it ends when it would have ended."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    for seat in range(1, 21):
        key, mine = f"hold:{event}:{seat}", hold(event, seat, first)
        began = time.monotonic()
        redis.client.pexpire(key, LAST)
        answer = server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": second})
        seen, left = redis.get(key), redis.pttl(key)
        if time.monotonic() - began > SURELY:
            continue  # it may have ended before your server looked: that says nothing, so once more
        what = f"the key {key} in Redis, which had {LAST} ms left when a second buyer asked for the seat"
        expect.equal(mine, seen, what, reason="ending-hold-taken")
        expect.status(answer, 409, reason="ending-hold-taken", code="seat_held")
        expect.between(0, LAST, left, f"how many milliseconds are left of {what}", reason="hold-prolonged")
        evidence(f"a hold with {LAST} ms left stayed as it was, and Redis would have ended it in {left} ms")
        return
    evidence(f"each of {seat} answers came too late to say anything of a hold that has {LAST} ms left")


@promises("one-spelling", "unknown-id", "hold-key")
def test_one_seat_has_one_hold(server, redis, make_buyer, make_event, spellings, evidence):
    """An event's id that is spelled otherwise, such as 07 for 7, is no event, or the same one: its hold has no other key."""
    (*_, event), buyer, before = [make_event() for _ in range(10)], make_buyer(), set(redis.keys("hold:*"))
    tried = spellings(event)
    for text in tried:
        answer = server.post(f"/events/{quote(text, safe='')}/holds", json={"seat": 5, "buyer": buyer})
        expect.status(answer, 404, 409, 201, reason="unknown-id-answer")
    expect.equal(
        [],
        sorted(set(redis.keys("hold:*")) - before - {f"hold:{event}:5"}),
        f"new keys in Redis after holds of seat 5 of event {event} with {len(tried)} other spellings of its id",
        reason="key-misnamed",
    )
    evidence(f"{len(tried)} other spellings of the id {event} made no key in Redis")


@promises("hold-one-holder")
def test_one_of_twelve_buyers_at_once(server, redis, make_buyer, make_event, evidence):
    """Of twelve buyers who ask for one seat at the same moment one holds it."""
    event, buyers = make_event(), [make_buyer() for _ in range(12)]
    for seat in range(1, 7):
        calls = [Call("POST", f"/events/{event}/holds", json={"seat": seat, "buyer": buyer}) for buyer in buyers]
        answers = server.parallel(calls, at_once=12)
        held = [answer for answer in answers if answer.status == 201]
        what = "how many of 12 buyers were told at the same moment that they hold the seat"
        expect.at_least(1, len(held), what, reason="hold-refused")
        expect.at_most(1, len(held), what, reason="two-holders")
        for answer in answers:
            if answer.status != 201:
                expect.status(answer, 409, reason="hold-fails-under-load", code="seat_held")
        key = f"hold:{event}:{seat}"
        expect.equal(
            expect.field(held[0], "hold", str, reason="answer-wrong"),
            redis.get(key),
            f"the key {key} in Redis, beside the hold that was answered",
            reason="hold-not-in-redis",
        )
    evidence("six times, 12 buyers wanted one seat: Redis has the hold of the one who was told so")


@promises("new-hold-seat", "field-names", "post-events-holds-422", "post-events-holds-404", "own-key-names", "hold-key")
def test_the_edges_of_a_hold(server, redis, edges, make_buyer, make_event, fresh, evidence):
    """The first and the last seat can be held; others, and holds of nobody or for no event, make no key."""
    seats = fresh.integer(20, 90)
    event, buyer = make_event(seats=seats), make_buyer()
    path = f"/events/{event}/holds"
    tried = [(one.value, one.allowed) for one in edges.body("POST", "/events/{id}/holds") if one.field == "seat"]
    for seat, allowed in [*tried, (seats, True), (seats + 1, False)]:
        answer = server.post(path, json={"seat": seat, "buyer": buyer})
        if allowed:
            expect.status(answer, 201, reason="hold-refused")
        else:
            expect.status(answer, 422, reason="bad-hold-accepted", code="invalid")
    nobody = server.post(path, json={"seat": 2, "buyer": fresh.name("none")})
    expect.status(nobody, 422, reason="bad-hold-accepted", code="invalid")
    nowhere = server.post(f"/events/{fresh.name('none')}/holds", json={"seat": 2, "buyer": buyer})
    expect.status(nowhere, 404, reason="bad-hold-accepted", code="not_found")
    for field, names in edges.misnamed("POST", "/events/{id}/holds").items():  # `Seat` is a further field
        wish = {"seat": 2, "buyer": buyer}
        own, lacking = wish[field], {name: value for name, value in wish.items() if name != field}
        unnamed = server.post(path, json={**lacking, **dict.fromkeys(names, own)})
        expect.status(unnamed, 422, reason="name-by-letter", code="invalid")
    further = {one: [] for names in edges.misnamed("POST", "/events/{id}/holds").values() for one in names}
    expect.status(server.post(path, json={**further, "seat": 3, "buyer": buyer}), 201, reason="name-by-letter")
    expect.equal(
        sorted([f"hold:{event}:1", f"hold:{event}:3", f"hold:{event}:{seats}"]),
        sorted(redis.keys(f"hold:{event}:*")),
        "the keys of this event's holds in Redis",
        reason="bad-hold-accepted",
    )
    others = [key for key in redis.keys("hold:*") if not re.fullmatch(r"hold:.+:\d+", key)]
    expect.equal([], others, "keys in Redis that begin with hold: and are no holds", reason="key-misnamed")
    evidence(f"seats 1, 3 and {seats} are held, and Redis has no other key of this event")
