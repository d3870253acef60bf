"""Elasticsearch turned against a right server, for proofs: what it keeps is lost, or is never found by a search.

From beside the server, with the calls that the server itself could make: checks must notice it from documents alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from orchestrator.services.elasticsearch.evidence.rest import Refused, Rest, part
from orchestrator.services.elasticsearch.record import read

GONE, NEVER = "every document of {} is gone after a write", "no search finds what is new in {}"
SECONDS = 5.0
_WORDS = re.compile(r"every document of (\S+) is gone after a write|no search finds what is new in (\S+)")


def possible(statements: Iterable[str]) -> list[str]:
    """What can be spoilt for a server that was recorded so.

    That nothing becomes visible by itself is of matter only to who does not refresh after each write, and searches.
    """
    found: set[str] = set()
    for index, done in read(iter(statements)):
        if done.written:
            found.add(GONE.format(index))
        if done.searches and done.refreshes < done.written:
            found.add(NEVER.format(index))
    return sorted(found)


def begin(environ: Mapping[str, str], what: str) -> None:
    """Spoil it. ``environ`` is the server's; its indices are there. ``what`` is one of ``possible``."""
    _, unseen = _indices(what)
    if unseen:
        _ask(environ, "PUT", f"/{part(unseen)}/_settings", {"index.refresh_interval": "-1"})


def after_write(environ: Mapping[str, str], what: str) -> None:
    """Spoil it again, where that is done after every write."""
    gone, _ = _indices(what)
    if gone:
        _ask(environ, "POST", f"/{part(gone)}/_refresh", None)
        _ask(environ, "POST", f"/{part(gone)}/_delete_by_query?refresh=true&conflicts=proceed",
             {"query": {"match_all": {}}})


def _indices(what: str) -> tuple[str | None, str | None]:
    match = _WORDS.fullmatch(what)
    if match is None:
        raise ValueError(f"not a sabotage of Elasticsearch: {what}")
    return match[1], match[2]


def _ask(environ: Mapping[str, str], method: str, path: str, body: Any) -> None:
    address = urlsplit(environ["ELASTICSEARCH_URL"])
    host, port = address.hostname or "127.0.0.1", address.port or 9200
    # What cannot be reached has nothing to spoil.
    with suppress(OSError, Refused), Rest(host, port, SECONDS) as rest:
        rest.ask(method, path, body)
