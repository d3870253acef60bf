"""PostgreSQL: a pool of few connections, transactions, and what happens while the database is gone."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from patience import cut_after
from web import Problem

PATIENCE = 0.6  # seconds without a sign of life from the database before we say so
LONGEST_WORK = 1.8  # seconds that a request may work with the database
SETTINGS = "-c timezone=UTC -c statement_timeout=1500"  # milliseconds: what waits longer for a lock is cancelled

last_answer = 0.0  # when the database answered last, by time.monotonic()


def check(connection):
    """Whether a connection from the pool still works. If one is broken, so are most likely all: away with them."""
    global last_answer
    try:
        with cut_after(connection, PATIENCE):
            connection.execute("")
    except psycopg.OperationalError:
        pool.drain()
        raise
    last_answer = time.monotonic()


pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": 2, "options": SETTINGS},
    min_size=1,
    max_size=int(os.environ.get("DB_POOL_MAX", "8")),
    check=check,
    reconnect_timeout=0.2,  # give up soon: the next request asks for a connection anyway
    open=False,
)


@contextmanager
def borrowed():
    """A connection of the pool, for as long as the block takes. `503` if the database cannot be reached."""
    connection = take()
    try:
        yield connection
    except psycopg.OperationalError as error:
        raise unavailable() from error
    finally:
        pool.putconn(connection)


def take():
    """While the database is busy, wait for a connection; when it is silent, give up."""
    while True:
        try:
            return pool.getconn(timeout=1.2)  # seconds: all may be lent to requests that wait for somebody's lock
        except PoolTimeout:
            if time.monotonic() - last_answer > PATIENCE:
                raise unavailable() from None


def unavailable():
    return Problem(503, "unavailable", "PostgreSQL cannot be reached at the moment.")


@contextmanager
def connection():
    """A connection of the pool, for one request."""
    with borrowed() as db, cut_after(db, LONGEST_WORK):
        yield db


@contextmanager
def transaction():
    """A connection in a transaction: committed at the end of the block, rolled back if the block raises."""
    with connection() as db, db.transaction():
        yield db


def ask(db, sql, *values):
    """One statement on a connection that was borrowed for long."""
    with cut_after(db, LONGEST_WORK):
        return db.execute(sql, values)


def rows(sql, *values):
    """One statement, all its rows as dicts."""
    with connection() as db:
        return db.execute(sql, values).fetchall()


def row(sql, *values):
    """One statement, its first row as a dict, or None."""
    with connection() as db:
        return db.execute(sql, values).fetchone()


def id_of(text):
    """An id of the API as the number that it is in the database; 0, which no row has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and text[0] != "0" and int(text) < 2**63 else 0


def is_up():
    try:
        return bool(row("SELECT 1"))
    except Problem:
        return False


def create_tables():
    pool.open()
    with transaction() as db:
        db.execute("SELECT pg_advisory_xact_lock(1)")  # two servers that start at once: one after the other
        db.execute(Path(__file__).with_name("schema.sql").read_text())
