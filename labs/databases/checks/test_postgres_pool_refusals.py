"""postgres/pool: a request that is refused needs no second connection, and gives its own back as it was."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.checks import Call, expect, promises

POOL_MAX = 8  # DB_POOL_MAX of lab.toml
SALE = (
    "WITH sale AS (INSERT INTO orders (event_id, buyer_id, seat, price_cents) VALUES (%s, %s, %s, %s)"
    " RETURNING id, event_id, seat)"
    " INSERT INTO tickets (order_id, event_id, seat) SELECT id, event_id, seat FROM sale"
)
EVENT = "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, %s, %s)"


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
