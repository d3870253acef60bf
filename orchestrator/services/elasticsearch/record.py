"""What Elasticsearch counted by index while the learner's server was judged: how much was written, searched, read.

It keeps no list of what it was asked, and no name of who asked. So there is one record for each index, made at the end,
and the documents that checks planted are among what was written.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Record
from orchestrator.services.base import Recorded
from orchestrator.services.elasticsearch.evidence.rest import Rest
from orchestrator.services.elasticsearch.evidence.searches import OWN, others

SOURCE = "statistics"
GAP = ("Elasticsearch keeps no list of requests, only counts for each index; what checks planted is among what was "
       "written")
_WORDS = {"written": ("document written", "documents written"), "deleted": ("deleted", "deleted"),
          "searches": ("search", "searches"), "reads": ("read by id", "reads by id")}
_PART = re.compile(r"(\d+) (document written|documents written|deleted|searches|search|reads by id|read by id)")


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """What was done to one index."""

    written: int = 0
    deleted: int = 0
    searches: int = 0
    reads: int = 0

    def __sub__(self, other: IndexCounts) -> IndexCounts:
        return IndexCounts(*(max(0, getattr(self, name) - getattr(other, name)) for name in _WORDS))


class ElasticsearchRecorder:
    """See ``Recorder``."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Rest]]) -> None:
        self._connect = connect
        with connect() as rest:
            self._before = counts(rest)

    def stop(self) -> Recorded:
        try:
            with self._connect() as rest:
                after = counts(rest)
        except (ConnectionError, EnvironmentFault) as error:
            return Recorded(gap=f"what Elasticsearch counted could not be read: {error}")
        now = time.time()
        lines = (line(name, now_there - self._before.get((name, uuid), IndexCounts()))
                 for (name, uuid), now_there in sorted(after.items()))
        records = tuple(Record("elasticsearch", now, text, SOURCE) for text in lines if text)
        return Recorded(records, GAP)


def counts(rest: Rest) -> dict[tuple[str, str], IndexCounts]:
    """Index and its uuid -> what was done to it until now, by others than the checker as far as searches go."""
    answer = rest.get("/_stats/indexing,search,get", groups=f"{OWN}*", expand_wildcards="open,hidden")
    return {(name, str(one["uuid"])): _of(one["total"]) for name, one in answer["indices"].items()}


def _of(total: Mapping[str, Any]) -> IndexCounts:
    return IndexCounts(int(total["indexing"]["index_total"]), int(total["indexing"]["delete_total"]),
                       others(total["search"], OWN), int(total["get"]["total"]))


def line(index: str, done: IndexCounts) -> str:
    """``pages: 3 documents written, 1 search``; empty where nothing was done."""
    parts = [f"{count} {words[count != 1]}" for name, words in _WORDS.items() if (count := getattr(done, name))]
    return f"{index}: {', '.join(parts)}" if parts else ""


def read(lines: Iterator[str]) -> Iterator[tuple[str, IndexCounts]]:
    """What ``line`` wrote."""
    names = {word: name for name, words in _WORDS.items() for word in words}
    for text in lines:
        index, colon, rest = text.partition(": ")
        if colon:
            yield index, IndexCounts(**{names[word]: int(count) for count, word in _PART.findall(rest)})
