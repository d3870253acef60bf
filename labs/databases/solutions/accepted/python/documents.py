"""MongoDB: documents of many shapes, what it refuses by itself, transactions, and what happens while it is gone."""

import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pymongo
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

from web import Problem

PATIENCE = 1.2  # seconds for one request with all its work in MongoDB; to find none takes up to half a second more
PATIENCE_FOR_HEALTH = 0.8
PATIENCE_FOR_THE_UNFINISHED = 0.5
PATIENCE_AT_START = 10.0
NAMESPACE_EXISTS = 48

TEXT, LIST, WHOLE_NUMBER = {"bsonType": "string"}, {"bsonType": "array"}, {"bsonType": ["int", "long"]}


def kind(name, details):
    """What a page of this kind looks like."""
    details = {"bsonType": "object", "required": list(details), "properties": details}
    return {"properties": {"kind": {"enum": [name]}, "details": details}}


VALIDATORS = {
    "pages": {
        "required": ["kind", "title", "details", "version"],
        "properties": {"title": TEXT, "version": WHOLE_NUMBER},
        "oneOf": [
            kind("concert", {"acts": LIST}),
            kind("match", {"home": TEXT, "away": TEXT}),
            kind("play", {"roles": LIST}),
        ],
    },
    "reviews": {
        "required": ["page", "author", "stars", "text"],
        "properties": {
            "page": TEXT,
            "author": TEXT,
            "text": TEXT,
            "stars": {**WHOLE_NUMBER, "minimum": 1, "maximum": 5},
        },
    },
}

# The pages of a list are found by an index that has its order; two of these also refuse what must not be there twice.
INDEXES = {
    "page_history": [pymongo.IndexModel([("page", 1), ("version", -1)], unique=True)],
    "reviews": [
        pymongo.IndexModel([("page", 1), ("author", 1)], unique=True),
        pymongo.IndexModel([("page", 1), ("created_at", -1), ("_id", -1)]),
        pymongo.IndexModel([("page", 1), ("stars", 1), ("created_at", -1), ("_id", -1)]),
    ],
}

client = database = None
if "MONGODB_URL" in os.environ:
    client = pymongo.MongoClient(
        os.environ["MONGODB_URL"],
        connect=False,  # before the first use nobody is asked
        tz_aware=True,
        connectTimeoutMS=1000,
        heartbeatFrequencyMS=1000,  # how soon the client notices that MongoDB is silent, or back
    )
    database = client.get_default_database()

preparing = threading.Lock()
prepared = False
askers = ThreadPoolExecutor(max_workers=100)
unfinished = queue.SimpleQueue()
turns = [threading.Lock() for _ in range(64)]


@contextmanager
def reachable(patience=PATIENCE):
    """The database, for one request. `503` if MongoDB cannot be reached, or not in time."""
    if database is None:
        raise unavailable()
    try:
        with pymongo.timeout(patience):
            prepare()
            yield database
    except PyMongoError as error:
        if is_away(error):
            raise unavailable() from error
        raise


def is_away(error):
    """Whether MongoDB could not be reached, or not in time; otherwise it has refused something."""
    labels = "RetryableWriteError", "TransientTransactionError"
    return isinstance(error, ConnectionFailure) or error.timeout or any(map(error.has_error_label, labels))


def unavailable():
    return Problem(503, "unavailable", "MongoDB cannot be reached at the moment.")


def transaction(page, work):
    """Does `work(database, session)` in a transaction, and again if it met another one; gives what it returns.

    Who writes the same page waits for a turn. That only saves trips: in MongoDB, all but one would have to try again.
    """
    with reachable() as db, turn(page):
        session, lost = client.start_session(), False
        try:
            while True:
                try:
                    return session.with_transaction(lambda session: work(db, session))
                except DuplicateKeyError:
                    pass  # somebody else made this version while we did; the time limit of the request ends this, too
        except PyMongoError as error:
            lost = is_away(error)
            raise
        finally:
            unfinished.put(session) if lost else session.end_session()


@contextmanager
def turn(page):
    lock = turns[hash(page) % len(turns)]
    if not lock.acquire(timeout=PATIENCE):
        raise unavailable()
    try:
        yield
    finally:
        lock.release()


def end_the_unfinished():
    """Ends the transactions that nobody goes on with: MongoDB would keep their pages locked for a minute."""
    while True:
        session = unfinished.get()
        while True:
            try:
                with pymongo.timeout(PATIENCE_FOR_THE_UNFINISHED):
                    client.admin.command("killSessions", [session.session_id])
                break
            except PyMongoError as error:
                if not is_away(error):
                    break
                time.sleep(0.3)
        session.end_session()


# --- at start ----------------------------------------------------------------------------------------------------


def start():
    """Prepares the collections. Where MongoDB is away just now, the first request that finds it does so."""
    if database is not None:
        threading.Thread(target=end_the_unfinished, daemon=True).start()
        try:
            with reachable(PATIENCE_AT_START):
                pass
        except Problem as problem:
            print(problem, flush=True)


def prepare():
    """Makes the collections with validators and indexes, once; those that are there keep their documents."""
    global prepared
    if prepared:
        return
    if not preparing.acquire(timeout=PATIENCE):
        raise unavailable()
    try:
        there = {one["name"]: one["options"].get("validator") for one in database.list_collections()}
        for name in {**VALIDATORS, **INDEXES}:
            validator = {"$jsonSchema": VALIDATORS[name]} if name in VALIDATORS else None
            if name not in there:
                make(name, validator)
            elif validator != there[name]:
                database.command("collMod", name, validator=validator)
        for name, indexes in INDEXES.items():
            database[name].create_indexes(indexes)
        prepared = True
    finally:
        preparing.release()


def make(name, validator):
    try:
        database.create_collection(name, check_exists=False, **({"validator": validator} if validator else {}))
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:  # another server starts, too, and was quicker
            raise


# --- for /health -------------------------------------------------------------------------------------------------


def ask():
    """Asks MongoDB how it is, while the others are asked, too. A function that waits for what it says."""
    if database is None:
        return dict
    asked = askers.submit(is_up)
    return lambda: {"mongodb": "up" if asked.result() else "down"}


def is_up():
    try:
        with pymongo.timeout(PATIENCE_FOR_HEALTH):
            return bool(client.admin.command("ping"))
    except PyMongoError:
        return False
