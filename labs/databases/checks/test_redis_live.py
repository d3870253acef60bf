"""redis/live: what happens to a seat reaches every listener, whichever instance of the server they are connected to."""

import contextlib

import pytest

from orchestrator.checks import Late, NoAnswer, expect, promises

CARRIERS = ("PUBLISH", "SPUBLISH", "XADD")
SETTLE = 0.3
"""Seconds a fresh stream is given, and in which nothing may come that was not asked for."""
MEET = (("hold", "shrink"), ("hold", "buy"), ("hold", "hold"), ("buy", "buy"), ("buy", "release"), ("release", "release"))
"""Requests about one seat that come at the same moment; the first one is held at each of its steps."""
NAMES = {"hold": "held", "release": "released", "buy": "sold"}
FEW, MANY = 6, 40
"""Steps of a sale, and of other requests, that are tried."""
SHRUNK = 1_000
"""Seats that are left by `shrink`, which takes away the seat that is asked for. Below it are those of the markers."""


@pytest.fixture
def hear(seat_of):
    """`hear(stream, name, seat, reason)`: the next message of the stream, within two seconds, is this one.

    `foreign`: a message (name, seat) that another event's listeners have just got.
    """
    heard = {}  # stream -> its last message

    def listen(stream, name, seat, reason, foreign=None):
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


def quiet(stream, what, reason, seconds=SETTLE):
    expect.equal([], [(event.name, event.data) for event in stream.none_within(seconds)], what, reason=reason)


@promises(
    "live-each-change", "live-soon", "live-header", "live-sold-only", "live-through-redis", "get-events-live-200"
)
def test_one_instance_hears_the_other(server, redis, make_buyer, two_alike, hear, evidence):
    """A hold, a release and a sale at one instance reach the listeners of another, once each."""
    twin = server.replica()
    (event, other), buyer = two_alike, make_buyer()
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
            for stream, which, seconds in ((here, event, SETTLE), (there, event, 0.05), (elsewhere, other, 0.05)):
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
def test_each_change_is_told_once(server, make_buyer, make_event, hear, fresh, evidence):
    """Each change of one seat is told, the same one a second time, too, and what changes nothing is not told."""
    event, first, second = make_event(), make_buyer(), make_buyer()
    holds, seat = f"/events/{event}/holds", fresh.integer(2, 90)

    def take(buyer):
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
        order = {"event": event, "seat": 1, "buyer": first}
        expect.status(server.post("/orders", json=order), 201, reason="sale-refused")
        hear(stream, "sold", 1, "change-not-told")
        expect.status(server.post("/orders", json=order), 409, reason="sold-twice", code="seat_sold")
        quiet(stream, "messages that came though nothing had changed", "message-too-many")
    evidence("nine changes, the same ones of one seat again and again, came once each and in order")


@promises("live-each-change", "live-sold-only", "row-taken-back", "seat-sold-once")
def test_a_seat_that_is_sold_again_is_told_again(server, postgres, make_buyer, make_event, sold, hear, evidence):
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


@promises("live-each-change", "key-same-answer")
def test_a_sale_whose_answer_was_lost_is_told(explore, server, make_buyer, make_event, seat_of, fresh, recovered, evidence):
    """When PostgreSQL has done a step of a sale and nobody heard of it: a sale that is answered with 201 is told."""
    event, seats = make_event(seats=1_000), iter(range(1, 1_001))

    with server.stream(f"/events/{event}/live") as stream:
        quiet(stream, "messages about nothing", "message-too-many")

        def prepare():
            """A sale with a key, now that the server has PostgreSQL again."""
            recovered("/buyers", lambda: {"name": fresh.name("buyer"), "balance_cents": 0}, 201)
            return {"event": event, "seat": next(seats), "buyer": make_buyer()}, {"Idempotency-Key": fresh.token()}

        def holds(case, answer):
            if getattr(answer, "status", None) != 201:
                return
            seat = case[0]["seat"]
            expect.eventually(
                lambda: [message.name for message in stream.none_within(0.1) if seat_of(message) == seat],
                ["sold"],
                within=2.0,
                what=f"the messages about seat {seat}, of which the sale was answered with 201",
                reason="change-not-told",
            )

        seen = explore.cut(
            lambda case: server.post("/orders", json=case[0], headers=case[1]),
            holds,
            answer="lost",
            prepare=prepare,
            services=("postgres",),
        )
    evidence(f"PostgreSQL's answer was lost after {seen} of a sale: each one that was answered with 201 was told")


