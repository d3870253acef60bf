"""postgres/pool: few connections for many requests, a quick "503" while PostgreSQL is away, and a way back."""

from orchestrator.checks import Call, NoAnswer, expect, promises

POOL_MAX = 8  # DB_POOL_MAX of lab.toml
SPARE = 2


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
    opened = postgres.sessions_opened() - before
    expect.at_most(
        POOL_MAX + SPARE,
        opened,
        f"how many sessions your server opened at PostgreSQL for 200 requests (DB_POOL_MAX is {POOL_MAX})",
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


@promises("postgres-away", "back-again", "pool-dead-connection", "post-orders-503")
def test_an_outage_is_not_the_end(server, postgres, fault, make_buyer, make_event, sold, evidence):
    """While PostgreSQL is stopped the answer is 503 within two seconds; when it is back, so is your server."""
    buyer, event = make_buyer(), make_event()
    order = {"event": event, "seat": 1, "buyer": buyer}
    reads = [f"/events/{event}", f"/buyers/{buyer}", "/events", f"/orders?buyer={buyer}"]
    server.parallel(
        [Call("GET", path) for path in reads * 6], at_once=24
    )  # the pool is full of connections that are about to die
    with fault.stop("postgres"):
        for path in ("/events", f"/events/{event}", f"/buyers/{buyer}"):
            answer = expect.within(
                2.0,
                lambda path=path: server.get(path),
                what=f"GET {path} while PostgreSQL is stopped",
                reason="outage-slow",
            )
            expect.status(answer, 503, reason="outage-answer", code="unavailable")
        answer = expect.within(
            2.0,
            lambda: server.post("/orders", json=order),
            what="POST /orders while PostgreSQL is stopped",
            reason="outage-slow",
        )
        expect.status(answer, 503, reason="outage-answer", code="unavailable")
        answer = expect.within(
            2.0, lambda: server.get("/health"), what="GET /health while PostgreSQL is stopped", reason="outage-slow"
        )
        expect.equal(
            "down",
            expect.field(answer, "postgres", str, reason="health-wrong"),
            "what GET /health says of `postgres` while it is stopped",
            reason="health-wrong",
        )

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
