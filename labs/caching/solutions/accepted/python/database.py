"""PostgreSQL: the events, as they are."""

import os
from contextlib import contextmanager
from pathlib import Path

from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

FIELDS = "address AS event, name, venue, price_cents"

pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": 2},
    min_size=1,
    max_size=16,
    check=ConnectionPool.check_connection,
    open=False,
)


def find(address):
    """The event at this address as a dict, or None."""
    with pool.connection() as db:
        return db.execute(f"SELECT {FIELDS} FROM events WHERE address = %s", [address]).fetchone()


@contextmanager
def transaction():
    """Committed at the end of the block, rolled back if the block raises."""
    with pool.connection() as db, db.transaction():
        yield db


def write(db, address, name, venue, price_cents):
    """Writes the event, and says whether it was there before. Until the transaction is over its row is locked."""
    return db.execute(
        "INSERT INTO events (address, name, venue, price_cents) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (address) DO UPDATE"
        " SET name = excluded.name, venue = excluded.venue, price_cents = excluded.price_cents"
        " RETURNING xmax <> 0 AS was_there",
        [address, name, venue, price_cents],
    ).fetchone()["was_there"]


def delete(db, address):
    """Deletes the event, and says whether it was there."""
    return db.execute("DELETE FROM events WHERE address = %s", [address]).rowcount == 1


def is_up():
    try:
        with pool.connection(timeout=1) as db:
            return bool(db.execute("SELECT 1").fetchone())
    except Exception:
        return False


def create_tables():
    pool.open(wait=True, timeout=10)
    with transaction() as db:
        db.execute("SELECT pg_advisory_xact_lock(1)")  # two servers that start at once: one after the other
        db.execute(Path(__file__).with_name("schema.sql").read_text())
