"""postgres/schema and mysql/schema: the tables of storage.md are there, /health asks the database, a second start harms nothing."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as done_within

import pytest

from orchestrator.checks import Late, expect, promises

TABLES = {
    "buyers": ("id", "name", "balance_cents"),
    "events": ("id", "name", "venue", "starts_at", "seats", "price_cents"),
    "orders": ("id", "event_id", "buyer_id", "seat", "price_cents", "created_at"),
    "tickets": ("id", "order_id", "event_id", "seat"),
}
TYPES = {  # by the column, for each database that may have the role
    "balance_cents": {"postgres": ("integer", "bigint"), "mysql": ("int", "bigint")},
    "price_cents": {"postgres": ("integer", "bigint"), "mysql": ("int", "bigint")},
    "seats": {"postgres": ("integer", "bigint"), "mysql": ("int", "bigint")},
    "seat": {"postgres": ("integer", "bigint"), "mysql": ("int", "bigint")},
    "starts_at": {"postgres": ("timestamp with time zone",), "mysql": ("datetime",)},
    "created_at": {"postgres": ("timestamp with time zone",), "mysql": ("datetime", "timestamp")},
}
NOW = {"postgres": "now()", "mysql": "(UTC_TIMESTAMP(6))"}
HELD = {"postgres": 0.5, "mysql": 1.3}
"""Seconds in which a server that does not wait for its tables would listen; MySQL itself may give up after one."""
LATE = 0.5  # seconds in which one that listens first makes them


@pytest.fixture
def has_its_tables(sales, wait):
    """`has_its_tables()`: all four are there, or are after a moment; else the reader says which one is not.

    A server that listens before it has made them is the matter of a check of its own.
    """

    def look():
        with contextlib.suppress(Late):
            wait.until(lambda: TABLES.keys() <= {table for table, _ in sales.columns()}, deadline=LATE, what="the four tables")
        for table, columns in TABLES.items():
            sales.rows(f"SELECT {', '.join(columns)} FROM {table} LIMIT 0")

    return look


@promises("names-exact")
def test_the_tables_are_there(server, sales, has_its_tables, evidence):
    """Your server made the tables of storage.md when it started."""
    has_its_tables()
    for (table, column), type_ in sales.columns().items():
        if table in TABLES and column in TYPES:
            right = TYPES[column][sales.name]
            what = f"the type of the column {table}.{column}"
            expect.true(type_ in right, what, reason="schema-wrong-type", expected=" or ".join(right), seen=type_)

    sessions = sales.sessions_opened()
    expect.at_least(
        1, sessions, f"how many sessions your server's role has opened at {sales.title}", reason="not-connected"
    )
    evidence(
        f"{sales.title} has the 4 tables with all {sum(map(len, TABLES.values()))} columns; your server opened "
        f"{sessions} session(s)"
    )


@promises("listen-last")
def test_it_listens_after_it_has_made_its_tables(server, sales, has_its_tables, evidence):
    """Started where no table is yet, your server listens only when its tables are there.

    Somebody else begins to make one of them, so yours must wait for a moment; then that somebody gives it up.
    """
    server.stop()
    sales.drop_tables()
    with ThreadPoolExecutor(1) as aside:
        with sales.making_held("tickets"):
            start = aside.submit(server.start)
            while not start.done() and not sales.waiting():
                done_within([start], timeout=0.02)
            done_within([start], timeout=HELD[sales.name])
            early = start.done()
        start.result()

    has_its_tables()
    expect.true(
        not early,
        "your server, started where no table is yet, while another session was about to make the table tickets",
        reason="listens-too-early",
        expected="it waits for that session, makes its tables, and only then listens on PORT",
        seen="it listened on PORT before it had its tables",
    )
    evidence("started where no table was, your server made all four before it listened")


@pytest.fixture
def start_beside(server, sales, fresh):
    """`start_beside() -> (buyer, event)`: starts the server again while a session has two rows that it then commits.

    A start that changes a table waits for that session: then it commits at once.
    """

    def run():
        with ThreadPoolExecutor(1) as aside, sales.as_learner() as session:
            buyer = session.insert("buyers", {"name": fresh.name("buyer"), "balance_cents": 5})
            place = {"venue": fresh.name("venue"), "starts_at": fresh.time()}
            event = session.insert("events", {"name": fresh.name("event"), **place, "seats": 9, "price_cents": 5})
            start = aside.submit(server.restart)
            while not start.done() and not sales.waiting():
                done_within([start], timeout=0.02)
            session.commit()
            start.result()
        return buyer, event

    return run


@promises("start-twice", "row-of-others")
def test_a_second_start_keeps_what_is_there(
    sales, make_buyer, make_event, make_sale, start_beside, fresh, evidence
):
    """Rows that are in the tables are still there after your server was started again, and new ones can be added."""
    buyer, event = make_buyer(), make_event()
    order = make_sale(event, buyer, 1)

    late_buyer, late_event = start_beside()

    for table, column, value in [
        ("buyers", "id", buyer),
        ("events", "id", event),
        ("orders", "id", order),
        ("tickets", "order_id", order),
        ("buyers", "id", late_buyer),
        ("events", "id", late_event),
    ]:
        rows = sales.value(f"SELECT count(*) FROM {table} WHERE {column} = %s", [value])
        expect.equal(
            1,
            rows,
            f"the row that I put into the table {table} before your server was started a second time",
            reason="restart-loses-rows",
        )
    for table, insert, values in (
        ("buyers", "INSERT INTO buyers (name, balance_cents) VALUES (%s, 5)", [fresh.name("buyer")]),
        (
            "events",
            "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, 9, 5)",
            [fresh.name("event"), fresh.name("venue"), fresh.time()],
        ),
    ):
        expect.equal(
            None,
            sales.refused(insert, values),
            f"the SQLSTATE with which {sales.title} refuses a new row of {table} after a second start of your server, during "
            "which another session had written a row and not committed it yet",
            reason="id-given-twice",
        )
    evidence(
        f"a buyer, an event, an order and a ticket that were planted in {sales.title} outlived a second start of "
        "your server, and so did two rows that a session committed after it; more can be added"
    )


@promises("created-at-default", "row-of-others")
def test_an_order_has_the_time_at_which_it_is_written(server, sales, make_buyer, make_event, make_sale, evidence):
    """An order that is written without `created_at` gets the moment of its INSERT."""
    buyer, event = make_buyer(), make_event()
    orders = [make_sale(event, buyer, seat) for seat in (1, 2)]
    first, second = (
        sales.value("SELECT created_at FROM orders WHERE id = %s", [order]) for order in orders
    )
    expect.true(
        first < second,
        "`created_at` of two orders that I wrote one after the other, without naming it",
        reason="created-at-frozen",
        expected=f"the moment of each INSERT, as `DEFAULT {NOW[sales.name]}` gives it",
        seen=[first, second],
    )
    last, seat = second, 3
    for zone in (9, -8):
        with sales.as_learner(hours=zone) as session:
            order = session.insert("orders", {"event_id": event, "buyer_id": buyer, "seat": seat, "price_cents": 100})
            session.insert("tickets", {"order_id": order, "event_id": event, "seat": seat})
            session.commit()
        after = make_sale(event, buyer, seat + 1)
        moment, latest = (sales.value("SELECT created_at FROM orders WHERE id = %s", [one]) for one in (order, after))
        expect.true(
            last < moment < latest,
            f"`created_at` of an order that a session in the time zone UTC{zone:+} wrote, between two others",
            reason="created-at-frozen",
            expected="the moment of its INSERT, between theirs",
            seen=[last, moment, latest],
        )
        last, seat = latest, seat + 2
    sales.plant("UPDATE orders SET price_cents = price_cents + 1 WHERE id = %s", [orders[0]])
    changed = sales.value("SELECT created_at FROM orders WHERE id = %s", [orders[0]])
    expect.equal(first, changed, "`created_at` of an order after its price was changed with SQL", reason="created-at-frozen")
    evidence(f"{sales.title} gave two orders the moments of their INSERTs, {second - first} apart")


@promises("health-asks")
def test_health_remembers_nothing(server, sales, explore, evidence):
    """A GET /health that comes right after another one asks the database, too."""
    asked = [step for step in explore.steps(lambda _: server.get("/health")) if step.service == sales.name]
    expect.at_least(
        1,
        len(asked),
        f"how often your server spoke to {sales.title} for a GET /health that came right after another one",
        reason="health-wrong",
    )
    evidence(f"your server spoke to {sales.title} {len(asked)} time(s) for a GET /health that came right after another one")


@promises("health-asks", "health-postgres", "health-mysql", "get-health-200", "get-health-503")
def test_health_asks_the_database(server, sales, fault, evidence):
    """GET /health says whether the database can be reached, at each call."""
    answer = server.get("/health")
    said = expect.field(answer, sales.name, str, reason="health-wrong")
    expect.equal("up", said, f"what GET /health says of `{sales.name}` while {sales.title} is up", reason="health-wrong")
    expect.status(answer, 200, reason="health-wrong")
    try:
        with fault.down(sales.name):
            answer = server.get("/health", deadline=10.0)
            said = expect.field(answer, sales.name, str, reason="health-wrong")
            expect.equal(
                "down",
                said,
                f"what GET /health says of `{sales.name}` while {sales.title} cannot be reached",
                reason="health-wrong",
            )
            expect.status(answer, 503, reason="health-wrong")
    finally:
        server.restart_later()  # getting a connection back is the matter of postgres/pool, not of this milestone
    evidence(f"with the link to {sales.title} cut, GET /health went from 200 up to 503 down")
