"""redis/live: what is told of requests that meet another one or lose an answer, at whatever step."""

import contextlib

import pytest

from orchestrator.checks import Late, NoAnswer, expect, promises

MEET = (("hold", "shrink"), ("hold", "buy"), ("hold", "hold"), ("buy", "buy"), ("buy", "release"), ("release", "release"))
"""Requests about one seat that come at the same moment; the first one is held at each of its steps."""
NAMES = {"hold": "held", "release": "released", "buy": "sold"}
FEW, MANY = 6, 40
"""Steps of a sale, and of other requests, that are tried."""
SHRUNK = 1_000
"""Seats that are left by `shrink`, which takes away the seat that is asked for. Below it are those of the markers."""


@promises("live-each-change", "key-same-answer")
def test_a_sale_whose_answer_was_lost_is_told(explore, server, make_buyer, make_event, seat_of, fresh, recovered, quiet, evidence):
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
def test_what_is_refused_is_not_told(explore, server, twin, postgres, make_event, asks, told, quiet, evidence):
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
    explore, server, twin, make_buyer, make_event, asks, told, fresh, recovered, quiet, evidence
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
