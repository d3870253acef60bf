"""redis/pipelining: a map of a hundred seats asks Redis about all of them at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import quote

from orchestrator.checks import Late, NoAnswer, expect, promises

SEATS, LIMIT = 100, 10
LARGE, AT_MOST = 10_100, 6
"""Seats of a map that is made in parts where a server makes any, and how many of its steps are tried."""
HUGE = 20_001
"""Seats of a map with which parts of up to 10,000 are more than two, and the last of one seat."""
LOCK = "LOCK TABLE events IN ACCESS EXCLUSIVE MODE"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'events'::regclass"


@promises("few-trips", "map-by-name", "get-events-seats-200", "seat-state", "key-of-others")
def test_a_hundred_seats_in_one_trip(server, redis, make_buyer, make_event, make_sale, fresh, evidence):
    """The map of a hundred seats is right, and Redis was read from a few times, not a hundred."""
    event, buyer = make_event(seats=SEATS), make_buyer()
    seats = fresh.shuffled(range(1, SEATS + 1))
    held, sold = set(seats[:30]), set(seats[30:34])
    texts = iter(("", "0", "false", "null"))  # a key is there whatever it holds
    for seat in sorted(held - {seats[0]}):
        redis.plant(f"hold:{event}:{seat}", next(texts, fresh.token()), px=100_000)
    expect.status(
        server.post(f"/events/{event}/holds", json={"seat": seats[0], "buyer": buyer}), 201, reason="hold-refused"
    )
    for seat in sold:
        make_sale(event, buyer, seat)
    path = f"/events/{event}/seats"

    server.get(path)
    trips = []
    for _ in range(3):
        with redis.reads() as reads:
            answer = server.get(path)
        expect.status(answer, 200, reason="map-refused")
        trips.append(reads.count)
    with redis.commands() as ran:
        server.get(path)

    items = expect.field(answer, "items", list, reason="answer-wrong")
    seen = [
        (
            expect.field(item, "seat", int, reason="answer-wrong"),
            expect.field(item, "state", str, reason="answer-wrong"),
        )
        for item in items
    ]
    expect.equal(list(range(1, SEATS + 1)), [seat for seat, _ in seen], "the seats of the map", reason="map-wrong")
    right = {seat: "sold" if seat in sold else "held" if seat in held else "free" for seat in range(1, SEATS + 1)}
    wrong = {seat: state for seat, state in seen if state != right[seat]}
    expect.equal(
        {seat: right[seat] for seat in wrong},
        wrong,
        "the seats whose state in the map is not what PostgreSQL and Redis have (seat: state)",
        reason="map-wrong",
    )
    expect.at_least(
        1, min(trips), "how often Redis had to read from its connections for one map", reason="not-from-redis"
    )
    expect.at_most(
        LIMIT,
        min(trips),
        f"how often Redis had to read from its connections for one map of {SEATS} seats (best of 3)",
        reason="too-many-trips",
    )

    expect.equal(
        [],
        sorted({"KEYS", "SCAN"} & ran.calls.keys()),
        "which commands that read through all keys Redis ran for one map",
        reason="keys-command",
    )

    redis.delete(f"hold:{event}:{seats[1]}")
    again = expect.field(server.get(path), "items", list, reason="answer-wrong")
    expect.equal(
        "free",
        expect.field(again[seats[1] - 1], "state", str, reason="answer-wrong"),
        "the state of a seat whose hold I took out of Redis",
        reason="map-wrong",
    )
    expect.status(server.get("/events/none/seats"), 404, reason="unknown-id-answer", code="not_found")
    evidence(f"Redis read from its connections {min(trips)} time(s) for a map of {SEATS} seats with {len(held)} held")


@promises("get-events-seats-200", "seat-state")
def test_the_smallest_map_and_one_that_grows(server, redis, postgres, make_event, fresh, evidence):
    """The map of one seat is right, and after a change of `seats` the map has as many as the row says."""
    event, path = make_event(seats=1), "/events/{}/seats"

    def states():
        answer = server.get(path.format(event))
        expect.status(answer, 200, reason="map-refused")
        return [item.get("state") for item in expect.field(answer, "items", list, reason="answer-wrong")]

    expect.equal(["free"], states(), "the map of an event with one seat", reason="map-wrong")
    redis.plant(f"hold:{event}:1", fresh.token(), px=60_000)
    expect.equal(["held"], states(), "the map of an event with one seat, which is held", reason="map-wrong")
    postgres.plant("UPDATE events SET seats = 3 WHERE id::text = %s RETURNING id", [event])
    redis.plant(f"hold:{event}:3", fresh.token(), px=60_000)
    expect.equal(
        ["held", "free", "held"],
        states(),
        "the map after I had set the event's `seats` to 3 with SQL, and held the last one",
        reason="map-wrong",
    )
    event = make_event(seats=2_001)  # a part of it that nobody asks about is free, whatever parts there are
    with redis.client.pipeline() as planting:
        for seat in range(1, 2_002):
            planting.set(f"hold:{event}:{seat}", fresh.token(), px=60_000)
        planting.execute()
    free = [seat for seat, state in enumerate(states(), 1) if state != "held"]
    expect.equal([], free, "which of 2001 seats are not `held` in the map, though each is", reason="map-wrong")
    evidence("the map of one held seat was right, and after an UPDATE of the event's row it had three")


@promises("map-never-free-between", "seat-state")
def test_a_sale_while_the_map_is_made(explore, server, redis, make_buyer, make_event, make_sale, fresh, evidence):
    """Between any two steps of the map, a small or a large one, its held seat is sold: in the map it is never free."""
    buyer = make_buyer()
    large, last = make_event(seats=LARGE), iter(range(LARGE, 0, -1))

    def prepare(event):
        event, seat = (event, next(last)) if event else (make_event(seats=SEATS), fresh.integer(1, SEATS))
        redis.plant(f"hold:{event}:{seat}", fresh.token(), px=60_000)
        return event, seat

    def sell(case):
        """The ticket is there, and then the hold ends: as a right server sells."""
        event, seat = case
        make_sale(event, buyer, seat)
        redis.delete(f"hold:{event}:{seat}")

    def holds(case, answer, _):
        event, seat = case
        if hasattr(answer, "status"):  # else it had to stand still for too long
            expect.status(answer, 200, reason="map-refused")
            item = expect.field(answer, "items", list, reason="answer-wrong")[seat - 1]
            state = expect.field(item, "state", str, reason="answer-wrong")
            expect.true(
                state in ("held", "sold"),
                f"the state of seat {seat} in the map of {LARGE if event == large else SEATS} seats, which was held and "
                "then sold",
                reason="free-between",
                expected="held or sold",
                seen=state,
            )

    seen = [
        explore.interleave(
            lambda case: server.get(f"/events/{case[0]}/seats"),
            sell,
            holds,
            prepare=lambda event=event: prepare(event),
            # Only who reads holds after tickets can be wrong: it is met before a step to Redis. Large maps take long.
            services=("redis",) if event == large else (),
            most=AT_MOST if event == large else SEATS,
            during="the held seat was sold",
        )
        for event in (None, large)
    ]
    evidence(
        f"a held seat was sold before {seen[0]} of the map of {SEATS} seats, and before {seen[1]} of that of {LARGE}: it "
        "was held or sold in it, each time"
    )


@promises("read-is-now", "seat-state", "map-never-free-between", "get-events-seats-200")
def test_a_map_of_an_event_that_changes_its_size(
    explore, server, redis, make_buyer, make_event, make_sale, fresh, evidence
):
    """Between any two steps of the map its event gets more seats, or fewer: it is the map of before, or the one of after, whole."""
    buyer, few, many = make_buyer(), 5, 10
    right = dict.fromkeys(range(1, many + 1), "free") | {2: "held", 3: "sold", 8: "held"}

    def change(event, seats):
        expect.status(server.patch(f"/events/{event}", json={"seats": seats}), 200, reason="change-refused")

    def prepare(seats):
        """An event of so many seats, which had all of them once: no PATCH ends a hold."""
        event = make_event(seats=many)
        for seat in (2, 8, 9):
            redis.plant(f"hold:{event}:{seat}", fresh.token(), px=60_000)
        make_sale(event, buyer, 3)
        if seats != many:
            change(event, seats)
        return event

    def grow(event):
        """Seat 9 is there again, held; and then it is sold, as a right server sells."""
        change(event, many)
        make_sale(event, buyer, 9)
        redis.delete(f"hold:{event}:9")

    def holds(_case, answer, _, words):
        if not hasattr(answer, "status"):
            return  # it had to stand still for too long
        expect.status(answer, 200, reason="map-refused")
        items = expect.field(answer, "items", list, reason="answer-wrong")
        seen = {item.get("seat"): item.get("state") for item in items}
        # What holds there are of seats beyond the last one may be listed, too.
        whole = any(state == "free" for seat, state in seen.items() if seat > few) or len(seen) == many
        nine = "sold" if seen.get(9) == "sold" else "held"
        expect.equal(
            {seat: state for seat, state in (right | {9: nine}).items() if whole or seat <= few or seat in seen},
            seen,
            f"the map (seat: state) of an event that got {words} while it was made; seat 2 is held, 3 is sold, 8 is held all the "
            "time, 9 is held or sold",
            reason="map-of-two-sizes",
        )

    tried = [
        explore.interleave(
            lambda event: server.get(f"/events/{event}/seats"),
            act,
            lambda case, answer, done, words=words: holds(case, answer, done, words),
            prepare=lambda seats=seats: prepare(seats),
            during=f"the event got {words}",
        ).tried
        for seats, act, words in (
            (few, grow, f"{many} seats instead of {few}"),
            (many, lambda event: change(event, few), f"{few} seats instead of {many}"),
        )
    ]
    evidence(f"an event grew before {tried[0]} and shrank before {tried[1]} steps of its map: the map was of one size, each time")


@promises("map-never-free-between", "seat-state", "get-events-seats-200")
def test_a_new_seat_is_sold_while_the_map_is_made(
    explore, server, redis, postgres, wait, make_buyer, make_event, make_sale, fresh, evidence
):
    """While the map is made its event gets more seats, a new one is held, and then sold: in the map it is never free."""
    buyer, few, many, seat = make_buyer(), 5, 10, 8
    grown = set()

    def until(number, asked):
        """So many sessions wait for the table of events, or the map is made."""
        with suppress(Late):
            wait.until(lambda: asked.done() or postgres.value(WAITING) >= number, deadline=2.0, what="a wait for the events")

    def grows(event):
        """A map: when it looks at the events for the second time, its event has more seats, and a new one is held."""
        with postgres.as_learner() as once, postgres.as_learner() as twice, ThreadPoolExecutor(2) as beside:
            once.execute(LOCK)
            asked = beside.submit(server.get, f"/events/{event}/seats")
            until(1, asked)
            behind = beside.submit(twice.execute, LOCK)  # right behind the first look, and before the next one
            until(2, asked)
            once.commit()
            behind.result()
            until(1, asked)
            twice.execute("UPDATE events SET seats = %s WHERE id::text = %s", [many, event])
            redis.plant(f"hold:{event}:{seat}", fresh.token(), px=60_000)
            twice.commit()
            grown.add(event)
            return asked.result()

    def sell(event):
        """The ticket is there, and then the hold ends: as a right server sells."""
        if event in grown:
            make_sale(event, buyer, seat)
            redis.delete(f"hold:{event}:{seat}")

    def holds(event, answer, _):
        if getattr(answer, "status", 503) == 503:
            return  # it had to stand still, or to wait for the lock, for too long
        expect.status(answer, 200, reason="map-refused")
        items = expect.field(answer, "items", list, reason="answer-wrong")
        state = {item.get("seat"): item.get("state") for item in items}.get(seat)
        expect.true(
            len(items) <= few or state in ("held", "sold"),
            f"the state of seat {seat} in the map: its event had got {many} seats instead of {few}, and this one was held, "
            "between its first look at the event and the second one, and after that it was sold",
            reason="free-between",
            expected=f"held or sold, or the map of {few} seats",
            seen=state,
        )

    tried = explore.interleave(
        grows, sell, holds, prepare=lambda: make_event(seats=few), services=("redis",),
        during="the new seat was sold",
    )
    evidence(f"an event grew while its map was made, and its new seat was sold before {tried} of it: it was never free")


@promises("read-is-now", "seat-state", "get-events-seats-200", "key-of-others")
def test_two_maps_at_the_same_moment(explore, server, redis, make_buyer, make_event, make_sale, fresh, evidence):
    """Between two steps of a map its seats change, and the same process is asked for a map again: that one is new, and its event's."""
    buyer = make_buyer()

    def prepare():
        """Two events; of each the first seat is held."""
        events = make_event(seats=4), make_event(seats=3)
        for event in events:
            redis.plant(f"hold:{event}:1", fresh.token(), px=60_000)
        return events

    def changed(event):
        """The first seat is released, the second one held, the third one sold; and then its map."""
        redis.delete(f"hold:{event}:1")
        redis.plant(f"hold:{event}:2", fresh.token(), px=60_000)
        make_sale(event, buyer, 3)
        return server.get(f"/events/{event}/seats")

    def look(which, answers=False):
        def holds(events, _, answer):
            if hasattr(answer, "status"):  # else it had to stand still for too long
                expect.status(answer, 200, reason="map-refused")
                items = expect.field(answer, "items", list, reason="answer-wrong")
                expect.equal(
                    ["free", "held", "sold", "free"][: 3 if which else 4],
                    [expect.field(item, "state", str, reason="answer-wrong") for item in items],
                    f"the map of event {events[which]}, asked for when its seats were like that, while a map of event "
                    f"{events[0]} was under way at the same process",
                    reason="anothers-answer",
                )

        return explore.interleave(
            lambda events: server.get(f"/events/{events[0]}/seats"), lambda events: changed(events[which]), holds,
            prepare=prepare, during="seats were released, held and sold, and the same process was asked for a map again",
            answers=answers,
        ).tried

    tried = look(0) + look(1) + look(0, answers=True)
    evidence(f"a map was asked for before or after {tried} steps of another one: it had what had been done before it")


