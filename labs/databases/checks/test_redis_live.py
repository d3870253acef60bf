"""redis/live: what happens to a seat reaches every listener, whichever instance of the server they are connected to."""

import contextlib
import time

import pytest

from orchestrator.checks import Call, expect, promises

CARRIERS = ("PUBLISH", "SPUBLISH", "XADD")
HEADER = 3.0
"""Seconds for the header of a stream, which goes out at once: with much room for a busy machine."""
EARLY, PATIENT = 6, 0.4
"""Listeners who hang up before their header, and the seconds after which they do."""


@pytest.fixture
def hear(seat_of, next_message):
    """`hear(stream, name, seat, reason)`: the next message of the stream, within two seconds, is this one.

    `foreign`: a message (name, seat) that another event's listeners have just got.
    """
    heard = {}  # stream -> its last message

    def listen(stream, name, seat, reason, foreign=None):
        what = f"the live stream of an event of which seat {seat} was {name}"
        event = next_message(stream, what, reason, f"event: {name} with the seat {seat} within 2 seconds")
        seen = (event.name, seat_of(event))
        what = "the next message of the live stream (event, seat)"
        if seen != (name, seat) and seen == heard.get(stream):
            expect.equal((name, seat), seen, f"{what}, which repeats the one before", reason="message-too-many")
        if seen == foreign:
            expect.equal(
                (name, seat), seen, f"{what}, which is a change of another event", reason="message-too-many"
            )
        expect.equal((name, seat), seen, what, reason="message-wrong")
        heard[stream] = seen

    return listen


@promises(
    "live-each-change", "live-soon", "live-header", "live-sold-only", "live-through-redis", "get-events-live-200"
)
def test_one_instance_hears_the_other(server, redis, make_buyer, two_alike, header_at_once, hear, quiet, evidence):
    """A hold, a release and a sale at one instance reach the listeners of another, once each."""
    twin = server.replica()
    (event, other), buyer = two_alike, make_buyer()
    path = f"/events/{event}/live"
    with header_at_once(server, path, HEADER) as here, header_at_once(twin, path, HEADER) as there:
        early = server.post(f"/events/{event}/holds", json={"seat": 90, "buyer": buyer})
        expect.status(early, 201, reason="hold-refused")
        hear(here, "held", 90, "not-live")  # it has arrived everywhere, so whoever comes later must not hear it
        hear(there, "held", 90, "not-across-servers")
    with server.stream(f"/events/{event}/live") as here, twin.stream(f"/events/{event}/live") as there:
        for stream in (here, there):
            expect.equal(200, stream.status, "the status of GET /events/ID/live", reason="stream-refused")
            kind = stream.headers.get("Content-Type", "").split(";")[0].strip().lower()
            expect.equal(
                "text/event-stream", kind, "the Content-Type of GET /events/ID/live", reason="stream-refused"
            )
            quiet(stream, "messages about what happened before the listener came", "old-messages")

        with redis.commands() as seen:
            answer = twin.post(f"/events/{event}/holds", json={"seat": 12, "buyer": buyer})
            expect.status(answer, 201, reason="hold-refused")
            hear(there, "held", 12, "not-live")
            hear(here, "held", 12, "not-across-servers")
        expect.true(
            not seen.calls.keys().isdisjoint(CARRIERS),
            "what Redis ran while a hold at one instance became a message at the other",
            reason="not-published",
            expected=" or ".join(CARRIERS),
            seen=", ".join(sorted(seen.calls)) or "nothing",
        )
        hold = expect.field(answer, "hold", str, reason="answer-wrong")
        expect.status(server.delete(f"/events/{event}/holds/{hold}"), 204, reason="release-refused")
        hear(here, "released", 12, "not-live")
        hear(there, "released", 12, "not-across-servers")
        expect.status(
            server.post("/orders", json={"event": event, "seat": 13, "buyer": buyer}), 201, reason="sale-refused"
        )
        hear(here, "sold", 13, "not-live")
        hear(there, "sold", 13, "not-across-servers")

        with twin.stream(f"/events/{other}/live") as elsewhere:
            answer = twin.post(f"/events/{other}/holds", json={"seat": 7, "buyer": buyer})
            expect.status(answer, 201, reason="hold-refused")
            hear(elsewhere, "held", 7, "not-live")
            answer = twin.post(f"/events/{event}/holds", json={"seat": 14, "buyer": buyer})
            expect.status(answer, 201, reason="hold-refused")
            for stream in (here, there):
                hear(stream, "held", 14, "not-live", foreign=("held", 7))
            # What has not come to the first one in its time has not come to the others in theirs.
            for stream, which, seconds in ((here, event, 0.3), (there, event, 0.05), (elsewhere, other, 0.05)):
                quiet(
                    stream,
                    f"messages that came beside the changes of event {which} (twice, or of event "
                    f"{other if which == event else event})",
                    "message-too-many",
                    seconds,
                )
    expect.status(server.get("/events/none/live"), 404, reason="unknown-id-answer", code="not_found")
    evidence(
        "two instances of your server: held, released and sold reached the listeners of both, once each, through "
        "Redis"
    )


