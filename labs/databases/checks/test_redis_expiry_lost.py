"""redis/expiry: a sale that somebody does not hear of, its buyer or the server itself, and asks for again; its seat's hold."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from orchestrator.checks import Call, Late, expect, promises

WAITS = """
CREATE SCHEMA {own};
CREATE FUNCTION {own}.act() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF to_jsonb(NEW) ->> 'event_id' = '{event}' THEN
    PERFORM pg_advisory_xact_lock({number});
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER {own} AFTER INSERT ON public.tickets DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION {own}.act();
"""
"""A COMMIT of a sale of this event waits for a lock that the checker has."""


@promises("sale-ends-hold", "no-sale-keeps-hold")
def test_a_buyer_who_hangs_up(redis, make_buyer, make_event, hold, hangs_up, sold, evidence):
    """When the buyer hangs up in the middle of a sale, it is made and ends its hold, or it is not made and the hold stays."""
    event, buyer = make_event(), make_buyer()
    key, mine = f"hold:{event}:1", hold(event, 1, buyer)
    hangs_up({"event": event, "seat": 1, "buyer": buyer, "hold": mine})

    def left():
        return f"{sold(event)[1]} ticket(s), and the key is {'gone' if redis.get(key) is None else 'there'}"

    right = "1 ticket(s), and the key is gone", "0 ticket(s), and the key is there"
    seen = expect.eventually(
        left,
        lambda one: one in right,
        within=2.0,
        what=f"the tickets of a seat whose buyer hung up while its sale waited for a row, and the key {key} of its hold",
        reason="sale-keeps-hold",
    )
    evidence(f"the buyer hung up in the middle of a sale: {seen}")


@promises("sold-not-held", "key-of-others")
def test_a_commit_that_nobody_heard_of(
    server, postgres, redis, fault, wait, make_buyer, make_event, recovered, sold, fresh, evidence
):
    """A sale's COMMIT is done and its answer lost, and somebody holds the seat since before it: who answers 201 ends that hold."""
    event, buyer, own, number = make_event(), make_buyer(), f"part_{fresh.token()}", fresh.integer(10**9, 10**15)
    key, calls = f"hold:{event}:1", [Call("POST", "/orders", json={"event": event, "seat": 1, "buyer": buyer})]
    postgres.admin(WAITS.format(own=own, event=event, number=number))
    try:
        with ThreadPoolExecutor(1) as beside, postgres.as_learner() as keeper:
            keeper.execute("SELECT pg_advisory_lock(%s)", [number])
            asked = beside.submit(server.parallel, calls, unanswered="keep")

            def stands():
                return asked.done() or postgres.admin(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                )[0][0]

            wait.until(stands, deadline=3.0, what="the COMMIT of a sale")
            redis.plant(key, fresh.token(), px=60_000)
            with fault.hold("postgres"):
                keeper.execute("SELECT pg_advisory_unlock(%s)", [number])
                with suppress(Late):
                    wait.until(lambda: sold(event) == (1, 1), deadline=2.0, what="a sale whose COMMIT may go on")
                fault.cut("postgres")
            answer = asked.result()[0]
    finally:
        postgres.admin(f"DROP SCHEMA {own} CASCADE")
    said = getattr(answer, "status", "nothing")
    if said == 201:
        expect.equal(
            None,
            redis.get(key),
            f"the key {key} in Redis, which somebody wrote before the COMMIT of a sale without a hold: the sale was answered with 201",
            reason="sold-seat-held",
        )
    elif said != "nothing":
        expect.status(answer, 500, 503, reason="sale-refused", code=("internal", "unavailable"))
    recovered("/buyers", lambda: {"name": fresh.name("buyer"), "balance_cents": 0}, 201)
    evidence(f"the answer to a sale's COMMIT was lost, and the sale was answered with {said}: PostgreSQL has {sold(event)[1]} ticket")


@promises("key-same-answer")
def test_an_order_again_when_somebody_holds_its_seat(server, redis, make_buyer, make_event, hold, sold, fresh, evidence):
    """An order that comes again with its Idempotency-Key gets its first answer, also when somebody else holds the seat by then."""
    event, buyer = make_event(), make_buyer()
    for seat, named in ((1, {}), (2, {"hold": hold(event, 2, buyer)})):
        body, headers = {"event": event, "seat": seat, "buyer": buyer, **named}, {"Idempotency-Key": fresh.token()}
        first = server.post("/orders", json=body, headers=headers)
        expect.status(first, 201, reason="sale-refused")
        key, theirs = f"hold:{event}:{seat}", fresh.token()
        redis.plant(key, theirs, px=60_000)
        again = server.post("/orders", json=body, headers=headers)
        what = (
            f"the answer to an order with{'' if named else 'out'} a hold that was sent again with its Idempotency-Key, when I had "
            f"written {key} = {theirs} into Redis: the seat had been sold to this very order before"
        )
        expect.true(
            again.status == 201, what, reason="answer-not-repeated", expected="201: the first answer",
            seen=f"{again.status} {again.text}",
        )
        orders = (expect.field(one, "order", str, reason="answer-wrong") for one in (first, again))
        expect.equal(*orders, f"the order in {what}", reason="answer-not-repeated")
    expect.equal((2, 2), sold(event), "orders and tickets in PostgreSQL after two orders that came twice each", "charged-twice")
    evidence("two orders, one with a hold, were answered again though Redis had somebody else's hold of their seats by then")
