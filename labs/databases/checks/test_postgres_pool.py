"""postgres/pool: few connections for many requests, a quick "503" while PostgreSQL is away, and a way back."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.checks import Call, NoAnswer, expect, promises

POOL_MAX = 8  # DB_POOL_MAX of lab.toml
SPARE = 2
SALE = (
    "WITH sale AS (INSERT INTO orders (event_id, buyer_id, seat, price_cents) VALUES (%s, %s, %s, %s)"
    " RETURNING id, event_id, seat)"
    " INSERT INTO tickets (order_id, event_id, seat) SELECT id, event_id, seat FROM sale"
)
EVENT = "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, %s, %s)"
PATIENCE = 0.9  # seconds for which a request waits for a connection here; the brief says a second
KEPT = 1.8  # seconds after which the connections are still the same ones
LOCKED = 0.7  # seconds for which sales wait for a row; a request must wait for a connection that long, and a bit more


@pytest.fixture
def stuck(postgres, make_buyer, make_event):
    """`stuck(server, count, meanwhile, reason, more=()) -> answers`: sales that wait for a row, and with them their connections.

    A session of the checker has the rows of `count` buyers, each of whom buys; `more` are calls that come when
    PostgreSQL shows the first of them waiting. `meanwhile(waiting)` runs while nothing moves, with a function that says
    how many sessions wait; then the rows are free. The answers come in this order, `NoAnswer` where there is none.
    `reason`: why the check fails when no sale comes as far as PostgreSQL.
    """

    def waiting():
        return sum(session.state == "active" for session in postgres.sessions())

    def run(server, count, meanwhile, reason, more=()):
        event, buyers = make_event(seats=1_000), [make_buyer() for _ in range(count)]
        sales = [Call("POST", "/orders", json={"event": event, "seat": 1 + i, "buyer": b}) for i, b in enumerate(buyers)]
        answers = {}

        def ask(name, calls):
            answers[name] = server.parallel(calls, at_once=len(calls), deadline=10.0, unanswered="keep")

        threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in (("sales", sales), ("more", more))]
        with postgres.as_learner() as keeper:
            keeper.execute("SELECT FROM buyers WHERE id::text = ANY(%s) ORDER BY id FOR UPDATE", [buyers])
            threads[0].start()
            expect.eventually(
                waiting,
                lambda seen: seen > 0,
                within=3.0,
                reason=reason,
                what="how many sessions of your server wait at PostgreSQL for a buyer's row that the check has locked, "
                "while that buyer buys",
            )
            threads[1].start()
            meanwhile(waiting)
        for thread in threads:
            thread.join()
        return [*answers["sales"], *answers["more"]]

    return run


def crowd(fresh, count, event, buyers):
    """`count` requests of a busy evening: pages, events, buyers, and a sale now and then."""
    calls = []
    for number in range(count):
        kind = number % 4
        if kind == 3 and number // 4 < len(buyers):
            calls.append(
                Call("POST", "/orders", json={"event": event, "seat": number + 1, "buyer": buyers[number // 4]})
            )
        else:
            path = (
                "/events?limit=10",
                f"/events/{event}",
                f"/buyers/{fresh.choice(buyers)}",
                f"/orders?buyer={fresh.choice(buyers)}",
            )[kind]
            calls.append(Call("GET", path))
    return calls


@promises("pool-size", "pool-waits")
def test_two_hundred_requests_few_connections(server, postgres, fresh, make_buyer, make_event, evidence):
    """Two hundred requests at once are all answered, through no more sessions than DB_POOL_MAX and a few."""
    event, buyers = make_event(seats=1_000), [make_buyer() for _ in range(20)]
    server.get("/events")
    before = postgres.sessions_opened()
    answers = server.parallel(crowd(fresh, 200, event, buyers), at_once=200)
    for _ in range(2 * (POOL_MAX + SPARE)):
        server.get("/health")  # whatever it says: it has no connections of its own
    opened = postgres.sessions_opened() - before
    expect.at_most(
        POOL_MAX + SPARE,
        opened,
        f"how many sessions your server opened at PostgreSQL for 200 requests, and {2 * (POOL_MAX + SPARE)} GET /health one "
        f"after the other (DB_POOL_MAX is {POOL_MAX})",
        reason="too-many-sessions",
    )
    for answer in answers:
        expect.status(answer, 200, 201, reason="refused-under-load")

    with postgres.limit_connections(POOL_MAX + SPARE):
        more = server.parallel(crowd(fresh, 100, make_event(seats=1_000), buyers), at_once=100)
    for answer in more:
        expect.status(answer, 200, 201, reason="too-many-sessions")
    evidence(
        f"200 requests opened {opened} sessions at PostgreSQL; 100 more were answered while it allowed your role "
        f"no more than {POOL_MAX + SPARE}"
    )


@promises("pool-size", "pool-waits", "get-health-200", "health-postgres")
def test_the_pool_is_as_large_as_asked(server, postgres, stuck, evidence):
    """With DB_POOL_MAX=3, three sales at most wait for rows at PostgreSQL; all others wait for them, and are answered."""
    small, at_most = server.replica(env={"DB_POOL_MAX": "3"}), 3 + SPARE
    seen, before = [], postgres.sessions_opened()

    def meanwhile(waiting):
        end = time.monotonic() + LOCKED
        while time.monotonic() < end:  # how many there are in the end: a pool may open them one by one
            seen.append(waiting())

    reads = [Call("GET", "/events"), Call("GET", "/orders", params={"buyer": "none"})] * 2
    health = [Call("GET", "/health")] * 2 * at_most
    answers = stuck(small, 12, meanwhile, "refused-under-load", more=[*reads, *health])
    expect.at_most(
        at_most,
        max(seen),
        "how many sessions of a server with DB_POOL_MAX=3 worked at PostgreSQL at the same moment",
        reason="too-many-sessions",
    )
    opened = postgres.sessions_opened() - before
    expect.at_most(
        at_most,
        opened,
        f"how many sessions a server with DB_POOL_MAX=3 opened at PostgreSQL while sales had all of them, and {len(reads)} reads "
        f"and {len(health)} GET /health came",
        reason="too-many-sessions",
    )
    for answer in answers:
        expect.true(
            not isinstance(answer, NoAnswer) and answer.status in (200, 201),
            f"the answers to 12 sales, {len(reads)} reads and {len(health)} GET /health; three sales had a connection and waited "
            f"{LOCKED} s for a row that somebody had locked",
            reason="refused-under-load",
            expected="201 and 200, as soon as the row is free",
            seen=str(getattr(answer, "status", "no answer")),
        )
    for answer in answers[-len(health):]:
        said = expect.field(answer, "postgres", str, reason="health-wrong")
        expect.equal("up", said, "what GET /health says of `postgres` when it had to wait for a connection", "health-wrong")
    evidence(
        f"with DB_POOL_MAX=3, at most {max(seen)} of 12 sales waited at PostgreSQL at once, and {opened} sessions were opened; "
        "all were answered when the rows were free"
    )


@promises("pool-waits", "pool-size")
def test_a_request_waits_for_a_connection(server, postgres, wait, make_buyer, evidence):
    """With DB_POOL_MAX=3, a request whose turn comes after 0.9 s is answered, and the three connections are kept."""
    places, buyers = 3, [make_buyer() for _ in range(15)]
    small = server.replica(env={"DB_POOL_MAX": str(places)})
    calls, began = [Call("GET", f"/buyers/{buyer}") for buyer in buyers], time.monotonic()

    def read():
        return small.parallel(calls, at_once=len(calls), deadline=5.0, unanswered="keep")

    def sessions():
        return {session.pid for session in postgres.sessions()}

    def pause(until):
        wait.until(lambda: time.monotonic() - began >= until, deadline=until + 1.0, every=0.01, what="the time")

    # Two sessions have the table one after the other: whoever has a connection waits half the time, everybody else all of it.
    with postgres.as_learner() as one, postgres.as_learner() as two, ThreadPoolExecutor(2) as beside:
        one.execute("LOCK TABLE buyers")
        reads = beside.submit(read)
        wait.until(
            lambda: reads.done() or sum(session.state == "active" for session in postgres.sessions()) >= places,
            deadline=3.0,
            what="requests that wait at PostgreSQL",
        )
        following = beside.submit(two.execute, "LOCK TABLE buyers")
        pause(PATIENCE / 2)
        one.rollback()
        following.result()
        pause(PATIENCE)
        two.rollback()
        answers = reads.result()
    said = [str(getattr(answer, "status", "no answer")) for answer in answers]
    expect.equal(
        ["200"] * len(calls),
        said,
        f"the answers to {len(calls)} reads at once of a server with DB_POOL_MAX={places}; the table was locked, so that none "
        f"was done for {PATIENCE} s and each connection had one that waited for half of that",
        reason="refused-under-load",
    )
    before = sessions()
    pause(KEPT)
    for _ in range(3):
        read()
    more = len(sessions() - before)
    expect.at_most(
        1,
        more,
        f"how many new sessions a server with DB_POOL_MAX={places} has at PostgreSQL {KEPT:g} s after its first requests, though "
        "it had all of them before and nothing broke",
        reason="too-many-sessions",
    )
    evidence(f"with DB_POOL_MAX={places}, {len(calls)} reads waited up to {PATIENCE} s and were answered; {more} new sessions after that")


@promises("pool-waits", "pool-one-each")
def test_each_route_needs_one_connection(server, postgres, wait, fresh, make_buyer, make_event, make_sale, evidence):
    """Twice as many requests of a kind as there are connections, for each kind: one connection each is enough for all."""
    places = 2
    many, small = range(2 * places), server.replica(env={"DB_POOL_MAX": str(places)}, wait=False)
    event, sold_out, buyer, headers = make_event(), make_event(), make_buyer(), {"Idempotency-Key": fresh.token()}
    make_sale(sold_out, buyer, 9)
    new = {"name": "Solo", "venue": fresh.name("venue"), "starts_at": fresh.time(), "seats": 10, "price_cents": 100}
    make_event(venue=new["venue"], starts_at=new["starts_at"])

    def sale(buyer, seat):
        return {"event": event, "seat": seat, "buyer": buyer}

    def each(method, path, status, body=None, **more):
        """A kind: what it is called, its requests, and the status that is right for each. `body(place)`: of one of them."""
        return method, [Call(method, path, json=body and body(place), **more) for place in many], status

    def of_its_own(method, status, body=None):
        """A kind whose requests are for an event each."""
        return method, [Call(method, f"/events/{make_event()}", json=body) for _ in many], status

    kinds = {
        "a buyer": each("GET", f"/buyers/{buyer}", 200),
        "a list of events": each("GET", "/events", 200),
        "an event": each("GET", f"/events/{event}", 200),
        "a list of orders": each("GET", "/orders", 200, params={"buyer": buyer}),
        "the server's health": each("GET", "/health", 200),
        "a new buyer": each("POST", "/buyers", 201, lambda _: {"name": fresh.name("buyer"), "balance_cents": 100}),
        "a new event": each("POST", "/events", 201, lambda _: {**new, "venue": fresh.name("venue")}),
        "an event that is there already": each("POST", "/events", 409, lambda _: new),
        "a change": of_its_own("PATCH", 200, {"seats": 50, "price_cents": 5}),
        "a change that takes a sold seat away": each("PATCH", f"/events/{sold_out}", 409, lambda _: {"seats": 2}),
        "a sale": each("POST", "/orders", 201, lambda place: sale(make_buyer(), 1 + place)),
        "the same sale with one key": each("POST", "/orders", 201, lambda _: sale(buyer, 20), headers=headers),
        "a sale of a seat that is sold": each("POST", "/orders", 409, lambda _: {**sale(buyer, 9), "event": sold_out}),
        "a deletion": of_its_own("DELETE", 204),
        "a deletion of an event that has sold": each("DELETE", f"/events/{sold_out}", 409),
    }
    answers = {}
    small.get("/health")  # it has started, and has its tables
    with postgres.as_learner() as keeper:
        for kind, (method, calls, status) in kinds.items():
            # Whoever has a connection waits with its first look at a table, so that no other one is free then.
            keeper.execute("LOCK TABLE buyers, events, orders, tickets")

            def ask(kind=kind, calls=calls):
                answers[kind] = small.parallel(calls, at_once=len(calls), deadline=5.0, unanswered="keep")

            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            soon = time.monotonic() + (0.0 if calls[0].path == "/health" else 0.5)
            wait.until(
                lambda soon=soon: time.monotonic() > soon or sum(one.state == "active" for one in postgres.sessions()) >= places,
                deadline=3.0,
                what="requests that wait at PostgreSQL",
            )
            keeper.rollback()
            asking.join()
            said = [str(getattr(answer, "status", "no answer")) for answer in answers[kind]]
            expect.equal(
                [str(status)] * len(calls),
                said,
                f"the answers to {len(calls)} requests at once for {kind} ({method} {calls[0].path}), of a server with "
                f"DB_POOL_MAX={places} (all tables were locked until each connection waited, and then free)",
                reason="refused-under-load",
            )
    evidence(f"with DB_POOL_MAX={places}, {len(many)} requests at once of each of {len(kinds)} kinds were answered")


@pytest.fixture
def refusals(server, postgres, make_buyer, make_event, make_sale, fresh):
    """`refusals() -> {kind: (call, status, code)}`: what is refused, or answered again, for each reason that there is."""

    def make():
        event, elsewhere, rich, poor, full = make_event(), make_event(), make_buyer(), make_buyer(1), make_buyer()
        gone_event, gone_buyer, headers = make_event(), make_buyer(), {"Idempotency-Key": fresh.token()}
        postgres.plant("DELETE FROM events WHERE id::text = %s RETURNING id", [gone_event])
        postgres.plant("DELETE FROM buyers WHERE id::text = %s RETURNING id", [gone_buyer])
        for seat in (1, 2, 3, 4):
            make_sale(event, full, seat)
        taken = {"venue": fresh.name("venue"), "starts_at": fresh.time()}
        make_event(**taken)
        there = {"name": fresh.name("event"), "seats": 10, "price_cents": 100, **taken}
        bought = {"event": elsewhere, "seat": 5, "buyer": rich}
        expect.status(server.post("/orders", json=bought, headers=headers), 201, reason="sale-refused")

        def sale(**fields):
            return Call("POST", "/orders", json={"event": event, "seat": 9, "buyer": rich, **fields})

        return {
            "an event that does not exist": (Call("GET", f"/events/{gone_event}"), 404, "not_found"),
            "a buyer who does not exist": (Call("GET", f"/buyers/{gone_buyer}"), 404, "not_found"),
            "a buyer without a name": (Call("POST", "/buyers", json={"balance_cents": 5}), 422, "invalid"),
            "an event that is there already": (Call("POST", "/events", json=there), 409, "event_exists"),
            "an event without seats": (Call("POST", "/events", json={**there, "seats": 0}), 422, "invalid"),
            "a change of an event that does not exist":
                (Call("PATCH", f"/events/{gone_event}", json={"price_cents": 5}), 404, "not_found"),
            "a change that takes a sold seat away": (Call("PATCH", f"/events/{event}", json={"seats": 2}), 409, "seats_sold"),
            "a change into an event that is there already":
                (Call("PATCH", f"/events/{elsewhere}", json=taken), 409, "event_exists"),
            "a deletion of an event that does not exist": (Call("DELETE", f"/events/{gone_event}"), 404, "not_found"),
            "a deletion of an event that has sold": (Call("DELETE", f"/events/{event}"), 409, "seats_sold"),
            "a sale of an event that does not exist": (sale(event=gone_event), 422, "invalid"),
            "a sale to a buyer who does not exist": (sale(buyer=gone_buyer), 422, "invalid"),
            "a sale of a seat that does not exist": (sale(seat=101), 422, "invalid"),
            "a sale of a seat that is sold": (sale(seat=1), 409, "seat_sold"),
            "a sale to a buyer without money": (sale(buyer=poor), 402, "balance_too_low"),
            "a fifth ticket": (sale(buyer=full), 409, "limit_4"),
            "a sale that is answered again": (Call("POST", "/orders", json=bought, headers=headers), 201, None),
            "a key with another order":
                (Call("POST", "/orders", json={**bought, "seat": 6}, headers=headers), 409, "key_reused"),
        }

    return make


@promises("pool-one-each", "pool-waits")
def test_a_refusal_needs_no_second_connection(
    server, postgres, wait, refusals, make_buyer, make_event, fresh, evidence
):
    """With a pool of one connection each refusal comes as always, also one that PostgreSQL says only after a wait."""
    small, kinds = server.replica(env={"DB_POOL_MAX": "1"}, wait=False), refusals()
    event, unsold, other, buyer, rival = make_event(), make_event(), make_event(), make_buyer(), make_buyer()
    place, elsewhere = ({"venue": fresh.name("venue"), "starts_at": fresh.time()} for _ in range(2))
    new = {"name": fresh.name("event"), "seats": 10, "price_cents": 100, **place}
    sale = {"event": event, "seat": 7, "buyer": buyer}
    # What each waits for: a row that the check's own session has written, and commits when somebody waits.
    late = {
        "a sale of a seat that is being sold": (Call("POST", "/orders", json=sale), SALE, [event, rival, 7, 100], "seat_sold"),
        "an event that is being made":
            (Call("POST", "/events", json=new), EVENT, [new["name"], *place.values(), 10, 100], "event_exists"),
        "a change into an event that is being made":
            (Call("PATCH", f"/events/{other}", json=elsewhere), EVENT, [new["name"], *elsewhere.values(), 9, 100], "event_exists"),
        "a deletion of an event of which a seat is being sold":
            (Call("DELETE", f"/events/{unsold}"), SALE, [unsold, rival, 7, 100], "seats_sold"),
    }

    def ask(call):
        return small.parallel([call], deadline=3.0, unanswered="keep")[0]

    def judge(kind, answer, status, code):
        said = str(getattr(answer, "status", "no answer"))
        expect.equal(
            str(status),
            said,
            f"the answer to a request for {kind}, alone at a server with DB_POOL_MAX=1",
            reason="refused-under-load",
        )
        if code:
            expect.status(answer, status, reason="refusal-wrong", code=code)

    for kind, (call, status, code) in kinds.items():
        judge(kind, ask(call), status, code)
    for kind, (call, sql, values, code) in late.items():
        with postgres.as_learner() as keeper, ThreadPoolExecutor(1) as beside:
            keeper.execute(sql, values)
            asked = beside.submit(ask, call)
            wait.until(
                lambda asked=asked: asked.done() or postgres.value("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"),
                deadline=4.0,
                every=0.005,
                what="a request that waits for a row of somebody else's",
            )
            keeper.commit()
            judge(kind, asked.result(), 409, code)
    evidence(
        f"with DB_POOL_MAX=1 each of {len(kinds)} kinds of requests was refused, or answered again, and {len(late)} that had to "
        "wait for a row of the check's own"
    )


@promises("pool-size", "pool-clean", "next-sale-works")
def test_a_refused_request_gives_its_connection_back(server, twin, make_buyer, make_event, refusals, trap, evidence):
    """More refused and repeated requests of each kind than there are connections, and none is lost to them."""
    kinds, rich = refusals(), make_buyer()
    for kind, (call, _, _) in kinds.items():
        answers = server.parallel([call] * (POOL_MAX + 1), at_once=1, deadline=3.0, unanswered="keep")
        after = server.parallel([Call("GET", f"/buyers/{rich}")], deadline=3.0, unanswered="keep")
        said = [str(getattr(one, "status", "no answer")) for one in (*answers, *after)]
        expect.true(
            not {"503", "no answer"} & set(said),
            f"the answers to {POOL_MAX + 1} requests for {kind}, one after the other, and to a read after them",
            reason="connection-kept",
            expected="an answer to each, since PostgreSQL is up and nothing else is asked",
            seen=", ".join(said),
        )

    broken = make_event()
    trap("orders", broken)
    sale = Call("POST", "/orders", json={"event": broken, "seat": 9, "buyer": rich})
    answers = server.parallel([sale] * (POOL_MAX + 1), at_once=1, deadline=3.0, unanswered="keep")
    after = server.parallel([Call("GET", f"/buyers/{rich}")], deadline=3.0, unanswered="keep")
    said = [str(getattr(one, "status", "no answer")) for one in (*answers, *after)]
    expect.true(
        "no answer" not in said and said[-1] == "200",
        f"the answers to {POOL_MAX + 1} sales, in each of which PostgreSQL raised an error, and to a read after them",
        reason="connection-kept",
        expected="an error each time, and 200 for the read",
        seen=", ".join(said),
    )

    calls = [sale, *(call for call, _, _ in kinds.values())]
    events = {call.path.split("/")[2] for call in calls if call.path.startswith("/events/")}
    events |= {call.json["event"] for call in calls if call.path == "/orders"}
    buyers = {call.json["buyer"] for call in calls if call.path == "/orders"}
    free = [Call("PATCH", f"/events/{event}", json={"price_cents": 7}) for event in sorted(events)]
    free += [Call("POST", "/orders", json={"event": make_event(price_cents=0), "seat": 1, "buyer": one}) for one in sorted(buyers)]
    twin.get("/health")  # it has started
    for where, one in (("your server", server), ("a second process of it", twin)):
        for call in free:
            what = f"{call.method} {call.path} at {where}, after requests that were refused and named the same event or buyer"
            body = {**call.json, "seat": 1 + (one is twin)} if call.path == "/orders" else call.json

            def ask(one=one, call=call, body=body):
                return one.request(call.method, call.path, json=body)

            # Who has to wait for a lock that nobody frees is answered 503 within 2 seconds, or not at all.
            answer = expect.within(2.5, ask, what=what, reason="left-behind")
            expect.true(answer.status not in (500, 503), f"the answer to {what}", "left-behind", "200 or 201", answer.status)
    evidence(
        f"{POOL_MAX + 1} requests of each of {len(kinds) + 1} kinds were refused or repeated: no connection was lost to them, and "
        f"{len(free)} of their events and buyers could be changed elsewhere"
    )


@promises("pool-dead-connection", "back-again")
def test_connections_that_break_together_leave_their_places(
    server, fault, stuck, make_buyer, make_event, evidence
):
    """When all connections are cut while requests use them, as many new ones take their places."""
    buyers, cut = [make_buyer() for _ in range(POOL_MAX)], []

    def meanwhile(waiting):
        expect.eventually(
            waiting,
            lambda seen: seen >= POOL_MAX or time.monotonic() > soon,
            within=3.0,
            reason="no-recovery",
            what=f"how many of {POOL_MAX} sales wait for a row",
        )
        cut.append(waiting())
        fault.cut("postgres")

    def all_answered():
        calls = [Call("GET", f"/buyers/{buyer}") for buyer in buyers]
        answers = server.parallel(calls, at_once=POOL_MAX, deadline=3.0, unanswered="keep")
        return sorted({getattr(answer, "status", "no answer") for answer in answers}, key=str)

    def works(when):
        expect.eventually(
            all_answered,
            [200],
            within=3.0,
            reason="no-recovery",
            what=f"the answers to {POOL_MAX} reads at once after all connections to PostgreSQL were cut {when} (your "
            "server was not restarted)",
        )

    for times in ("once", "twice"):  # a pool that keeps a connection for itself loses the last one in the second round
        soon = time.monotonic() + 1.0
        for answer in stuck(server, POOL_MAX, meanwhile, "no-recovery"):
            if not isinstance(answer, NoAnswer) and answer.status != 201:
                expect.status(answer, 500, 503, reason="cut-answer", code=("internal", "unavailable"))
        works(f"in the middle of sales, {times}")

    # All were back in the pool, so each sale finds a dead one with its first statement.
    fault.cut("postgres")
    event = make_event()
    sales = [Call("POST", "/orders", json={"event": event, "seat": 1 + i, "buyer": b}) for i, b in enumerate(buyers)]
    for answer in server.parallel(sales, at_once=POOL_MAX, unanswered="keep"):
        if not isinstance(answer, NoAnswer) and answer.status != 201:
            expect.status(answer, 500, 503, reason="cut-answer", code=("internal", "unavailable"))
    works("while nobody used them, and then met by sales")
    evidence(f"{cut[0]} and then {cut[1]} sales lost their connections at once; after that, {POOL_MAX} reads were answered")


@promises("created-once", "post-buyers-201")
def test_a_buyer_whose_answer_was_lost_is_there_once(explore, server, postgres, fresh, evidence):
    """When the connection is lost in the middle of POST /buyers, there is no second row of the same buyer."""

    def holds(name, answer):
        rows = postgres.value("SELECT count(*) FROM buyers WHERE name = %s", [name])
        expect.at_most(1, rows, "how many buyers PostgreSQL has for one POST /buyers", reason="created-twice")
        if getattr(answer, "status", None) == 201:
            expect.equal(1, rows, "how many buyers PostgreSQL has for a POST /buyers that was answered with 201",
                         reason="not-stored")
        elif not isinstance(answer, NoAnswer):
            expect.status(answer, 500, 503, reason="cut-answer", code=("internal", "unavailable"))

    seen = [
        explore.cut(
            lambda name: server.post("/buyers", json={"name": name, "balance_cents": 100}),
            holds,
            answer=answer,
            prepare=lambda: fresh.name("buyer"),
            services=("postgres",),
        )
        for answer in ("never", "lost")
    ]
    expect.eventually(
        lambda: server.parallel([Call("GET", "/events")], unanswered="keep")[0],
        lambda answer: getattr(answer, "status", None) == 200,
        within=3.0,
        reason="no-recovery",
        what="the answer to GET /events after a connection to PostgreSQL was cut (your server was not restarted)",
    )
    evidence(f"{sum(one.tried for one in seen)} connections were cut in a POST /buyers: never was there a second row")


@promises("pool-dead-connection")
def test_a_dead_connection_is_not_lent_again(explore, server, make_buyer, make_event, balance, sold, evidence):
    """A connection that is cut, at whatever step of a request, costs that request and no other one."""
    event, buyers = make_event(seats=1_000), [make_buyer() for _ in range(POOL_MAX)]

    def all_answered():
        calls = [Call("GET", f"/buyers/{buyer}") for buyer in buyers]
        answers = server.parallel(calls, at_once=POOL_MAX, deadline=3.0, unanswered="keep")
        return sorted({getattr(answer, "status", "no answer") for answer in answers}, key=str)

    def works():
        expect.eventually(
            all_answered,
            [200],
            within=3.0,
            reason="no-recovery",
            what=f"the answers to {POOL_MAX} requests at once after a connection to PostgreSQL was cut (your server was "
            "not restarted)",
        )

    def read(_, answer):
        if not isinstance(answer, NoAnswer) and answer.status != 200:
            expect.status(answer, 500, 503, reason="cut-answer", code=("internal", "unavailable"))
        works()

    def sale(case, answer):
        buyer, sale_event = case
        status = getattr(answer, "status", None)
        if status is not None and status != 201:
            expect.status(answer, 500, 503, reason="cut-answer", code=("internal", "unavailable"))
        orders, tickets = sold(sale_event)
        expect.equal(
            {"tickets": orders, "balance": 10_000 - 1_000 * orders},
            {"tickets": tickets, "balance": balance(buyer)},
            f"what PostgreSQL has of a sale whose connection was cut, beside its {orders} order(s)",
            reason="partial-sale",
        )
        expect.at_least(int(status == 201), orders, "whether a sale that was answered is there", reason="partial-sale")
        works()

    seen = []
    for answer in ("never", "lost"):
        seen.append(
            explore.cut(lambda _: server.get(f"/events/{event}"), read, answer=answer, services=("postgres",))
        )
        seen.append(
            explore.cut(
                lambda case: server.post("/orders", json={"event": case[1], "seat": 1, "buyer": case[0]}),
                sale,
                answer=answer,
                prepare=lambda: (make_buyer(), make_event()),
                services=("postgres",),
            )
        )
    evidence(
        f"{sum(one.tried for one in seen)} connections to PostgreSQL were cut, one at each step of a read and of a sale; "
        f"after each, {POOL_MAX} requests at once were answered"
    )


@promises("pool-size", "pool-dead-connection")
def test_each_lost_answer_leaves_its_place(explore, server, make_buyer, make_event, sold, evidence):
    """When the answers to more statements and COMMITs are lost than the pool has places, as many are there as before."""
    places = 2
    small, buyer = server.replica(env={"DB_POOL_MAX": str(places)}), make_buyer()

    def reads():
        calls = [Call("GET", f"/buyers/{buyer}")] * places
        answers = small.parallel(calls, at_once=places, deadline=3.0, unanswered="keep")
        return [getattr(answer, "status", "no answer") for answer in answers]

    def holds(case, answer):
        if getattr(answer, "status", None) == 201:
            expect.equal((1, 1), sold(case[1]), "orders and tickets of a sale that was answered with 201", "partial-sale")
        elif not isinstance(answer, NoAnswer):
            expect.status(answer, 500, 503, reason="cut-answer", code=("internal", "unavailable"))
        expect.eventually(
            reads,
            [200] * places,
            within=3.0,
            reason="place-lost",
            what=f"the answers to {places} reads at once of a server with DB_POOL_MAX={places}, after {len(seen)} answer(s) to "
            "each statement of a sale, COMMIT among them, were lost, and then one more (your server was not restarted)",
        )

    seen = []
    for _ in range(places + 1):  # at each step once more than there are places
        seen.append(
            explore.cut(
                lambda case: small.post("/orders", json={"event": case[1], "seat": 1, "buyer": case[0]}),
                holds,
                answer="lost",
                prepare=lambda: (make_buyer(), make_event()),
                services=("postgres",),
                at=small,
            )
        )
    evidence(
        f"with DB_POOL_MAX={places}, {sum(one.tried for one in seen)} answers of PostgreSQL were lost in the middle of sales; "
        f"after that, {places} reads at once were answered"
    )


@promises("pool-size", "pool-waits", "back-again")
def test_who_waits_in_vain_takes_no_place(server, postgres, wait, make_buyer, evidence):
    """More requests than connections wait in vain, for an answer or until their client is gone: no place is lost to them."""
    places = 2
    small, calls = server.replica(env={"DB_POOL_MAX": str(places)}), [Call("GET", f"/buyers/{make_buyer()}") for _ in range(4 * places)]

    def ask(count, patience):
        answers = small.parallel(calls[:count], at_once=count, deadline=patience, unanswered="keep")
        return [str(getattr(answer, "status", "no answer")) for answer in answers]

    def working():
        return sum(session.state == "active" for session in postgres.sessions())

    def lent():
        """How many connections are lent at once to as many requests, which have to wait for a table, and their answers."""
        wait.until(lambda: not working(), deadline=3.0, every=0.01, what="sessions that have nothing to do")
        with postgres.as_learner() as keeper, ThreadPoolExecutor(1) as beside:
            keeper.execute("LOCK TABLE buyers")
            asked, soon, seen = beside.submit(ask, places, 3.0), time.monotonic() + 0.5, [0]
            wait.until(
                lambda: asked.done() or time.monotonic() > soon or seen.append(working()) or seen[-1] >= places,
                deadline=3.0, every=0.01, what="requests that wait for a table",
            )
            keeper.rollback()
            return max(seen), asked.result()

    vain = []
    for patience in (3.0, 0.3):  # the server gives up, and then the client does
        with postgres.as_learner() as keeper:
            keeper.execute("LOCK TABLE buyers")
            vain += [one for one in ask(len(calls), patience) if one != "200"]
        expect.eventually(
            lent,
            (places, ["200"] * places),
            within=3.0,
            reason="place-lost",
            what=f"how many sessions of a server with DB_POOL_MAX={places} work at once for {places} reads, and their answers, after "
            f"{len(calls)} reads at once waited in vain for a table that was locked for {patience:g} s (your server was not restarted)",
        )
    evidence(f"{len(vain)} reads waited in vain for {places} connections: after that, both could be lent at once again")


@promises("silence-is-away", "postgres-away", "post-orders-503", "back-again")
def test_silence_in_the_middle_of_a_sale(explore, server, fresh, make_buyer, make_event, sold, evidence):
    """When PostgreSQL falls silent in the middle of a sale, the answer comes within two seconds, and it is true."""

    def sale(buyer, event, seat=1):
        return server.post("/orders", json={"event": event, "seat": seat, "buyer": buyer}, deadline=3.0)

    def pick(steps):
        """The COMMIT, which is easily forgotten when limits are set, and another one."""
        steps = [step for step in steps if step.service == "postgres"]
        last = next((step for step in reversed(steps) if step.text.upper().startswith(("COMMIT", "END"))), steps[-1])
        return [last, fresh.choice([step for step in steps if step is not last] or [last])]

    def call(case):
        what = "POST /orders, in the middle of which PostgreSQL fell silent"
        # Two seconds of silence, and what the sale took before it.
        answer = expect.within(2.5, lambda: sale(*case), what=what, reason="outage-slow")
        if answer.status == 201:
            expect.equal((1, 1), sold(case[1]), "orders and tickets of a sale that was answered with 201", reason="false-success")
        else:
            expect.status(answer, 503, reason="outage-answer", code="unavailable")
        return answer

    def holds(case, _):
        expect.eventually(
            lambda: sale(*case, seat=2).status,
            201,
            within=3.0,
            reason="no-recovery",
            what="the answer to the buyer's next POST /orders once PostgreSQL spoke again (your server was not restarted)",
        )

    seen = explore.silence(call, holds, pick=pick, prepare=lambda: (make_buyer(), make_event()))
    evidence(f"PostgreSQL fell silent at {seen} of a sale: the answer came in time, and the next sale was made")


@pytest.fixture
def refused(server):
    """`refused(call)`: while PostgreSQL is stopped the call is answered with 503 within 2 seconds."""

    def ask(call):
        what = f"{call.method} {call.path} while PostgreSQL is stopped"
        answer = expect.within(
            2.0, lambda: server.request(call.method, call.path, json=call.json), what=what, reason="outage-slow"
        )
        expect.status(answer, 503, reason="outage-answer", code="unavailable")

    return ask


@pytest.fixture
def health_says_down(server):
    """`health_says_down()`: GET /health says that `postgres` is down, within 2 seconds."""

    def ask():
        answer = expect.within(
            2.0, lambda: server.get("/health"), what="GET /health while PostgreSQL is stopped", reason="outage-slow"
        )
        expect.equal(
            "down",
            expect.field(answer, "postgres", str, reason="health-wrong"),
            "what GET /health says of `postgres` while it is stopped",
            reason="health-wrong",
        )

    return ask


@promises("postgres-away", "back-again", "pool-dead-connection", "post-orders-503")
def test_an_outage_is_not_the_end(
    server, fault, together, refused, health_says_down, make_buyer, make_event, sold, evidence
):
    """While PostgreSQL is stopped the answer is 503 within two seconds; when it is back, so is your server."""
    buyer, event = make_buyer(), make_event()
    order = {"event": event, "seat": 1, "buyer": buyer}
    reads = [f"/events/{event}", f"/buyers/{buyer}", "/events", f"/orders?buyer={buyer}"]
    server.parallel(
        [Call("GET", path) for path in reads * 6], at_once=24
    )  # the pool is full of connections that are about to die
    with fault.stop("postgres"):
        asked = [Call("GET", path) for path in reads[:3]] + [Call("POST", "/orders", json=order)]
        together([*(lambda call=call: refused(call) for call in asked), health_says_down])

    def all_answered():
        answers = server.parallel(
            [Call("GET", path) for path in reads * 4], at_once=16, deadline=3.0, unanswered="keep"
        )
        return sorted({getattr(answer, "status", "no answer") for answer in answers}, key=str)

    expect.eventually(
        all_answered,
        [200],
        within=3.0,
        reason="no-recovery",
        what="the answers to 16 requests, again and again until 3 seconds after PostgreSQL was back (your server "
        "was not restarted)",
    )
    expect.equal(
        (0, 0), sold(event), "orders and tickets of the sale that was answered with 503", reason="sold-but-refused"
    )
    expect.eventually(
        lambda: server.post("/orders", json=order).status,
        201,
        within=3.0,
        reason="no-recovery",
        what="the answer to POST /orders after PostgreSQL was back (your server was not restarted)",
    )
    expect.equal((1, 1), sold(event), "orders and tickets of a sale after the outage", reason="no-recovery")
    evidence(
        "PostgreSQL was stopped and started: 503 within 2 seconds, then the same server process wrote an order "
        "into it again"
    )
