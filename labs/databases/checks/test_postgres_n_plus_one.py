"""postgres/n-plus-one: the number of statements does not grow with the length of a list."""

import pytest

from orchestrator.checks import expect, promises

FEW, MANY = 5, 50


@pytest.fixture
def statements_of(server, postgres):
    """`statements_of(path, **params) -> (statements, the last answer, the statement called most)`.

    The fewest statements of three tries, after a warm-up.
    """

    def count(path, **params):
        server.get(path, params=params)
        tries = []
        for _ in range(3):
            with postgres.statements() as seen:
                answer = server.get(path, params=params)
            expect.status(answer, 200, reason="list-refused")
            tries.append(seen)
        best = min(tries, key=lambda one: one.calls)
        most = max(best.list, key=lambda one: one.calls, default=None)
        return best.calls, answer, most

    return count


def judge(path, few, many, most):
    text = " ".join(most.text.split())[:160] if most else ""
    expect.at_least(
        1, few, f"how many statements PostgreSQL ran for GET {path} with {FEW} items", reason="not-from-postgres"
    )
    expect.at_most(
        few + 1,
        many,
        f"how many statements PostgreSQL ran for GET {path} with {MANY} items ({few} with {FEW} items)."
        f" The one that ran most often, {most.calls if most else 0} times: {text}",
        reason="n-plus-one",
    )


@promises("statements-constant", "sold-counted")
def test_fifty_events(server, postgres, make_buyer, make_event, make_sale, statements_of, fresh, evidence):
    """GET /events with fifty events costs as many statements as with five."""
    buyers = [make_buyer() for _ in range(3)]
    for _ in range(MANY):
        event = make_event()
        for seat in range(1, fresh.integer(1, 4)):
            make_sale(event, fresh.choice(buyers), seat)
    few, _, _ = statements_of("/events", limit=str(FEW))
    many, answer, most = statements_of("/events", limit=str(MANY))
    items = expect.field(answer, "items", list, reason="list-shape")
    expect.equal(MANY, len(items), f"how many events GET /events?limit={MANY} answers", reason="list-shape")
    judge("/events", few, many, most)

    sold = dict(
        postgres.rows(
            "SELECT e.id::text, count(t.id) FROM events e LEFT JOIN tickets t ON t.event_id = e.id GROUP BY e.id"
        )
    )
    for item in items:
        event = expect.field(item, "id", str, reason="list-shape")
        expect.equal(
            sold.get(event),
            expect.field(item, "sold", int, reason="list-shape"),
            f"`sold` of the event {event} in GET /events, beside its tickets in PostgreSQL",
            reason="sold-wrong",
        )
    evidence(
        f"PostgreSQL ran {few} statement(s) for {FEW} events and {many} for {MANY}, each event with its number "
        "of tickets"
    )


@promises("statements-constant")
def test_fifty_orders(server, make_buyer, make_event, make_sale, statements_of, evidence):
    """GET /orders with fifty orders costs as many statements as with five."""
    buyer, events = make_buyer(), [make_event() for _ in range(13)]
    for number in range(MANY):
        make_sale(events[number // 4], buyer, number % 4 + 1)
    few, _, _ = statements_of("/orders", buyer=buyer, limit=str(FEW))
    many, answer, most = statements_of("/orders", buyer=buyer, limit=str(MANY))
    expect.equal(
        MANY,
        len(expect.field(answer, "items", list, reason="list-shape")),
        f"how many orders GET /orders?limit={MANY} answers",
        reason="list-shape",
    )
    judge("/orders", few, many, most)
    evidence(f"PostgreSQL ran {few} statement(s) for {FEW} orders and {many} for {MANY}")
