"""What is inside an Elasticsearch of the labs, and how it becomes new again.

There are no logins: what is in it is the learner's, but for what a version brings along, which is recognised by
``_meta.managed`` or by a dot before its name. What could keep the rest from being deleted goes first.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from orchestrator.errors import EnvironmentFault
from orchestrator.services.elasticsearch.evidence.rest import Refused, Rest, groups, part

BLOCKS = ("index.blocks.read_only", "index.blocks.read_only_allow_delete", "index.blocks.write",
          "index.blocks.metadata", "index.blocks.read")
CLUSTER_BLOCKS = ("cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete")
LONG_WORK = "indices:data/*,*forcemerge*"
"""Tasks that go on when who asked for them has gone: searches, reindexing, what is done by query."""
END_SECONDS = 5.0
EVERY = {"expand_wildcards": "all"}
_FORBIDDEN = 403
_NONE_LEFT = 3
"""Rounds in which documents that are still being written may be deleted again."""

_TEMPLATES = (
    # Path, where the list is in the answer, the definition's name in each. A template comes before its components.
    ("/_index_template", "index_templates", "index_template"),
    ("/_component_template", "component_templates", "component_template"),
)
_NAMED = ("/_template", "/_ingest/pipeline", "/_ilm/policy", "/_snapshot")
"""Lists by name: legacy templates, pipelines, policies of the life cycle, repositories."""


def fresh(rest: Rest) -> None:
    """Everything of the learner's goes. Raises ``EnvironmentFault`` if something of it is still there afterwards."""
    _reset_settings(rest)
    _end_work(rest)
    rest.exchange("DELETE", "/_cluster/voting_config_exclusions", wait_for_removal=False)
    rest.exchange("DELETE", "/_search/scroll/_all")
    rest.exchange("DELETE", "/_search/point_in_time/_all")  # of OpenSearch; elsewhere they go with their indices
    streams = rest.if_known("/_data_stream/*", **EVERY)
    for group in groups(one["name"] for one in (streams or {}).get("data_streams", ())):
        rest.delete(f"/_data_stream/{group}", **EVERY)
    before = indices(rest)
    _delete_indices(rest, before)
    _delete_definitions(rest)
    for name in scripts(rest):
        rest.delete(f"/_scripts/{part(name)}")
    if found := list(_left(rest, before)):
        raise EnvironmentFault(f"Elasticsearch is not as labs made it: {', '.join(found)}", code="service-changed",
                               hint="labs check")


def indices(rest: Rest) -> dict[str, str]:
    """All indices, hidden and closed ones among them: name -> uuid, which a second one of that name does not have.

    From the state of the cluster: an index may forbid that anything else is asked about it.
    """
    answer = rest.get("/_cluster/state/metadata/_all", filter_path="metadata.indices.*.settings.index.uuid", **EVERY)
    found = answer.get("metadata", {}).get("indices", {})
    return {str(name): str(one["settings"]["index"]["uuid"]) for name, one in found.items()}


def scripts(rest: Rest) -> list[str]:
    """The stored scripts; only the state of the cluster lists them."""
    answer = rest.get("/_cluster/state/metadata", filter_path="metadata.stored_scripts")
    return sorted(answer.get("metadata", {}).get("stored_scripts", {}))


def contents(rest: Rest) -> frozenset[str]:
    """The indices that have documents. Those that are closed cannot be looked into, and count."""
    rest.post("/_refresh", ignore_unavailable=True, **EVERY)
    found = rest.get("/_cat/indices", format="json", h="index,docs.count", **EVERY)
    return frozenset(str(one["index"]) for one in found if one["docs.count"] != "0")


def clear(rest: Rest, spare: Collection[str]) -> None:
    """Delete the documents of all indices but the spared ones; mappings, aliases and settings stay.

    ``EnvironmentFault("table-held")`` where an index lets nobody delete in it.
    """
    for _ in range(_NONE_LEFT):
        full = sorted(contents(rest) - set(spare))
        if not full:
            return
        for name in full:
            try:
                rest.post(f"/{part(name)}/_delete_by_query", {"query": {"match_all": {}}}, conflicts="proceed",
                          refresh=True, **EVERY)
            except Refused as refused:
                raise EnvironmentFault(f"Elasticsearch's index {name} could not be emptied: {refused}",
                                       code="table-held") from refused
    raise EnvironmentFault("Elasticsearch's indices could not be emptied: your server writes documents all the time",
                           code="table-held")


def _reset_settings(rest: Rest) -> None:
    """One request for a block, which allows nothing else; then the others together."""
    changed = rest.get("/_cluster/settings", flat_settings=True)
    for kind in ("persistent", "transient"):
        for name in CLUSTER_BLOCKS:
            if name in changed[kind]:
                rest.put("/_cluster/settings", {kind: {name: None}})
    rest_of = {kind: dict.fromkeys(set(changed[kind]) - set(CLUSTER_BLOCKS)) for kind in ("persistent", "transient")}
    if any(rest_of.values()):
        rest.put("/_cluster/settings", {kind: names for kind, names in rest_of.items() if names})


def _end_work(rest: Rest) -> None:
    """End what still writes, and wait until it has ended."""
    end = time.monotonic() + END_SECONDS
    while list(_tasks(rest)) and time.monotonic() < end:
        rest.post("/_tasks/_cancel", actions=LONG_WORK)
        rest.get("/_tasks", actions=LONG_WORK, wait_for_completion=True, timeout="1s")


def _tasks(rest: Rest) -> Iterator[str]:
    for node in rest.get("/_tasks", actions=LONG_WORK).get("nodes", {}).values():
        yield from (str(task["action"]) for task in node["tasks"].values())


def _delete_indices(rest: Rest, names: Collection[str]) -> None:
    for group in groups(names):
        try:
            rest.delete(f"/{group}", ignore_unavailable=True, **EVERY)
        except Refused as refused:
            if refused.status != _FORBIDDEN:
                raise
            rest.put(f"/{group}/_settings", dict.fromkeys(BLOCKS), ignore_unavailable=True, **EVERY)
            rest.delete(f"/{group}", ignore_unavailable=True, **EVERY)


def _delete_definitions(rest: Rest) -> None:
    for path, many, one in _TEMPLATES:
        for found in (rest.if_known(path) or {many: ()})[many]:
            if not _is_products(found["name"], found[one]):
                rest.delete(f"{path}/{part(found['name'])}")
    for path in _NAMED:
        for name, definition in (rest.if_known(path) or {}).items():
            if not _is_products(name, definition.get("policy", definition)):
                rest.delete(f"{path}/{part(name)}")


def _is_products(name: str, definition: Mapping[str, Any]) -> bool:
    """Whether the version brings it along, and would make it again."""
    return name.startswith(".") or bool((definition.get("_meta") or {}).get("managed"))


def _left(rest: Rest, before: Mapping[str, str]) -> Iterator[str]:
    """What is still there, in words. An index with a dot that is new is the version's own."""
    for name, uuid in indices(rest).items():
        if before.get(name) == uuid or not name.startswith("."):
            yield f"the index {name}"
    yield from (f"the script {name}" for name in scripts(rest))
    settings = rest.get("/_cluster/settings", flat_settings=True)
    yield from (f"the setting {name}" for kind in ("persistent", "transient") for name in settings[kind])
    yield from (f"the task {action}" for action in _tasks(rest))