@promises("seat-state", "get-events-seats-200", "get-events-seats-503")
def test_a_map_whose_connection_breaks(explore, server, redis, make_buyer, make_event, recovered, fresh, evidence):
    """When the connection to Redis breaks in the middle of a large map, the map is right, or there is none."""
    buyer, event, beside = make_buyer(), make_event(seats=HUGE), make_event(seats=1_000)
    right, seats = {5, 10_005, 15_000, HUGE}, iter(range(1, 1_000))
    for seat in right:
        redis.plant(f"hold:{event}:{seat}", fresh.token(), px=100_000)

    def prepare():
        """Now that the server has Redis again."""
        answer = recovered(f"/events/{beside}/holds", lambda: {"seat": next(seats), "buyer": buyer}, 201)
        expect.status(answer, 201, reason="hold-refused")

    def holds(_, answer):
        if isinstance(answer, NoAnswer):
            return
        if answer.status != 200:
            expect.status(answer, 500, 503, reason="map-refused", code=("internal", "unavailable"))
            return
        items = expect.field(answer, "items", list, reason="answer-wrong")
        what = f"of a map of {HUGE} seats whose connection to Redis was cut while it was made"
        expect.equal(HUGE, len(items), f"how many seats there are {what}", reason="map-wrong")
        held = [seat for seat, item in enumerate(items, 1) if item.get("state") != "free"]
        expect.equal(sorted(right), held, f"which seats are held {what}", reason="map-wrong")

    tried = explore.cut(
        lambda _: server.get(f"/events/{event}/seats"), holds, prepare=prepare, services=("redis",), most=AT_MOST
    )
    prepare()  # so the next check, too, finds a server that has Redis
    evidence(f"the connection to Redis was cut at {tried} of a map of {HUGE} seats: it was right, or refused")


@promises("one-spelling", "seat-state")
def test_one_event_has_one_map(server, redis, make_event, spellings, fresh, evidence):
    """An event's id that is spelled otherwise, such as 07 for 7, is no event, or has the same map."""
    *_, event = [make_event(seats=3) for _ in range(10)]
    redis.plant(f"hold:{event}:2", fresh.token(), px=60_000)
    tried = spellings(event)
    for text in tried:
        path = f"/events/{quote(text, safe='')}/seats"
        answer = server.get(path)
        expect.status(answer, 404, 200, reason="unknown-id-answer")
        if answer.status == 200:
            seen = [
                expect.field(item, "state", str, reason="answer-wrong")
                for item in expect.field(answer, "items", list, reason="answer-wrong")
            ]
            expect.equal(["free", "held", "free"], seen, f"the map of GET {path}", reason="map-wrong")
    evidence(f"{len(tried)} other spellings of the id {event} are no event, or the same")


@promises("get-events-seats-404")
def test_no_event_has_no_seats(server, fresh, evidence):
    """GET /events/ID/seats of an event that does not exist is 404."""
    answer = server.get(f"/events/{fresh.name('none')}/seats")
    expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
    evidence("an event that does not exist has no seats")