@promises("live-each-change", "live-in-order", "live-changes-only", "live-sold-only", "key-same-answer")
def test_each_change_is_told_once(server, redis, make_buyer, make_event, hear, fresh, quiet, evidence):
    """Each change of one seat is told, the same one a second time, too, and what changes nothing is not told."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    holds, seat = f"/events/{event}/holds", fresh.integer(2, 90)

    def take(buyer, seat=seat):
        answer = server.post(holds, json={"seat": seat, "buyer": buyer})
        expect.status(answer, 201, reason="hold-refused")
        return expect.field(answer, "hold", str, reason="answer-wrong")

    with server.stream(f"/events/{event}/live") as stream:
        quiet(stream, "messages about nothing", "message-too-many")
        for buyer in (first, second, first):
            mine = take(buyer)
            hear(stream, "held", seat, "change-not-told")
            refused = server.post(holds, json={"seat": seat, "buyer": second})
            expect.status(refused, 409, reason="two-holders", code="seat_held")
            expect.status(server.delete(f"{holds}/{mine}"), 204, reason="release-refused")
            hear(stream, "released", seat, "change-not-told")
            expect.status(server.delete(f"{holds}/{mine}"), 404, reason="release-twice", code="not_found")
        mine = take(second)
        hear(stream, "held", seat, "change-not-told")
        order, key = {"event": event, "seat": seat, "buyer": second}, {"Idempotency-Key": fresh.token()}
        expect.status(server.post("/orders", json=order), 409, reason="held-seat-sold", code="seat_held")
        order["hold"] = mine
        expect.status(server.post("/orders", json=order, headers=key), 201, reason="sale-refused")
        hear(stream, "sold", seat, "change-not-told")
        expect.status(server.post("/orders", json=order, headers=key), 201, reason="answer-not-repeated")
        # As it is left by a first try that was killed after its COMMIT: the hold is ended now, and nothing is told.
        redis.plant(f"hold:{event}:{seat}", mine, px=100_000)
        expect.status(server.post("/orders", json=order, headers=key), 201, reason="answer-not-repeated")
        order = {"event": event, "seat": 1, "buyer": first}
        expect.status(server.post("/orders", json=order), 201, reason="sale-refused")
        hear(stream, "sold", 1, "change-not-told")
        expect.status(server.post("/orders", json=order), 409, reason="sold-twice", code="seat_sold")
        quiet(stream, "messages that came though nothing had changed", "message-too-many")
        # Three changes with no look at the stream in between: their messages wait for each other, and keep their order.
        mine = take(first, 95)
        expect.status(server.delete(f"{holds}/{mine}"), 204, reason="release-refused")
        order = {"event": event, "seat": 95, "buyer": first}
        expect.status(server.post("/orders", json=order), 201, reason="sale-refused")
        for name in ("held", "released", "sold"):
            hear(stream, name, 95, "change-not-told")
    evidence("twelve changes, the same ones of one seat again and again, came once each and in order")


@promises("live-each-change", "live-sold-only", "row-taken-back", "seat-sold-once")
def test_a_seat_that_is_sold_again_is_told_again(server, postgres, make_buyer, make_event, sold, hear, quiet, evidence):
    """A seat is sold, its order is taken back in PostgreSQL, and it is sold again: each sale is told."""
    event, seat = make_event(), 5

    def take_back():
        postgres.plant(
            "WITH ticket AS (DELETE FROM tickets WHERE event_id::text = %s RETURNING order_id)"
            " DELETE FROM orders WHERE id IN (SELECT order_id FROM ticket) RETURNING id",
            [event],
        )

    with server.stream(f"/events/{event}/live") as stream:
        quiet(stream, "messages about nothing", "message-too-many")
        for with_hold in (False, True, False):
            order = {"event": event, "seat": seat, "buyer": make_buyer()}
            if with_hold:
                answer = server.post(f"/events/{event}/holds", json={"seat": seat, "buyer": order["buyer"]})
                expect.status(answer, 201, reason="hold-refused")
                order["hold"] = expect.field(answer, "hold", str, reason="answer-wrong")
                hear(stream, "held", seat, "change-not-told")
            expect.status(server.post("/orders", json=order), 201, reason="sale-refused")
            hear(stream, "sold", seat, "change-not-told")
            expect.equal((1, 1), sold(event), "orders and tickets in PostgreSQL after the sale", reason="not-stored")
            take_back()
        quiet(stream, "messages that came beside three sales", "message-too-many")
    evidence("one seat was sold three times, and its order and ticket deleted with SQL in between: each sale was told")


@promises("live-each-change", "live-soon", "live-changes-only")
def test_a_sale_whose_buyer_hung_up_is_told(server, make_buyer, make_event, hangs_up, sold, hear, quiet, evidence):
    """When the buyer hangs up in the middle of a sale: if it is made, listeners hear of it, and else they hear nothing."""
    event, buyer = make_event(), make_buyer()
    with server.stream(f"/events/{event}/live") as stream:
        quiet(stream, "messages about nothing", "message-too-many")
        hangs_up({"event": event, "seat": 7, "buyer": buyer})
        made = sold(event) == (1, 1)
        if made:
            hear(stream, "sold", 7, "change-not-told")
        else:
            quiet(stream, "messages about a sale that was not made", "refused-but-told")
    evidence(f"a buyer hung up: the sale was {'made and told' if made else 'not made, and nothing told'}")


@promises("live-gone")
def test_a_listener_that_is_gone_costs_nothing(server, redis, make_buyer, make_event, hear, quiet, evidence):
    """When listeners go away without a word, the others hear on, and no connection to Redis is left behind."""
    event, buyer = make_event(seats=10_000), make_buyer()
    path, holds = f"/events/{event}/live", f"/events/{event}/holds"
    with server.stream(path) as patient:
        quiet(patient, "messages about nothing", "message-too-many")
        before = len(redis.clients())
        with contextlib.ExitStack() as stack:
            gone = [stack.enter_context(server.stream(path)) for _ in range(15)]
            with_them = len(redis.clients())
            for stream in gone:
                stream.drop()
        for seat in range(1, 4):
            expect.status(server.post(holds, json={"buyer": buyer, "seat": seat}), 201, reason="hold-refused")
            hear(patient, "held", seat, "deaf-after-drop")
        seats = iter(range(4, 10_001))

        def connections():
            expect.status(server.post(holds, json={"buyer": buyer, "seat": next(seats)}), 201, reason="hold-refused")
            return len(redis.clients())

        expect.eventually(
            connections,
            lambda now: now <= before + 3,
            within=5.0,
            reason="dead-clients-kept",
            what=f"the connections of your server at Redis ({before} before 15 listeners came, {with_them} with "
            "them) after all had"
            " gone away and more messages were sent",
        )
    evidence(
        f"Redis saw {before} connections of your server, {with_them} with 15 more listeners, and "
        f"{len(redis.clients())} after they had gone"
    )


@promises("live-gone")
def test_a_listener_that_is_gone_before_its_header(server, postgres, redis, make_buyer, make_event, evidence):
    """When listeners hang up while your server still asks PostgreSQL for the event, nobody goes on listening at Redis for them."""
    event, buyer, seats = make_event(seats=10_000), make_buyer(), iter(range(1, 10_001))
    path = f"/events/{event}/live"

    def listening():
        """Subscriptions of your server, and connections that wait for a stream, after one more message."""
        expect.status(server.post(f"/events/{event}/holds", json={"buyer": buyer, "seat": next(seats)}), 201, reason="hold-refused")
        return sum(
            sum(int(client.get(kind, 0)) for kind in ("sub", "psub", "ssub")) + ("b" in client.get("flags", ""))
            for client in redis.clients()
        )

    def usual():
        """What there is when a listener with a header has gone: it has not changed for half a second."""
        with server.stream(path) as one:
            one.drop()
        seen, since = listening(), time.monotonic()
        while time.monotonic() - since < 0.5:
            now = listening()
            seen, since = now, since if now == seen else time.monotonic()
        return seen

    before = usual()
    with postgres.as_learner() as keeper:
        keeper.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        server.parallel([Call("GET", path)] * EARLY, deadline=PATIENT, unanswered="keep")
    expect.eventually(
        listening,
        lambda now: now <= before,
        within=5.0,
        reason="dead-clients-kept",
        what=f"how often your server listens at Redis ({before} when a listener with a header had gone) after {EARLY} "
        "listeners had hung up while it asked PostgreSQL for the event, and more messages were sent",
    )
    evidence(f"{EARLY} listeners hung up before their header: your server listens {before} time(s) at Redis, as before")


@promises("get-events-live-404")
def test_no_event_has_no_live(server, fresh, evidence):
    """GET /events/ID/live of an event that does not exist is 404."""
    answer = server.get(f"/events/{fresh.name('none')}/live")
    expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
    evidence("an event that does not exist has no live")
