"""Redis: a copy of each event that is read.

Under an event's key stands one of three things: its entry (JSON; `null`: there is no such event), `reading:TOKEN` while
somebody asks PostgreSQL for it, or `writing:TOKEN` while somebody changes it. All three end by themselves.
"""

import json
import os
import random
import time
import uuid

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from web import Problem

READING, WRITING = 1_500, 5_000  # milliseconds after which a reader or a writer that was killed is forgotten
PATIENCE = 3.0  # seconds after which a reader no longer waits for another one
LOOK_EVERY = 0.05

GONE = (redis.ConnectionError, redis.TimeoutError)

pool = redis.BlockingConnectionPool.from_url(
    os.environ["REDIS_URL"],
    decode_responses=True,
    max_connections=50,
    timeout=2,  # seconds to wait for a free connection of the pool
    socket_connect_timeout=0.8,
    socket_timeout=0.8,
    retry=Retry(NoBackoff(), 0),  # without Redis PostgreSQL is asked, at once
)
client = redis.Redis(connection_pool=pool)

# Look and write in one step: between two commands somebody else could write.
FILL = client.register_script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end"
)
# The mark may have vanished, and a reader have put the old event in its place: that goes, too. Another change's mark stays.
LEAVE = client.register_script(
    "local there = redis.call('GET', KEYS[1]) "
    "if there and (there == ARGV[1] or string.sub(there, 1, 8) ~= 'writing:') then redis.call('DEL', KEYS[1]) end"
)


def key_of(address):
    return f"event:{address}"


def read(address, ask):
    """The event as Redis has it; else as `ask(address)` finds it, which Redis has from then on."""
    try:
        found, token = look(address)
    except GONE:
        return ask(address)
    if found is not None:
        return json.loads(found)
    event = ask(address)
    if token is not None:
        fill(address, token, event)
    return event


def look(address):
    """The entry, or None and a token: then it is for us to ask. Without a token we may ask, and keep nothing."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = client.get(key_of(address))
        if found is None:
            token = f"reading:{uuid.uuid4()}"
            if client.set(key_of(address), token, nx=True, px=READING):
                return None, token
        elif found.startswith("writing:"):
            return None, None
        elif not found.startswith("reading:"):
            return found, None
        time.sleep(LOOK_EVERY)
    return None, None


def fill(address, token, event):
    """What was found becomes the entry, unless somebody has changed the event meanwhile."""
    try:
        FILL([key_of(address)], [token, json.dumps(event), lifetime(event)])
    except GONE as error:
        print(f"Redis cannot be reached: {error}", flush=True)


def lifetime(event):
    """Milliseconds, drawn anew for each entry: what is made together must not end together."""
    return random.randint(6_000, 9_000) if event is None else random.randint(32_000, 58_000)


def mark(address):
    """From now on reads ask PostgreSQL and keep nothing. To be called before the COMMIT, with the row locked."""
    token = f"writing:{uuid.uuid4()}"
    try:
        client.set(key_of(address), token, px=WRITING)
    except GONE as error:
        raise Problem(503, "cache_down", "Redis cannot be reached, so nothing can be changed.") from error
    return token


def unmark(address, token):
    """The change is committed. If Redis cannot be told, the mark ends by itself."""
    try:
        LEAVE([key_of(address)], [token])
    except GONE as error:
        print(f"Redis cannot be reached: {error}", flush=True)


def is_up():
    try:
        return client.ping()
    except GONE:
        return False
