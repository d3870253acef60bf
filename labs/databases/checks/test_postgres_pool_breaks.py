"""postgres/pool: whatever breaks, a connection, an answer, PostgreSQL or somebody's patience, there is a way back."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.checks import Call, NoAnswer, expect, promises

POOL_MAX = 8  # DB_POOL_MAX of lab.toml


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
