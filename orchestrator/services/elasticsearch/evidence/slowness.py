"""How long Elasticsearch keeps others waiting: a busy machine, or memory that it tidies, is nobody's fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.services.elasticsearch.evidence.rest import Rest, part

EVERY = 0.05
USUAL = 0.1
"""Seconds in which a document is read by its id, or found to be none, where nothing is slow."""


@contextmanager
def watched(open_rest: Callable[[], Rest], index: str) -> Iterator[list[float]]:
    """See ``Elasticsearch.slowness``."""
    late: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        with open_rest() as rest:
            while not ended.wait(EVERY):
                began = time.monotonic()
                try:
                    rest.exchange("GET", f"/{part(index)}/_doc/none")
                except OSError:
                    late.clear()
                    return
                late.append(max(0.0, time.monotonic() - began - USUAL))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield late
    finally:
        ended.set()
        asking.join()