@pytest.fixture
def asks(make_buyer, fresh):
    """`asks(event) -> {name: (ask, status, change)}`: what is done to a seat, the answer when it is done, and what that changes.

    `ask(server, case)`; a case has a `seat` and the `hold` that is there, or `None`. With a `buyer` and a `key`, too, each
    sale is the same one sent again. A change is of two numbers of messages: of `held`, less those of `released`, and of `sold`.
    """

    def of(event):
        path, buyer = f"/events/{event}", make_buyer()

        def buy(one, case):
            body = {"event": event, "seat": case["seat"], "buyer": case.get("buyer") or make_buyer()}
            if case["hold"] is not None:
                body["hold"] = case["hold"]
            return one.post("/orders", json=body, headers={"Idempotency-Key": case.get("key") or fresh.token()})

        return {
            "hold": (lambda one, case: one.post(f"{path}/holds", json={"seat": case["seat"], "buyer": buyer}), 201, (1, 0)),
            "release": (lambda one, case: one.delete(f"{path}/holds/{case['hold']}"), 204, (-1, 0)),
            "buy": (buy, 201, (0, 1)),
            "shrink": (lambda one, case: one.patch(path, json={"seats": SHRUNK}), 200, (0, 0)),
        }

    return of


@pytest.fixture
def told(seat_of, make_buyer, wait):
    """`told(stream, event, seat, by, enough) -> names`: of the messages that the stream has told of a seat, in their order.

    They are those that came before the hold of another seat, one up to SHRUNK, was told: it is made now, by this process.
    If they are not `enough(names)` by then, they are waited for. `by=None`: those that have come so far.
    """
    heard, buyer, others = {}, make_buyer(), iter(range(1, SHRUNK + 1))

    def take(messages):
        for message in messages:
            heard.setdefault(seat_of(message), []).append(message.name)

    def look(stream, event, seat, by, enough=bool):
        if by is not None:
            marker = next(others)
            answer = by.post(f"/events/{event}/holds", json={"seat": marker, "buyer": buyer})
            expect.status(answer, 201, reason="hold-refused")
            while marker not in heard:
                take([stream.next(deadline=2.5)])

        def came():
            if not enough(heard.get(seat, [])):
                take(stream.none_within(0.05))
            return enough(heard.get(seat, []))

        if not enough(heard.get(seat, [])):
            with contextlib.suppress(Late):
                wait.until(came, deadline=2.0, what="messages")
        return heard.get(seat, [])

    return look


