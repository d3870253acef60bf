"""What the fixture ``elasticsearch`` says, against a real node: documents, schema, searches, and whose fault an error is."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from support.services import Service

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.services.elasticsearch.evidence.reader import Elasticsearch
from orchestrator.services.elasticsearch.evidence.rest import Refused, Rest
from orchestrator.system.ports import free_port

MAPPING = {"dynamic": "strict", "properties": {"title": {"type": "text"}, "venue": {"type": "keyword"}, "n": {"type": "integer"}}}


@pytest.fixture
def server(elasticsearch: Elasticsearch, elasticsearch_service: Service) -> Any:
    """The learner's server: a client of its own; one index and an alias are there."""
    with Rest("127.0.0.1", elasticsearch_service.endpoint.port, 10) as rest:
        rest.put("/events-v1", {"mappings": MAPPING, "aliases": {"events": {}},
                                "settings": {"index.refresh_interval": "-1"}})
        yield rest


def test_documents_are_what_a_search_finds(elasticsearch: Elasticsearch, server: Rest) -> None:
    """What was written is there by its id at once, for searches after a refresh; reading makes none."""
    server.put("/events-v1/_doc/1", {"title": "a fox", "n": 1})

    assert elasticsearch.get("events", "1") == {"title": "a fox", "n": 1}
    assert elasticsearch.documents("events") == {}
    assert elasticsearch.count("events") == 0
    elasticsearch.refresh("events")
    assert elasticsearch.documents("events") == {"1": {"title": "a fox", "n": 1}}
    assert elasticsearch.get("events", "2") is None


def test_planted_documents_are_found_and_deleted_ones_are_not(elasticsearch: Elasticsearch, server: Rest) -> None:
    """With ids of the check's own, or with new ones."""
    ids = elasticsearch.plant("events", {"title": "the fox", "n": 1}, {"title": "a dog and a fox", "n": 2})
    assert elasticsearch.plant("events", {"title": "cat", "n": 3}, ids=["c"]) == ["c"]

    assert [hit.source["n"] for hit in elasticsearch.hits("events", {"match": {"title": "fox"}})] == [1, 2]
    assert [hit.id for hit in elasticsearch.hits("events", sort=[{"n": "desc"}], size=2)] == ["c", ids[1]]
    assert elasticsearch.count("events", {"range": {"n": {"gte": 2}}}) == 2
    assert elasticsearch.search("events", size=0, aggs={"sum": {"sum": {"field": "n"}}})["aggregations"]["sum"]["value"] == 6
    assert elasticsearch.delete("events", {"match": {"title": "fox"}}) == 2
    assert list(elasticsearch.documents("events")) == ["c"]


def test_the_schema_is_told(elasticsearch: Elasticsearch, server: Rest) -> None:
    """Indices without hidden ones, aliases, fields through an alias, settings."""
    server.put("/.hidden")

    assert elasticsearch.indices() == ["events-v1"]
    assert elasticsearch.aliases() == {"events": ["events-v1"]}
    assert elasticsearch.mapping("events") == MAPPING["properties"]
    assert elasticsearch.settings("events")["index.number_of_shards"] == "1"


def test_searches_of_others_are_counted_exactly(elasticsearch: Elasticsearch, server: Rest) -> None:
    """Each search, count and part of a multi-search is one; the checker's own are none; an index of three shards, too."""
    server.put("/wide", {"settings": {"number_of_shards": 3}})
    elasticsearch.plant("events", {"n": 1})
    with elasticsearch.searches() as seen:
        for _ in range(3):
            server.post("/events/_search", {"query": {"term": {"n": 1}}})
        server.get("/events-v1/_count")
        server.ask("POST", "/_msearch", [{"index": "events"}, {"size": 0}, {"index": "wide"}, {"size": 0}])
        server.post("/wide/_search", {"size": 1})
        server.if_known("/events/_doc/none")
        elasticsearch.count("events")
        elasticsearch.hits("wide", size=1)
        elasticsearch.delete("wide")

    assert seen.by_index == {"events-v1": 5, "wide": 2}
    assert (seen.of("events"), seen.of("events-v1"), seen.of("none"), seen.total) == (5, 5, 0, 7)


