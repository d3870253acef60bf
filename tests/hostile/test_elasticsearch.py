"""What a hostile server can do to an Elasticsearch that it shares with nobody, and may ask for anything.

There are no logins, so nothing is refused to it. What counts: the checker is not fooled, and the next attempt finds
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.containers import running_container
from support.services import Service

from orchestrator.checks.errors import SchemaWrong
from orchestrator.services.elasticsearch import space
from orchestrator.services.elasticsearch.evidence.reader import Elasticsearch
from orchestrator.services.elasticsearch.evidence.rest import Rest

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def service(image_table: Path) -> Iterator[Service]:
    with running_container("elasticsearch", image_table) as found:
        yield found


@pytest.fixture
def own(service: Service) -> Iterator[Rest]:
    """The node as the hostile server has it."""
    service.fresh()
    with Rest("127.0.0.1", service.endpoint.port, 10) as rest:
        rest.put("/pages/_doc/1", {"n": 1}, refresh=True)
        yield rest


@pytest.fixture
def reader(service: Service) -> Iterator[Elasticsearch]:
    made = Elasticsearch(service.admin)
    yield made
    made.close()


def test_a_search_is_counted_whatever_it_calls_itself(own: Rest, reader: Elasticsearch) -> None:
    """Not even with the name of another reader's group, which anybody can look up."""
    other = Elasticsearch({"host": "127.0.0.1", "port": own._where[1]})
    other.count("pages")
    (known,) = own.get("/pages/_stats/search", groups="*")["_all"]["total"]["search"]["groups"]
    with reader.searches() as seen:
        own.post("/pages/_search", {"stats": [known, "seen-", "*"]})
    other.close()

    assert seen.by_index == {"pages": 1}


def test_an_alias_of_a_part_is_told(own: Rest, reader: Elasticsearch) -> None:
    """It would show the checker other documents than the server has; an alias of all is as good as an index."""
    own.put("/pages/_alias/whole")
    assert reader.count("whole") == 1
    own.put("/pages/_alias/part", {"filter": {"term": {"n": 2}}})
    for ask in (reader.count, reader.documents, reader.hits):
        with pytest.raises(SchemaWrong) as caught:
            ask("part")
        assert caught.value.reason == "schema-wrong-type"


@pytest.mark.parametrize(("block", "reason"), [
    ("read", "schema-index-closed"), ("write", "schema-plant-refused"), ("read_only", "schema-plant-refused"),
])
def test_a_block_against_the_checker_is_told(own: Rest, reader: Elasticsearch, block: str, reason: str) -> None:
    """The learner's schema, not our error."""
    own.put("/pages/_settings", {f"index.blocks.{block}": True})
    with pytest.raises(SchemaWrong) as caught:
        reader.documents("pages") if block == "read" else reader.plant("pages", {"n": 3})
    assert caught.value.reason == reason


LEFT: dict[str, Any] = {
    "a node that may not be master": lambda rest: rest.exchange(
        "POST", "/_cluster/voting_config_exclusions", node_names="nobody", timeout="1s"),
    "no shard is placed": lambda rest: rest.put(
        "/_cluster/settings", {"persistent": {"cluster.routing.allocation.enable": "none"}}),
    "nothing may be changed": lambda rest: rest.put(
        "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": True}}),
    "deleting is named": lambda rest: rest.put(
        "/_cluster/settings", {"transient": {"action.destructive_requires_name": True}}),
    "two blocks": lambda rest: rest.put("/pages/_settings", {"index.blocks.read_only": True, "index.blocks.metadata": True}),
    "a name with odd letters": lambda rest: rest.put("/%C3%A9t%C3%A9+%26%25"),
    "a template for all": lambda rest: rest.put("/_index_template/all", {
        "index_patterns": ["*"], "template": {"settings": {"index.blocks.write": True}}}),
    "a pipeline for all": lambda rest: (
        rest.put("/_ingest/pipeline/drop", {"processors": [{"drop": {}}]}),
        rest.put("/_index_template/all", {"index_patterns": ["*"],
                                          "template": {"settings": {"index.default_pipeline": "drop"}}})),
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_the_next_attempt_finds_nothing(service: Service, own: Rest, left: Any) -> None:
    """Whatever was left: indices are gone, and new ones can be made and written as if nothing had been."""
    left(own)

    service.fresh()

    assert space.indices(own) == {}
    own.put("/next", {"settings": {"number_of_shards": 1}})
    own.put("/next/_doc/1", {"n": 1}, refresh=True)
    assert own.get("/next/_doc/1")["_source"] == {"n": 1}
    assert own.get("/_cluster/health", timeout="5s", wait_for_status="yellow")["status"] == "yellow"
