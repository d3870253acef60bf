"""redis/live: what happens to a seat reaches every listener, whichever instance of the server they are connected to."""

import contextlib
import json

import pytest

from orchestrator.checks import expect, promises

SETTLE = 0.3
"""Seconds a fresh stream is given, and in which nothing may come that was not asked for."""


def seat_of(event):
    """The seat in a message's data; something that is no such data, as it is, for the message of the failure."""
    try:
        return json.loads(event.data)["seat"]
    except (ValueError, TypeError, KeyError):
        return event.data


@pytest.fixture
def hear():
    """`hear(stream, name, seat, reason)`: the next message of the stream, within two seconds, is this one."""
    heard = {}  # stream -> its last message

    def listen(stream, name, seat, reason):
        try:
            event = stream.next(deadline=2.5)
        except Exception as error:
            if getattr(error, "reason", "") != "no-event":
                raise
            expect.fail(
                f"the live stream of an event of which seat {seat} was {name}",
                reason=reason,
                expected=f"event: {name} with the seat {seat} within 2 seconds",
                seen="nothing came",
            )
        seen = (event.name, seat_of(event))
        again = seen == heard.get(stream) and seen != (name, seat)
        expect.equal(
            (name, seat),
            seen,
            f"the next message of the live stream (event, seat){', which repeats the one before' if again else ''}",
            reason="message-too-many" if again else "message-wrong",
        )
        heard[stream] = seen

    return listen


def quiet(stream, what, reason, seconds=SETTLE):
    expect.equal([], [(event.name, event.data) for event in stream.none_within(seconds)], what, reason=reason)


@promises("live-each-change", "live-soon", "live-header", "live-sold-only", "get-events-live-200")
def test_one_instance_hears_the_other(server, make_buyer, make_event, hear, evidence):
    """A hold, a release and a sale at one instance reach the listeners of another, once each."""
    twin = server.replica()
    event, other, buyer = make_event(), make_event(), make_buyer()
    with server.stream(f"/events/{event}/live") as here, twin.stream(f"/events/{event}/live") as there:
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

        answer = twin.post(f"/events/{event}/holds", json={"seat": 12, "buyer": buyer})
        expect.status(answer, 201, reason="hold-refused")
        hear(there, "held", 12, "not-live")
        hear(here, "held", 12, "not-across-servers")
        hold = expect.field(answer, "hold", str, reason="answer-wrong")
        expect.status(server.delete(f"/events/{event}/holds/{hold}"), 204, reason="release-refused")
        hear(here, "released", 12, "not-live")
        hear(there, "released", 12, "not-across-servers")
        expect.status(
            server.post("/orders", json={"event": event, "seat": 13, "buyer": buyer}), 201, reason="sale-refused"
        )
        hear(here, "sold", 13, "not-live")
        hear(there, "sold", 13, "not-across-servers")

        expect.status(
            twin.post(f"/events/{other}/holds", json={"seat": 7, "buyer": buyer}), 201, reason="hold-refused"
        )
        for stream in (here, there):
            quiet(
                stream,
                "messages that came beside the three changes of this event (twice, or of another event)",
                "message-too-many",
            )
    expect.status(server.get("/events/none/live"), 404, reason="unknown-id-answer", code="not_found")
    evidence(
        "two instances of your server: held, released and sold reached the listeners of both, once each, through "
        "Redis"
    )


@promises("live-gone")
def test_a_listener_that_is_gone_costs_nothing(server, redis, make_buyer, make_event, hear, evidence):
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


@promises("get-events-live-404")
def test_no_event_has_no_live(server, fresh, evidence):
    """GET /events/ID/live of an event that does not exist is 404."""
    answer = server.get(f"/events/{fresh.name('none')}/live")
    expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
    evidence("an event that does not exist has no live")
