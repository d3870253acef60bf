"""Redis: what is hot, short-lived and may be lost."""

import os
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from web import Problem

GONE = (redis.ConnectionError, redis.TimeoutError)

pool = redis.BlockingConnectionPool.from_url(
    os.environ["REDIS_URL"],
    decode_responses=True,
    max_connections=50,
    timeout=5,  # seconds to wait for a free connection of the pool
    socket_connect_timeout=0.5,
    socket_timeout=0.5,
    retry=Retry(NoBackoff(), 0),  # a client that waits is better served with a quick "unavailable"
)
client = redis.Redis(connection_pool=pool)


@contextmanager
def required():
    """For what cannot be done without Redis: `503` if it cannot be reached."""
    try:
        yield client
    except GONE as error:
        raise Problem(503, "unavailable", "Redis cannot be reached at the moment.") from error


@contextmanager
def optional():
    """For what is nice to have: if Redis cannot be reached, the rest of the block is left out."""
    try:
        yield client
    except GONE as error:
        print(f"Redis cannot be reached: {error}", flush=True)


def is_up():
    try:
        return client.ping()
    except GONE:
        return False
