"""postgres/indexes: with 200,000 orders in the table, one buyer's orders are found without reading everybody's.

The judge is the plan that PostgreSQL really ran, as auto_explain logs it, not the time it took.
"""

import pytest

from orchestrator.checks import expect, promises

EVENTS, BUYERS, SEATS, PARTS = 50, 2_000, 4_000, 4
ORDERS = EVENTS * SEATS
LIMIT = ORDERS // 100
# Of 8 KB. Three orders with their tickets are found through any index in some 20 to 30; an index that has to be walked
# from end to end has one for every 200 orders, or fewer.
PAGES = ORDERS // 800
# Each buyer has two seats of each event: 100 orders of 200,000, and nobody has more than four tickets of an event.
PLANT = """
WITH e AS (SELECT id, row_number() OVER () - 1 AS place FROM events WHERE venue = '{mark}'),
     b AS (SELECT id, row_number() OVER () - 1 AS place FROM buyers WHERE starts_with(name, '{mark} ')),
     sale AS (
       INSERT INTO orders (event_id, buyer_id, seat, price_cents, created_at)
       SELECT e.id, b.id, mod(i, {seats}) + 1, 100, now() - i * interval '1 second'
       FROM generate_series({first}, {last}) AS i JOIN e ON e.place = i / {seats} JOIN b ON b.place = mod(i, {buyers})
       RETURNING id, event_id, seat),
     ticket AS (INSERT INTO tickets (order_id, event_id, seat) SELECT id, event_id, seat FROM sale RETURNING 1)
SELECT count(*) FROM ticket
"""


@pytest.fixture
def few(postgres, make_buyer, make_event, make_sale):
    """A buyer with three orders of a month ago, and these, the newest first."""
    buyer, event = make_buyer(), make_event()
    orders = [make_sale(event, buyer, seat) for seat in (1, 2, 3)]
    postgres.plant(
        "UPDATE orders SET created_at = now() - interval '30 days' - seat * interval '1 minute'"
        " WHERE buyer_id::text = %s RETURNING 1",
        [buyer],
    )
    return buyer, orders


