"""How often Elasticsearch was searched while a block ran, by index, from its own counts.

A search is counted once on each shard that it asks. The checker's own searches carry the name of a group, which has
counts of its own, so they can be taken off exactly. The name is another one for each reader: a server that knew it
could have its own searches taken for the checker's. A search of several shards counts as one: the most that any of an
index's shards was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator.checks.errors import ServiceLost
from orchestrator.services.elasticsearch.evidence.faults import lost
from orchestrator.services.elasticsearch.evidence.rest import Rest

OWN = "seen-"
"""What the names of all readers' groups begin with."""
Counts = dict[tuple[str, str, str], int]
"""Index, its uuid, the shard's number -> searches of others than the checker."""


@dataclass(slots=True)
class Searches:
    """What the block saw; empty until it has ended. An index that is gone by then is not in it.

    ``by_index``: each index that was searched (counts of documents, and what changes or deletes by query, search too).
    """

    by_index: dict[str, int] = field(default_factory=dict)
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All of them; a search of two indices at once is two."""
        return sum(self.by_index.values())

    def of(self, name: str) -> int:
        """The searches of one index, or of all those that an alias stands for."""
        return sum(self.by_index.get(one, 0) for one in self.aliases.get(name, (name,)))


@contextmanager
def counted(rest: Rest, group: str) -> Iterator[Searches]:
    """Fill a ``Searches`` with what came on top while the block ran."""
    result = Searches()
    with lost():
        node, before = _started(rest), _counts(rest, group)
    yield result
    with lost():
        after = _counts(rest, group)
        aliases = rest.get("/_alias")
        if _started(rest) != node:
            raise ServiceLost("elasticsearch", "it was started again during the measurement")
    for name, uuid, shard in after:
        more = after[name, uuid, shard] - before.get((name, uuid, shard), 0)
        if more < 0:
            raise ServiceLost("elasticsearch", "its counters were reset during the measurement")
        if more:
            result.by_index[name] = max(more, result.by_index.get(name, 0))
    for name, one in aliases.items():
        for alias in one["aliases"]:
            result.aliases[alias] = (*result.aliases.get(alias, ()), name)


def _counts(rest: Rest, group: str) -> Counts:
    answer = rest.get("/_stats/search", level="shards", groups=group, expand_wildcards="open,hidden")
    return {(name, str(one["uuid"]), shard): sum(others(copy["search"], group) for copy in copies)
            for name, one in answer["indices"].items() for shard, copies in one["shards"].items()}


def others(search: Mapping[str, Any], begin: str) -> int:
    """The searches in some counts, without those of the groups whose names begin so."""
    groups = search.get("groups", {})
    own = sum(int(one.get("query_total", 0)) for name, one in groups.items() if name.startswith(begin))
    return int(search["query_total"]) - own


def _started(rest: Rest) -> str:
    answer = rest.get("/_nodes/_local/jvm", filter_path="nodes.*.jvm.start_time_in_millis")
    return str(answer["nodes"])
