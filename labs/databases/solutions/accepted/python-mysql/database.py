"""MySQL: a pool of few connections, transactions, and what happens while the database is gone."""

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from functools import wraps

import pymysql
from pymysql.constants import CLIENT
from sqlalchemy import create_engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from models import Base
from web import Problem

PATIENCE = 0.6  # seconds without a sign of life from the database before we say so
BUSY = 1.0  # seconds that a request waits for a connection: all may be lent to others, who wait for somebody's lock
LONGEST_WORK = 1.6  # seconds that a request may work with the database

# MySQL's own numbers of its errors. A class of exceptions says too little: PyMySQL raises OperationalError for a broken
# CHECK, too (3819).
DUPLICATE, STILL_NAMED = 1062, 1451  # a unique key has it already; a foreign key names it
LOCK_TIMEOUT, DEADLOCK = 1205, 1213
NO_SESSION = 1040, 1053, 1203, 1226, 2003, 2013  # too many connections, shutting down, limits of the user, not there

# READ COMMITTED: each statement sees what was committed before it. In REPEATABLE READ, MySQL's default, a SELECT after
# a wait for a lock still shows what there was at the transaction's first SELECT: a fifth ticket would be sold.
# The timeouts are in seconds: 1 is the shortest that MySQL takes for a row, and for a table (a "metadata lock").
SETTINGS = """
    SET SESSION transaction_isolation = 'READ-COMMITTED', time_zone = '+00:00',
                innodb_lock_wait_timeout = 1, lock_wait_timeout = 1"""

POOL_MAX = int(os.environ.get("DB_POOL_MAX", "8"))
places = threading.BoundedSemaphore(POOL_MAX)  # one for each connection

url = make_url(os.environ["DATABASE_URL"]).set(drivername="mysql+pymysql")
last_answer = 0.0  # when the database answered last, by time.monotonic()


def connect():
    """A new connection. We open its line ourselves, and keep it, so that cut_after() can break it."""
    line = socket.create_connection((url.host, url.port or 3306), timeout=PATIENCE)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small messages leave at once
    connection = pymysql.Connection(
        user=url.username,
        password=url.password or "",
        host=url.host,
        database=url.database,
        init_command=SETTINGS,
        client_flag=CLIENT.FOUND_ROWS,  # an UPDATE counts the rows that it found, also those that it left as they were
        read_timeout=LONGEST_WORK,
        write_timeout=LONGEST_WORK,
        defer_connect=True,
    )
    connection.line = line.dup()
    with cut_after(connection, PATIENCE):
        connection.connect(line)
    return connection


engine = create_engine(
    url,
    creator=connect,
    pool_size=POOL_MAX,
    max_overflow=0,
    pool_reset_on_return=None,  # transaction() leaves nothing open, so a ROLLBACK more would only cost time
)


@event.listens_for(engine, "checkout")
def check(connection, record, proxy):
    """Whether a connection from the pool still works. If one is broken, so are most likely all: away with them."""
    global last_answer
    try:
        with cut_after(connection, PATIENCE):
            connection.ping(reconnect=False)
    except pymysql.Error:
        raise InvalidatePoolError() from None  # SQLAlchemy then opens a new one
    last_answer = time.monotonic()


@contextmanager
def cut_after(connection, seconds):
    """Breaks the connection if the block takes longer: a database that says nothing must not hold us for ever.

    PyMySQL's own `read_timeout` begins anew with each answer, so it cannot say how long all of them may take.
    """

    def cut():
        with suppress(OSError):  # it may have ended by itself
            connection.line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@event.listens_for(engine, "close")
def let_go(connection, record):
    connection.line.close()  # the end of a line is heard only when both of its handles are closed


@contextmanager
def connection():
    """A connection of the pool, for one request. `503` if the database cannot be reached."""
    global last_answer
    take_place()
    try:
        with engine.connect() as db, cut_after(db.connection.dbapi_connection, LONGEST_WORK):
            yield db
            last_answer = time.monotonic()
    except OSError as error:
        raise unavailable() from error
    except DBAPIError as error:
        # A COMMIT whose answer is lost ends here, too: nobody knows whether it was done, so it is not sent again.
        if error.connection_invalidated or number_of(error) in NO_SESSION:
            raise unavailable() from error
        raise
    finally:
        places.release()


def take_place():
    """While the database is busy, wait for a connection; when it is silent, give up.

    SQLAlchemy's pool could wait, too (`pool_timeout`), but it begins anew when somebody else could not connect.
    """
    while not places.acquire(timeout=BUSY):
        if time.monotonic() - last_answer > PATIENCE:
            raise unavailable()


def unavailable():
    return Problem(503, "unavailable", "MySQL cannot be reached at the moment.")


def number_of(error):
    """MySQL's own number of an error."""
    return error.orig.args[0]


@contextmanager
def transaction():
    """A session of SQLAlchemy in a transaction: committed at the end of the block, rolled back if the block raises."""
    with connection() as db, lucky(), Session(db, expire_on_commit=False) as session:
        yield session
        session.commit()


class Unlucky(Problem):
    """MySQL ended the transaction, or a statement of it, so that another one can go on."""


@contextmanager
def lucky():
    """After a deadlock MySQL has undone the transaction; after a lock timeout one statement only. We undo it all."""
    began = time.monotonic()
    try:
        yield
    except DBAPIError as error:
        if number_of(error) == LOCK_TIMEOUT and time.monotonic() - began > 1:
            raise unavailable() from error  # it has waited long enough
        if number_of(error) in (DEADLOCK, LOCK_TIMEOUT):
            raise Unlucky(503, "unavailable", "Too many others want the same at the moment.") from error
        raise


def tried_again(work):
    """Does the work again, from its beginning, if its transaction was unlucky; five times at most."""

    @wraps(work)
    def tries(*arguments, **named):
        for _ in range(4):
            try:
                return work(*arguments, **named)
            except Unlucky:
                pass
        return work(*arguments, **named)

    return tries


def id_of(text):
    """An id of the API as the number that it is in the database; 0, which no row has, for anything else.

    Left to MySQL, `7 or more` would be 7: where text meets a number, it reads the digits in front.
    """
    return int(text) if text.isascii() and text.isdigit() and text[0] != "0" and len(text) < 19 else 0


def is_up():
    try:
        with transaction() as db:
            return db.scalar(select(1)) == 1
    except Problem:
        return False


def create_tables():
    """Two servers that start at once make them one after the other.

    A transaction is no help: MySQL commits each CREATE TABLE by itself. So they wait for a lock that has a name only.
    This connection is patient, with none of the settings above: somebody may be at work on the tables.
    """
    patient = create_engine(url, poolclass=NullPool)
    with patient.connect() as db:
        db.execute(select(func.get_lock(f"tables of {url.database}", 60)))  # it ends with the connection
        Base.metadata.create_all(db)
