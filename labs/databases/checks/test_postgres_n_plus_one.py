"""postgres/n-plus-one: the number of statements does not grow with the length of a list."""

import pytest

from orchestrator.checks import expect, promises

FEW, MANY, MOST = 5, 50, 100


@pytest.fixture
def statements_of(server, postgres):
    """`statements_of(path, **params) -> (statements of each page, the longest page's answer)`, judged.

    Of each page the fewest statements of three tries, after a warm-up. Behind each page there is another one: whatever
    a server asks to know that, it asks each time.
    """

    def count(path, limit, **params):
        params = {**params, "limit": str(limit)}
        server.get(path, params=params)
        tries = []
        for _ in range(3):
            with postgres.statements() as seen:
                answer = server.get(path, params=params)
            expect.status(answer, 200, reason="list-refused")
            tries.append(seen)
        items = expect.field(answer, "items", list, reason="list-shape")
        expect.equal(limit, len(items), f"how many items GET {path}?limit={limit} answers", reason="list-shape")
        return min(tries, key=lambda one: one.calls), answer

    def judged(path, **params):
        few, _ = count(path, FEW, **params)
        expect.at_least(
            1, few.calls, f"how many statements PostgreSQL ran for GET {path} with {FEW} items", reason="not-from-postgres"
        )
        calls = [few.calls]
        for limit in (MANY, MOST):
            many, answer = count(path, limit, **params)
            most = max(many.list, key=lambda one: one.calls)
            expect.equal(
                few.calls,
                many.calls,
                f"how many statements PostgreSQL ran for GET {path} with {limit} items ({few.calls} with {FEW} items)."
                f" The one that ran most often, {most.calls} times: {' '.join(most.text.split())[:160]}",
                reason="n-plus-one",
            )
            calls.append(many.calls)
        return calls, answer

    return judged


@promises("statements-constant", "sold-counted")
def test_fifty_events(server, postgres, make_buyer, make_event, make_sale, statements_of, fresh, evidence):
    """GET /events with fifty or a hundred events costs as many statements as with five."""
    buyers = [make_buyer() for _ in range(3)]
    for _ in range(MOST + 1):
        event = make_event()
        for seat in range(1, fresh.integer(1, 4)):
            make_sale(event, fresh.choice(buyers), seat)
    (few, many, most), answer = statements_of("/events")

    sold = dict(
        postgres.rows(
            "SELECT e.id::text, count(t.id) FROM events e LEFT JOIN tickets t ON t.event_id = e.id GROUP BY e.id"
        )
    )
    for item in answer.json()["items"]:
        event = expect.field(item, "id", str, reason="list-shape")
        expect.equal(
            sold.get(event),
            expect.field(item, "sold", int, reason="list-shape"),
            f"`sold` of the event {event} in GET /events, beside its tickets in PostgreSQL",
            reason="sold-wrong",
        )
    evidence(
        f"PostgreSQL ran {few} statement(s) for {FEW} events, {many} for {MANY} and {most} for {MOST}, each event with "
        "its number of tickets"
    )


@promises("statements-constant")
def test_fifty_orders(server, make_buyer, make_event, make_sale, statements_of, evidence):
    """GET /orders with fifty or a hundred orders costs as many statements as with five."""
    buyer, events = make_buyer(), [make_event() for _ in range(MOST // 4 + 1)]
    for number in range(MOST + 1):
        make_sale(events[number // 4], buyer, number % 4 + 1)
    (few, many, most), _ = statements_of("/orders", buyer=buyer)
    evidence(f"PostgreSQL ran {few} statement(s) for {FEW} orders, {many} for {MANY} and {most} for {MOST}")
