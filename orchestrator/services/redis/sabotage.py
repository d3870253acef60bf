"""Redis turned against a right server, for proofs: what it keeps is lost, or is kept for ever.

Works with the learner's own rights, from beside the server: checks must notice it from the keys alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

GONE = "every key is gone after a write"
FOR_EVER = "no key expires"
EXPIRY = ("EX", "PX", "EXAT", "PXAT", "EXPIRE", "PEXPIRE", "SETEX", "PSETEX")


def possible(commands: Iterable[str]) -> list[str]:
    """What can be spoilt for a server that sends these commands."""
    words = {word.strip('"').upper() for command in commands for word in command.split()}
    return [GONE, FOR_EVER] if words & set(EXPIRY) else [GONE] if words else []


def begin(environ: Mapping[str, str], what: str) -> None:
    """Nothing: it is done again after every write."""


def after_write(environ: Mapping[str, str], what: str) -> None:
    """Spoil it. ``environ`` is the server's; ``what`` is one of ``possible``."""
    import redis

    # What cannot be reached has nothing to spoil.
    try:
        with redis.Redis.from_url(environ["REDIS_URL"], socket_timeout=3, socket_connect_timeout=3) as client:
            if what == GONE:
                client.flushdb()
            else:
                found: Any = client.scan_iter(count=1000)
                for key in found:
                    client.persist(key)
    except redis.RedisError:
        pass
