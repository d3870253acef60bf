"""postgres/transactions: a statement of a sale fails in the middle of it.

Triggers that the checker adds to the three tables do nothing but what a table of the check's own says for the rows of
one sale: raise an error. Sequences count how often they did: a rollback does not take that back.
"""

from orchestrator.checks import expect, promises


@promises("sale-whole", "next-sale-works")
def test_a_failure_in_the_middle_leaves_nothing(server, make_buyer, make_event, trap, met, left, evidence):
    """When one statement of a sale fails, nothing of the sale remains."""
    for place in ("tickets", "orders", "buyers"):
        buyer, event = make_buyer(1_000), make_event(price_cents=300)
        times = trap(place, buyer if place == "buyers" else event)
        answer = server.post("/orders", json={"event": event, "seat": 1, "buyer": buyer})
        met(times, answer, place)
        expect.equal(
            {"balance": 1_000, "orders": 0, "tickets": 0},
            left(event, buyer),
            f"what is left of a sale for 300 cents in which writing into {place} failed",
            reason="partial-sale",
        )
        expect.true(
            answer.status >= 400,
            f"the answer to a sale in which writing into {place} failed",
            reason="false-success",
            expected="an error: nothing was sold",
            seen=str(answer.status),
        )

        buyer, event = make_buyer(1_000), make_event(price_cents=300)
        expect.status(
            server.post("/orders", json={"event": event, "seat": 1, "buyer": buyer}),
            201,
            reason="broken-after-failure",
        )
        expect.equal(
            {"balance": 700, "orders": 1, "tickets": 1},
            left(event, buyer),
            "what PostgreSQL has of the next sale, in which nothing failed",
            reason="broken-after-failure",
        )
    evidence(
        "PostgreSQL raised an error while the sale wrote its ticket, its order, its debit: each time nothing was "
        "left of it"
    )
