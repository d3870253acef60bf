"""What the checks of this lab share: events, a second process, what a read answers and what PostgreSQL has."""

import pytest

from orchestrator.checks import expect

FIELDS = ("event", "name", "venue", "price_cents")


@pytest.fixture
def twin(server):
    """A second process of the server."""
    return server.replica(keep=True)


@pytest.fixture
def new_fields(fresh):
    """`new_fields() -> dict`: the body of a `PUT`."""
    return lambda: {"name": fresh.text("event"), "venue": fresh.name("hall"), "price_cents": fresh.integer(1_000, 9_000_000)}


@pytest.fixture
def make_event(server, fresh, new_fields):
    """`make_event() -> address` of an event that was written through the server."""

    def make():
        address = f"e-{fresh.token().lower()}"
        expect.status(server.put(f"/events/{address}", json=new_fields()), 201, reason="create-refused")
        return address

    return make


@pytest.fixture
def read():
    """`read(server, address) -> dict`, as a `GET` answers it; `None` for a 404."""

    def look(one, address):
        answer = one.get(f"/events/{address}")
        expect.status(answer, 200, 404, reason="read-refused")
        if answer.status == 404:
            expect.status(answer, 404, reason="read-refused", code="not_found")
            return None
        return {name: expect.field(answer, name, None, reason="answer-wrong") for name in FIELDS}

    return look


@pytest.fixture
def truth(postgres):
    """`truth(address) -> dict`, as PostgreSQL has it; `None` if there is no such row."""

    def look(address):
        rows = postgres.rows("SELECT address, name, venue, price_cents FROM events WHERE address = %s", [address])
        expect.at_most(1, len(rows), f"how many rows the table events has for {address}", reason="not-stored")
        return dict(zip(FIELDS, rows[0], strict=True)) if rows else None

    return look


@pytest.fixture
def agrees(server, twin, read, truth):
    """`agrees(address, when, reason)`: both processes answer what PostgreSQL has; `within`: some seconds later at the latest."""

    def look(address, when, reason, within=None):
        what = f"what both processes of your server answered for GET /events/{address} {when}, beside the row in PostgreSQL"
        if within is None:
            found = truth(address)
            expect.equal([found, found], [read(server, address), read(twin, address)], what, reason=reason)
        else:
            expect.eventually(
                lambda: [read(server, address), read(twin, address), truth(address)],
                lambda seen: seen[0] == seen[1] == seen[2], within=within, what=what, reason=reason,
            )

    return look


@pytest.fixture
def kept(redis):
    """`kept() -> dict`: each key that Redis has, and the milliseconds that it still lives (-1: for ever)."""
    return lambda: {key: left for key in redis.keys("*") if (left := redis.pttl(key)) is not None}


@pytest.fixture
def bounded(kept):
    """`bounded(when)`: each key in Redis ends, none of them later than in 60 seconds."""

    def look(when):
        for key, left in kept().items():
            expect.true(left >= 0, f"when the key {key} ends, {when}", reason="no-end", expected="within 60 seconds",
                        seen="never: it has no expiry")
            expect.at_most(60, left / 1000, f"in how many seconds the key {key} ends, {when}", reason="ends-wrong")

    return look


@pytest.fixture
def replaced(postgres):
    """`replaced(address, price)`: somebody changes the row with SQL, and the server hears nothing of it."""

    def change(address, price):
        postgres.plant("UPDATE events SET price_cents = %s WHERE address = %s RETURNING address", [price, address])

    return change
