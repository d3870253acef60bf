"""What Elasticsearch itself shows: documents as a search finds them, mappings, aliases, and how often it was searched.

A document is found by a search only after a refresh, which Elasticsearch does each second, or when it is told to. The
reader never refreshes but where its methods say so: what it sees is what the learner's server would see.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.services.elasticsearch.evidence.faults import lost, schema_fault
from orchestrator.services.elasticsearch.evidence.rest import Refused, Rest, part
from orchestrator.services.elasticsearch.evidence.searches import OWN, Searches, counted
from orchestrator.services.elasticsearch.evidence.slowness import watched

Document = dict[str, Any]
SECONDS = 10.0
MOST = 10_000
"""Documents in one answer; Elasticsearch itself gives no more."""
_NOT_THERE = 404


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that a search found. ``score`` is ``None`` where a search is sorted by something else."""

    id: str
    score: float | None
    source: Mapping[str, Any]


class Elasticsearch:
    """The fixture ``elasticsearch`` of checks, from what ``Recipe.admin`` gives. See ``docs/checks-api.md``."""

    def __init__(self, admin: Mapping[str, Any]) -> None:
        self._open = partial(Rest, str(admin["host"]), int(admin["port"]), SECONDS)
        self._rest = self._open()
        self._group = f"{OWN}{secrets.token_hex(8)}"

    def close(self) -> None:
        """Let go of the connection."""
        self._rest.close()

    # --- documents -------------------------------------------------------------------------------------------------

    def search(self, index: str, query: Mapping[str, Any] | None = None, **more: Any) -> Document:
        """The whole answer to a search: ``hits``, ``aggregations``, ... ``more``: what else its body has (``aggs``)."""
        body = {"track_total_hits": True, **more, "stats": [self._group]} | ({} if query is None else {"query": query})
        with self._judged(index):
            self._must_show_all(index)
            answer: Document = self._rest.post(f"/{part(index)}/_search", body)
        if answer["_shards"]["failed"] or answer["timed_out"]:
            raise ServiceLost("elasticsearch", f"a part of {index} gave no answer")
        return answer

    def hits(self, index: str, query: Mapping[str, Any] | None = None, *, sort: Sequence[Any] = (),
             size: int = 100) -> list[Hit]:
        """What a search finds, the best first, or as ``sort`` has it."""
        more = {"sort": list(sort)} if sort else {}
        found = self.search(index, query, size=size, **more)["hits"]["hits"]
        return [Hit(str(one["_id"]), one.get("_score"), one.get("_source", {})) for one in found]

    def documents(self, index: str, query: Mapping[str, Any] | None = None) -> dict[str, Document]:
        """All documents that match, by id. ``LookupError`` if there are more than 10000."""
        answer = self.search(index, query, size=MOST, sort=["_doc"])["hits"]
        if (total := answer["total"]["value"]) > MOST:
            raise LookupError(f"{total} documents in {index}: ask for less than {MOST}")
        return {str(one["_id"]): one.get("_source", {}) for one in answer["hits"]}

    def count(self, index: str, query: Mapping[str, Any] | None = None) -> int:
        """How many documents match."""
        return int(self.search(index, query, size=0)["hits"]["total"]["value"])

    def get(self, index: str, key: str) -> Document | None:
        """One document by its id, whether a search would find it yet or not; ``None`` if it is not there."""
        with self._judged(index):
            try:
                found: Document = self._rest.get(f"/{part(index)}/_doc/{part(key)}")
            except Refused as refused:
                if refused.status != _NOT_THERE or refused.kind:
                    raise
                return None
        return found.get("_source") if found.get("found") else None

    def plant(self, index: str, *documents: Mapping[str, Any], ids: Sequence[str] = ()) -> list[str]:
        """Index documents, and refresh; their ids. Refused: ``SchemaWrong("schema-plant-refused")``.

        The index must be there: planting makes none.
        """
        actions = [{"index": {"_id": key}} for key in ids] or [{"index": {}} for _ in documents]
        with self._judged(index, planting=True):
            self._must_be_there(index)
            lines = [line for pair in zip(actions, map(dict, documents), strict=True) for line in pair]
            answer = self._rest.post(f"/{part(index)}/_bulk", lines, refresh=True) if lines else {"items": []}
            results = [item["index"] for item in answer["items"]]
            for one in results:
                if "error" in one:
                    raise Refused(int(one["status"]), str(one["error"]["type"]), _whole(one["error"]))
        return [str(one["_id"]) for one in results]

    def delete(self, index: str, query: Mapping[str, Any] | None = None) -> int:
        """Delete all documents that match, and refresh; how many."""
        found = [(one["_index"], one["_id"]) for one in
                 self.search(index, query, size=MOST, sort=["_doc"], _source=False)["hits"]["hits"]]
        lines = [{"delete": {"_index": name, "_id": key}} for name, key in found]
        with self._judged(index, planting=True):
            items = self._rest.post("/_bulk", lines, refresh=True)["items"] if lines else []
            for item in items:
                if "error" in item["delete"]:
                    error = item["delete"]["error"]
                    raise Refused(int(item["delete"]["status"]), str(error["type"]), _whole(error))
        return sum(item["delete"]["result"] == "deleted" for item in items)

    def refresh(self, index: str = "_all") -> None:
        """Let searches find all that was written until now."""
        with self._judged(index):
            self._rest.post(f"/{part(index)}/_refresh")

    # --- what there is -----------------------------------------------------------------------------------------------

    def indices(self) -> list[str]:
        """The indices, without hidden ones."""
        with self._judged():
            found = self._rest.get("/_cat/indices", format="json", h="index", expand_wildcards="open,closed")
        return sorted(str(one["index"]) for one in found if not str(one["index"]).startswith("."))

    def aliases(self) -> dict[str, list[str]]:
        """Each alias with the indices that it stands for."""
        with self._judged():
            found = self._rest.get("/_alias")
        names = sorted({alias for one in found.values() for alias in one["aliases"]})
        return {alias: sorted(name for name, one in found.items() if alias in one["aliases"]) for alias in names}

    def mapping(self, index: str) -> dict[str, Document]:
        """The fields of an index, each as it is mapped: ``{"title": {"type": "text"}}``."""
        with self._judged(index):
            found = self._rest.get(f"/{part(index)}/_mapping")
        fields: dict[str, Document] = {}
        for one in found.values():
            fields |= one["mappings"].get("properties", {})
        return fields

    def settings(self, index: str) -> Document:
        """The settings of an index, flat: ``{"index.number_of_shards": "1", ...}``."""
        with self._judged(index):
            found = self._rest.get(f"/{part(index)}/_settings", flat_settings=True)
        first: Document = next(iter(found.values()))["settings"]
        return first

    # --- what the server did -----------------------------------------------------------------------------------------

    def searches(self) -> AbstractContextManager[Searches]:
        """How often others than the checker search while the block runs, by index. Filled when the block ends."""
        return counted(self._rest, self._group)

    def slowness(self, index: str) -> AbstractContextManager[list[float]]:
        """While the block runs, a document that is not there is asked for again and again, by a connection of its own.

        By how many seconds each answer came later than it does where nothing is slow; empty if Elasticsearch was away.
        """
        return watched(self._open, index)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _must_be_there(self, index: str) -> None:
        if self._rest.exchange("HEAD", f"/{part(index)}")[0] == _NOT_THERE:
            raise Refused(_NOT_THERE, "index_not_found_exception", f"no such index [{index}]")

    def _must_show_all(self, index: str) -> None:
        """An alias may have a filter: then it shows less than the server reads from what is behind it."""
        for name, one in (self._rest.if_known(f"/_alias/{part(index)}") or {}).items():
            if any("filter" in alias for alias in one["aliases"].values()):
                raise SchemaWrong("schema-wrong-type", f"what {index} is in Elasticsearch",
                                  "an index, or an alias of all that is in it", f"an alias of a part of {name}")

    @contextmanager
    def _judged(self, index: str = "", *, planting: bool = False) -> Iterator[None]:
        """Whose fault an error of Elasticsearch's is: the schema's, the service's, or (as it is) the check's own."""
        with lost():
            try:
                yield
            except Refused as refused:
                wrong = schema_fault(refused, index, planting=planting)
                if wrong is None:
                    raise
                raise wrong from refused


def _whole(error: Mapping[str, Any]) -> str:
    """The reason of an item, and what it comes from, which has the word that helps."""
    cause = (error.get("caused_by") or {}).get("reason")
    return f"{error.get('reason', '')}: {cause}" if cause else str(error.get("reason", ""))