@pytest.fixture
def crowd(postgres, fresh, few):
    """Plants 200,000 orders with their tickets; gives the ids of three buyers with 100 orders each. `few` are older."""
    mark = fresh.name("crowd")
    postgres.plant(
        "INSERT INTO buyers (name, balance_cents) SELECT %s || ' ' || i, 0 FROM generate_series(1, %s) AS i "
        "RETURNING 1",
        [mark, BUYERS],
    )
    postgres.plant(
        "INSERT INTO events (name, venue, starts_at, seats, price_cents)"
        " SELECT %s || i, %s, now() + i * interval '1 day', %s, 100 FROM generate_series(1, %s) AS i RETURNING 1",
        [mark, mark, SEATS, EVENTS],
    )
    own_triggers = postgres.value(
        "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"
        " AND tgrelid IN ('public.orders'::regclass, 'public.tickets'::regclass)"
    )
    # The rows are right by their making: leaving out the 800,000 look-ups of the foreign keys saves seconds.
    plant = postgres.plant if own_triggers else postgres.plant_many
    for part in range(PARTS):  # so that no statement lasts long on a slow machine
        first = part * ORDERS // PARTS
        plant(PLANT.format(mark=mark, seats=SEATS, buyers=BUYERS, first=first, last=first + ORDERS // PARTS - 1))
    postgres.tidy("orders", "tickets", "buyers", "events")
    return [
        row[0]
        for row in postgres.rows(
            "SELECT id::text FROM buyers WHERE starts_with(name, %s) ORDER BY name LIMIT 3", [f"{mark} "]
        )
    ]


def rows_read(node):
    """How many rows a node of a plan took from its table: those it passed on and those it threw away."""
    passed = node.get("Actual Rows", 0) + sum(
        node.get(name, 0) for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    )
    return passed * node.get("Actual Loops", 1)


def pages_of(node):
    """How many pages a node of a plan looked at by itself, without the nodes below it."""
    both = ("Shared Hit Blocks", "Shared Read Blocks")
    return sum(node.get(name, 0) - sum(below.get(name, 0) for below in node.get("Plans", [])) for name in both)


@pytest.fixture
def a_few_pages_only(server, postgres, few):
    """`a_few_pages_only() -> pages`: the list of the buyer with three old orders is found without a walk to them."""

    def look():
        buyer, orders = few
        with postgres.plans() as plans:
            answer = server.get("/orders", params={"buyer": buyer, "limit": "20"}, deadline=10.0)
        expect.status(answer, 200, reason="list-refused")
        items = expect.field(answer, "items", list, reason="list-shape")
        seen = [expect.field(item, "order", str, reason="list-shape") for item in items]
        expect.equal(orders, seen, "the orders of a buyer who has three in PostgreSQL", reason="plant-not-seen")
        pages = sum(plan.pages for plan in plans.list)
        most = max((node for plan in plans.list for node in plan.nodes()), key=pages_of, default={})
        expect.at_most(
            PAGES,
            pages,
            f"how many pages of tables and indexes PostgreSQL looked at for the three orders of one buyer, which are older "
            f"than {ORDERS} others; most of them in the plan's node {most.get('Node Type', 'none')} (index: "
            f"{most.get('Index Name', 'none')}, condition: {most.get('Index Cond', 'none')})",
            reason="whole-index",
        )
        return pages

    return look


@promises("orders-indexed", "orders-newest-first")
def test_one_buyer_among_two_thousand(server, postgres, crowd, a_few_pages_only, evidence):
    """GET /orders reads no more than a hundredth of the tables orders and tickets, and no index from end to end."""
    answers = []
    with postgres.plans() as plans:
        for buyer in crowd:
            first = server.get("/orders", params={"buyer": buyer, "limit": "20"}, deadline=10.0)
            expect.status(first, 200, reason="list-refused")
            items = expect.field(first, "items", list, reason="list-shape")
            expect.equal(
                20,
                len(items),
                "how many orders the first page has of a buyer who has 100 in PostgreSQL",
                reason="plant-not-seen",
            )
            following = expect.field(first, "next", str, reason="list-shape")
            second = server.get("/orders", params={"buyer": buyer, "limit": "20", "after": following}, deadline=10.0)
            answers.append((buyer, first, second))

    read = [
        (rows_read(node), node)
        for plan in plans.list
        for node in plan.nodes()
        if node.get("Relation Name") in ("orders", "tickets")
    ]
    most, node = max(read, key=lambda pair: pair[0], default=(0, {}))
    expect.true(
        bool(read),
        "the plans that PostgreSQL ran for GET /orders",
        reason="not-from-postgres",
        expected="plans that read the table orders",
        seen=f"{len(plans.list)} plans, none of which reads it",
    )
    expect.at_most(
        LIMIT,
        int(most),
        f"how many of the {ORDERS} rows of the table {node.get('Relation Name')} PostgreSQL read for the 20 "
        "orders of one buyer"
        f" (plan node: {node.get('Node Type')}, filter: {node.get('Filter', 'none')})",
        reason="full-scan",
    )

    pages = a_few_pages_only()
    for buyer, *page in answers:
        rows = postgres.rows(
            "SELECT id::text FROM orders WHERE buyer_id::text = %s ORDER BY created_at DESC LIMIT 40", [buyer]
        )
        seen = [
            expect.field(item, "order", str, reason="list-shape")
            for answer in page
            for item in expect.field(answer, "items", list, reason="list-shape")
        ]
        expect.equal([row[0] for row in rows], seen, "the two newest pages of a buyer's orders", reason="list-order")
    evidence(
        f"PostgreSQL read at most {int(most)} of {ORDERS} rows for a page of one buyer's orders "
        f"({node.get('Node Type')} on {node.get('Relation Name')}), and looked at {pages} pages for three old ones of "
        "another buyer"
    )
