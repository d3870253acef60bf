"""postgres/pool: few connections for many requests, one for each."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from orchestrator.checks import Call, NoAnswer, expect, promises

POOL_MAX = 8  # DB_POOL_MAX of lab.toml
SPARE = 2
PATIENCE = 0.9  # seconds for which a request waits for a connection here; the brief says a second
KEPT = 1.8  # seconds after which the connections are still the same ones
LOCKED = 0.7  # seconds for which sales wait for a row; a request must wait for a connection that long, and a bit more


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

    def pids():
        return {session.pid for session in postgres.sessions()}

    places, at_most = 3, 3 + SPARE
    server.parallel([Call("GET", "/events")] * 2 * POOL_MAX, at_once=2 * POOL_MAX)  # the first process has all of its own
    others = pids()
    small = server.replica(env={"DB_POOL_MAX": str(places)})
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
    # Nothing is asked any more: a session that takes the place of another one has taken it soon, and none is to spare.
    expect.eventually(
        lambda: max(places, len(pids() - others)),
        places,
        within=3.0,
        reason="too-many-sessions",
        what=f"how many sessions a server with DB_POOL_MAX={places} has at PostgreSQL when all is answered, after {len(health)} GET /health "
        "came while sales had all of its connections: beside the pool there is none",
    )
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
def test_each_route_needs_one_connection(
    server, postgres, wait, fresh, make_buyer, make_event, new_event, make_sale, evidence
):
    """Twice as many requests of a kind as there are connections, for each kind: one connection each is enough for all."""
    places = 2
    many, small = range(2 * places), server.replica(env={"DB_POOL_MAX": str(places)}, wait=False)
    event, sold_out, buyer, headers = make_event(), make_event(), make_buyer(), {"Idempotency-Key": fresh.token()}
    make_sale(sold_out, buyer, 9)
    new = new_event()
    make_event(**new)

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