def test_an_index_that_comes_while_it_is_counted(elasticsearch: Elasticsearch, server: Rest) -> None:
    """Made, or deleted and made again: what is counted is the one that is there in the end."""
    server.post("/events/_search")
    with elasticsearch.searches() as seen:
        server.delete("/events-v1")
        server.put("/events-v1")
        server.post("/events-v1/_search")

    assert seen.by_index == {"events-v1": 1}


def test_a_restart_makes_counts_worthless(elasticsearch: Elasticsearch, elasticsearch_service: Service,
                                          server: Rest) -> None:
    """``ServiceLost``: nobody's fault but ours."""
    with pytest.raises(ServiceLost, match="started again"), elasticsearch.searches():
        elasticsearch_service.restart()


@pytest.mark.parametrize(("reason", "ask"), [
    ("schema-missing-index", lambda reader: reader.documents("nope")),
    ("schema-missing-index", lambda reader: reader.get("nope", "1")),
    ("schema-missing-index", lambda reader: reader.plant("nope", {"n": 1})),
    ("schema-missing-index", lambda reader: reader.mapping("nope")),
    ("schema-plant-refused", lambda reader: reader.plant("events", {"n": "many"})),
    ("schema-plant-refused", lambda reader: reader.plant("events", {"colour": "red"})),
    ("schema-wrong-type", lambda reader: reader.hits("events", {"match": {"n": "many"}})),
    ("schema-wrong-type", lambda reader: reader.hits("events", sort=["title"])),
    ("schema-wrong-type", lambda reader: reader.hits("events", sort=["colour"])),
    ("schema-wrong-type", lambda reader: reader.search("events", aggs={"by": {"terms": {"field": "title"}}})),
], ids=["no index", "no index to get", "no index to plant in", "no index to map", "a number", "an unknown field",
        "a number in a query", "a text to sort by", "an unknown field to sort by", "a text to group by"])
def test_what_is_not_as_the_contract_says(elasticsearch: Elasticsearch, server: Rest, reason: str, ask: Any) -> None:
    """A missing index, a field of another type, a document that is refused: the learner's schema."""
    with pytest.raises(SchemaWrong) as caught:
        ask(elasticsearch)

    assert caught.value.reason == reason
    assert elasticsearch.indices() == ["events-v1"]


def test_a_closed_index_is_the_learners(elasticsearch: Elasticsearch, server: Rest) -> None:
    """It is there, and nobody can read it."""
    server.post("/events-v1/_close")
    with pytest.raises(SchemaWrong) as caught:
        elasticsearch.documents("events-v1")
    assert caught.value.reason == "schema-index-closed"


def test_a_mistake_in_a_check_is_the_checks(elasticsearch: Elasticsearch, server: Rest) -> None:
    """A query that is none is our bug, as it is."""
    with pytest.raises(Refused, match="nonsense"):
        elasticsearch.hits("events", {"nonsense": {}})


def test_a_service_that_is_gone_is_nobodys_fault(elasticsearch: Elasticsearch) -> None:
    """No connection, no verdict."""
    reader = Elasticsearch({"host": "127.0.0.1", "port": free_port()})
    with pytest.raises(ServiceLost, match="refused"):
        reader.indices()
    reader.close()


def test_more_documents_than_one_answer_has(elasticsearch: Elasticsearch, server: Rest,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Said, not cut."""
    elasticsearch.plant("events", *({"n": number} for number in range(5)))
    monkeypatch.setattr(sys.modules[Elasticsearch.__module__], "MOST", 4)
    with pytest.raises(LookupError, match="5 documents"):
        elasticsearch.documents("events")
