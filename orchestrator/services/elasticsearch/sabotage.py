"""Elasticsearch turned against a right server, for proofs: what it keeps is lost.

From beside the server, with the calls that the server itself could make: checks must notice it from documents alone.

That nothing new is ever found by a search is not among it: a server that refreshes after each write cannot be spoilt
so, and Elasticsearch's counts do not tell it from one that does not.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from orchestrator.services.elasticsearch.evidence.rest import Refused, Rest, part
from orchestrator.services.elasticsearch.record import read
from orchestrator.services.elasticsearch.wire import NUMBER

GONE = "every document of {} is gone after a write"
SECONDS = 5.0
PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each emptying: a change must be found within two."""
_WORDS = re.compile(r"every document of (\S+) is gone after a write")


def possible(statements: Iterable[str]) -> list[str]:
    """What can be spoilt for a server that was recorded so."""
    return sorted({GONE.format(_family(index)) for index, done in read(iter(statements)) if done.written})


def begin(environ: Mapping[str, str], what: str) -> None:
    """Nothing yet: the indices are there, and nothing is in them."""


def after_write(environ: Mapping[str, str], what: str) -> None:
    """Spoil it, after every write. ``environ`` is the server's; ``what`` is one of ``possible``."""
    match = _WORDS.fullmatch(what)
    if match is None:
        raise ValueError(f"not a sabotage of Elasticsearch: {what}")
    threading.Thread(target=_empty, args=(environ["ELASTICSEARCH_URL"], part(match[1])), daemon=True).start()


def _family(index: str) -> str:
    """``events-2f6c...`` is ``events-*``: the number of an index is another one in each run."""
    return NUMBER.sub("*", index)


def _empty(url: str, index: str) -> None:
    """Again and again for a while: a server may carry to Elasticsearch after its answer what was written."""
    address = urlsplit(url)
    for pause in PAUSES:
        time.sleep(pause)
        # What cannot be reached has nothing to spoil.
        with suppress(OSError, Refused), Rest(address.hostname or "127.0.0.1", address.port or 9200, SECONDS) as rest:
            rest.post(f"/{index}/_refresh")
            rest.post(f"/{index}/_delete_by_query", {"query": {"match_all": {}}}, refresh=True, conflicts="proceed")