@promises("live-changes-only", "live-each-change")
def test_what_is_refused_is_not_told(explore, server, twin, postgres, make_event, asks, told, evidence):
    """Two requests about a seat meet at two processes, at any step: what is done is told, and what is refused is not."""
    event, right, tried = make_event(seats=SHRUNK), {}, 0
    acts, seats = asks(event), iter(range(SHRUNK + 1, 2 * SHRUNK))

    def prepare(which):
        postgres.plant("UPDATE events SET seats = %s WHERE id::text = %s RETURNING id", [2 * SHRUNK, event])
        case = {"seat": next(seats), "hold": None}
        if "release" in which:
            answer = acts["hold"][0](server, case)
            expect.status(answer, 201, reason="hold-refused")
            case["hold"] = expect.field(answer, "hold", str, reason="answer-wrong")
        return case

    def numbers(names):
        """A hold that is taken back may be told so: then it was `held` and `released`."""
        return names.count("held") - names.count("released"), names.count("sold")

    def compare(stream, seat, by):
        due, words = right[seat]

        def enough(names):
            return all(one >= other for one, other in zip(numbers(names), due, strict=True))

        seen = numbers(told(stream, event, seat, by, enough))
        expect.equal(
            {"held": due[0], "sold": due[1]},
            {"held": seen[0], "sold": seen[1]},
            f"how many messages about seat {seat} were `held` (without those taken back by `released`) and `sold`, {words}",
            reason="refused-but-told" if any(one > other for one, other in zip(seen, due, strict=True)) else "change-not-told",
        )

    with server.stream(f"/events/{event}/live") as stream:
        quiet(stream, "messages about nothing", "message-too-many")
        for which in MEET:
            first, second = (acts[name][0] for name in which)

            def holds(case, *answers, which=which):
                if any(isinstance(answer, NoAnswer) or answer.status >= 500 for answer in answers):
                    return  # nobody knows what was done
                done = [acts[name][2] for name, one in zip(which, answers, strict=True) if one.status == acts[name][1]]
                before = 0 if case["hold"] is None else 1
                said = " and ".join(f"{one.status} to {name}" for name, one in zip(which, answers, strict=True))
                right[case["seat"]] = (
                    (before + sum(change[0] for change in done), sum(change[1] for change in done)),
                    f"after two requests at the same moment were answered with {said}",
                )
                compare(stream, case["seat"], server)

            tried += explore.interleave(
                lambda case, first=first: first(server, case), lambda case, second=second: second(twin, case), holds,
                prepare=lambda which=which: prepare(which), most=FEW if which[0] == "buy" else MANY, during=f"a second process of it was asked to {which[1]}",
            ).tried
        for place, seat in enumerate(right):  # what was late has come by now
            compare(stream, seat, None if place else twin)
    evidence(f"{len(MEET)} pairs of requests met at {tried} steps: what was done was told, and nothing else")


@promises("live-never-twice", "live-changes-only")
def test_a_change_whose_answer_was_lost_is_told_once(
    explore, server, twin, make_buyer, make_event, asks, told, fresh, recovered, evidence
):
    """When a store has done a step of a hold, a release or a sale and nobody heard of it, listeners hear of it once, or not."""
    event, beside, tried = make_event(seats=2 * SHRUNK), make_event(seats=SHRUNK), 0
    acts, seats, others, buyer = asks(event), iter(range(SHRUNK + 1, 2 * SHRUNK)), iter(range(1, SHRUNK + 1)), make_buyer()

    def prepare(what):
        """Now that the server has both stores again."""
        answer = recovered(f"/events/{beside}/holds", lambda: {"seat": next(others), "buyer": buyer}, 201)
        expect.status(answer, 201, reason="hold-refused")
        case = {"seat": next(seats), "hold": None, "buyer": make_buyer(), "key": fresh.token()}
        if what != "hold":
            answer = acts["hold"][0](server, case)
            expect.status(answer, 201, reason="hold-refused")
            case["hold"] = expect.field(answer, "hold", str, reason="answer-wrong")
        return case

    with twin.stream(f"/events/{event}/live") as stream:  # whose own connections stay whole
        quiet(stream, "messages about nothing", "message-too-many")

        def holds(what, case, answer):
            if what == "buy" and getattr(answer, "status", None) != 201:
                acts["buy"][0](twin, case)
            names, name = told(stream, event, case["seat"], twin, lambda _: True), NAMES[what]
            # A hold that was taken back, told so, and made again is two changes.
            times = names.count(name) - (names.count("released") if what == "hold" else 0)
            expect.at_most(
                1, times, f"how many messages `{name}` came about seat {case['seat']}", reason="told-twice",
            )

        for what, services in (("hold", ()), ("release", ("redis",)), ("buy", ("redis",))):
            tried += explore.cut(
                lambda case, what=what: acts[what][0](server, case),
                lambda case, answer, what=what: holds(what, case, answer),
                answer="lost", prepare=lambda what=what: prepare(what), services=services,
            ).tried
    evidence(f"the answer to {tried} steps of a hold, a release and a sale was lost: none was told twice")


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
