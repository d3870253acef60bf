"""The search made anew: a new index beside the old one, filled from PostgreSQL, and then the alias moved to it.

Meanwhile the old one answers, and the worker writes each change to both.
"""

import threading
import time
from contextlib import contextmanager, suppress

import psycopg

import database
import index
from elastic import Refused
from patience import meanwhile
from web import Problem, route

BATCH = 500
LOCK = 2  # the number of PostgreSQL's advisory lock that a rebuild holds
GRACE = 2.0  # seconds in which searches and writes end that began on the old index
PAUSE = 0.5

NEXT_EVENTS = "SELECT id, name, venue, starts_at, version FROM events WHERE id > %s ORDER BY id LIMIT %s"


@route("POST", "/search/rebuild")
def rebuild(request):
    elasticsearch = meanwhile(index.all_with_aliases)
    with database.borrowed() as db:
        elasticsearch()  # 503 if it cannot be reached
        with alone(db):
            return 200, {"events": make(db)}


def make_if_missing():
    with database.borrowed() as db, alone(db):
        if not any(index.ALIAS in aliases for aliases in index.all_with_aliases().values()):
            make(db)


@contextmanager
def alone(db):
    """One rebuild at a time. The lock ends with its connection, also if the server is killed."""
    try:
        database.ask(db, "SELECT pg_advisory_lock(%s)", LOCK)
    except psycopg.errors.QueryCanceled:
        raise Problem(409, "rebuild_running", "Somebody else makes the search anew at the moment.") from None
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):
            database.ask(db, "SELECT pg_advisory_unlock(%s)", LOCK)


def make(db):
    new = index.create()
    written = copy(db, new)
    index.refresh(new)
    old = index.switch_to(new)
    threading.Thread(target=delete_later, args=[old], daemon=True).start()
    return written


def copy(db, new):
    """All events into the new index; how many. What others change meanwhile, the worker writes there."""
    written = last = 0
    while events := database.ask(db, NEXT_EVENTS, last, BATCH).fetchall():
        if index.write(events, [new], refresh=False):
            raise Problem(503, "unavailable", "Elasticsearch did not take all events.")
        written, last = written + len(events), events[-1]["id"]
    return written


def delete_later(names):
    time.sleep(GRACE)
    while names:
        try:
            return index.delete(names)
        except (Problem, Refused):
            time.sleep(PAUSE)
