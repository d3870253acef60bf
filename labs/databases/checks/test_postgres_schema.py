"""postgres/schema: the tables of storage.md are there, /health asks the database, a second start harms nothing."""

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
TYPES = {
    "balance_cents": ("integer", "bigint"),
    "price_cents": ("integer", "bigint"),
    "seats": ("integer", "bigint"),
    "seat": ("integer", "bigint"),
    "starts_at": ("timestamp with time zone",),
    "created_at": ("timestamp with time zone",),
}
HELD = 0.5  # seconds in which a server that does not wait for its tables would listen
LATE = 0.5  # seconds in which one that listens first makes them


@pytest.fixture
def has_its_tables(postgres, wait):
    """`has_its_tables()`: all four are there, or are after a moment; else the reader says which one is not.

    A server that listens before it has made them is the matter of a check of its own.
    """
    there = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename = ANY(%s)"

    def look():
        with contextlib.suppress(Late):
            wait.until(lambda: postgres.value(there, [list(TABLES)]) == len(TABLES), deadline=LATE, what="the four tables")
        for table, columns in TABLES.items():
            postgres.rows(f"SELECT {', '.join(columns)} FROM public.{table} LIMIT 0")

    return look


@promises("names-exact")
def test_the_tables_are_there(server, postgres, has_its_tables, evidence):
    """Your server made the tables of storage.md when it started."""
    has_its_tables()
    found = {
        (table, column): type_
        for table, column, type_ in postgres.rows(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
        )
    }
    for (table, column), type_ in found.items():
        if table in TABLES and column in TYPES:
            expect.true(
                type_ in TYPES[column],
                f"the type of the column {table}.{column}",
                reason="schema-wrong-type",
                expected=" or ".join(TYPES[column]),
                seen=type_,
            )

    sessions = postgres.sessions_opened()
    expect.at_least(
        1, sessions, "how many sessions your server's role has opened at PostgreSQL", reason="not-connected"
    )
    evidence(
        f"PostgreSQL has the 4 tables with all {sum(map(len, TABLES.values()))} columns; your server opened "
        f"{sessions} session(s)"
    )


@promises("listen-last")
def test_it_listens_after_it_has_made_its_tables(server, postgres, has_its_tables, evidence):
    """Started where no table is yet, your server listens only when its tables are there.

    Somebody else begins to make one of them, so yours must wait for a moment; then that somebody gives it up.
    """
    server.stop()
    with ThreadPoolExecutor(1) as aside, postgres.as_learner() as session:
        owned = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE tableowner = current_user"
        for (table,) in session.execute(owned).fetchall():
            session.execute(f"DROP TABLE IF EXISTS {table} CASCADE")
        session.commit()
        session.execute("CREATE TABLE public.tickets (id integer)")
        start = aside.submit(server.start)
        while not start.done() and not postgres.waiting():
            done_within([start], timeout=0.02)
        done_within([start], timeout=HELD)
        early = start.done()
        session.rollback()
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
def start_beside(server, postgres, fresh):
    """`start_beside() -> (buyer, event)`: starts the server again while a session has two rows that it then commits.

    A start that changes a table waits for that session: then it commits at once.
    """

    def run():
        with ThreadPoolExecutor(1) as aside, postgres.as_learner() as session:
            buyer = session.execute(
                "INSERT INTO buyers (name, balance_cents) VALUES (%s, 5) RETURNING id::text", [fresh.name("buyer")]
            ).fetchone()[0]
            event = session.execute(
                "INSERT INTO events (name, venue, starts_at, seats, price_cents) VALUES (%s, %s, %s, 9, 5)"
                " RETURNING id::text",
                [fresh.name("event"), fresh.name("venue"), fresh.time()],
            ).fetchone()[0]
            start = aside.submit(server.restart)
            while not start.done() and not postgres.waiting():
                done_within([start], timeout=0.02)
            session.commit()
            start.result()
        return buyer, event

    return run


@promises("start-twice", "row-of-others")
def test_a_second_start_keeps_what_is_there(
    postgres, make_buyer, make_event, make_sale, start_beside, fresh, evidence
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
        rows = postgres.value(f"SELECT count(*) FROM {table} WHERE {column}::text = %s", [value])
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
            postgres.refused(insert, values),
            f"the SQLSTATE with which PostgreSQL refuses a new row of {table} after a second start of your server, during "
            "which another session had written a row and not committed it yet",
            reason="id-given-twice",
        )
    evidence(
        "a buyer, an event, an order and a ticket that were planted in PostgreSQL outlived a second start of "
        "your server, and so did two rows that a session committed after it; more can be added"
    )


@promises("created-at-default", "row-of-others")
def test_an_order_has_the_time_at_which_it_is_written(server, postgres, make_buyer, make_event, make_sale, evidence):
    """An order that is written without `created_at` gets the moment of its INSERT."""
    buyer, event = make_buyer(), make_event()
    orders = [make_sale(event, buyer, seat) for seat in (1, 2)]
    first, second = (
        postgres.value("SELECT created_at FROM orders WHERE id::text = %s", [order]) for order in orders
    )
    expect.true(
        first < second,
        "`created_at` of two orders that I wrote one after the other, without naming it",
        reason="created-at-frozen",
        expected="the moment of each INSERT, as `DEFAULT now()` gives it",
        seen=[first, second],
    )
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        with postgres.as_learner() as session:
            session.execute(f"SET LOCAL TimeZone = '{zone}'")
            late = session.execute(
                "INSERT INTO orders (event_id, buyer_id, seat, price_cents)"
                " SELECT e.id, b.id, 3, 100 FROM events e, buyers b WHERE e.id::text = %s AND b.id::text = %s"
                " RETURNING extract(epoch FROM created_at - now())::float",
                [event, buyer],
            ).fetchone()[0]
            session.rollback()
        expect.between(
            -1.0, 1.0, late, f"by how many seconds `created_at` of an order that a session in {zone} wrote is late",
            reason="created-at-frozen",
        )
    evidence(f"PostgreSQL gave two orders the moments of their INSERTs, {second - first} apart")


@promises("health-asks")
def test_health_remembers_nothing(server, explore, evidence):
    """A GET /health that comes right after another one asks PostgreSQL, too."""
    asked = [step for step in explore.steps(lambda _: server.get("/health")) if step.service == "postgres"]
    expect.at_least(
        1,
        len(asked),
        "how often your server spoke to PostgreSQL for a GET /health that came right after another one",
        reason="health-wrong",
    )
    evidence(f"your server spoke to PostgreSQL {len(asked)} time(s) for a GET /health that came right after another one")


@promises("health-asks", "health-postgres", "get-health-200", "get-health-503")
def test_health_asks_the_database(server, fault, evidence):
    """GET /health says whether PostgreSQL can be reached, at each call."""
    answer = server.get("/health")
    said = expect.field(answer, "postgres", str, reason="health-wrong")
    expect.equal("up", said, "what GET /health says of `postgres` while PostgreSQL is up", reason="health-wrong")
    expect.status(answer, 200, reason="health-wrong")
    try:
        with fault.down("postgres"):
            answer = server.get("/health", deadline=10.0)
            said = expect.field(answer, "postgres", str, reason="health-wrong")
            expect.equal(
                "down",
                said,
                "what GET /health says of `postgres` while PostgreSQL cannot be reached",
                reason="health-wrong",
            )
            expect.status(answer, 503, reason="health-wrong")
    finally:
        server.restart_later()  # getting a connection back is the matter of postgres/pool, not of this milestone
    evidence("with the link to PostgreSQL cut, GET /health went from 200 up to 503 down")
