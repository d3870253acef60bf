"""MongoDB turned against a right server, for proofs: what it keeps is lost, or is kept for ever.

Works with the learner's own rights, from beside the server: checks must notice it from the documents alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

GONE, FOR_EVER = "every document of {} is gone after a write", "no document of {} expires"
A_HUNDRED_YEARS = 2**31 - 1
_WRITE = re.compile(r"db\.([\w.-]+)\.(?:insert|update|replace|findOneAnd)\w*\(")
_EXPIRY = re.compile(r"db\.([\w.-]+)\.createIndex\(.*expireAfterSeconds")
_WORDS = re.compile(r"every document of ([\w.-]+) is gone after a write|no document of ([\w.-]+) expires")


def possible(statements: Iterable[str]) -> list[str]:
    """What can be spoilt for a server that sends these operations, as ``mongosh`` would have them."""
    found: set[str] = set()
    for statement in statements:
        found |= {GONE.format(name) for name in _WRITE.findall(statement)}
        found |= {FOR_EVER.format(name) for name in _EXPIRY.findall(statement)}
    return sorted(found)


def begin(environ: Mapping[str, str], what: str) -> None:
    """Spoil it. ``environ`` is the server's; its collections are there. ``what`` is one of ``possible``."""
    _, lasting = _collections(what)
    if lasting:
        _do(environ, lasting, expiry=True)


def after_write(environ: Mapping[str, str], what: str) -> None:
    """Spoil it again, where that is done after every write."""
    gone, _ = _collections(what)
    if gone:
        _do(environ, gone, expiry=False)


def _collections(what: str) -> tuple[str | None, str | None]:
    match = _WORDS.fullmatch(what)
    if match is None:
        raise ValueError(f"not a sabotage of MongoDB: {what}")
    return match[1], match[2]


def _do(environ: Mapping[str, str], name: str, *, expiry: bool) -> None:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    # What cannot be reached has nothing to spoil.
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(environ["MONGODB_URL"], serverSelectionTimeoutMS=3000)
        with client:
            database = client.get_default_database()
            if not expiry:
                database[name].delete_many({})
                return
            for index in database[name].list_indexes():
                if "expireAfterSeconds" in index:
                    database.command("collMod", name, index={
                        "name": index["name"], "expireAfterSeconds": A_HUNDRED_YEARS})
    except PyMongoError:
        pass
