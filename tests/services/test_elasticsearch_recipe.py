"""Elasticsearch's recipe on a real node: emptied, cleared, started again, asked by hand, turned against a server."""

from __future__ import annotations

from typing import Any

import pytest
from support.services import Service
from support.wait import until

from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.faults.proxy import Proxy
from orchestrator.services.elasticsearch import sabotage, space
from orchestrator.services.elasticsearch.evidence.reader import Elasticsearch
from orchestrator.services.elasticsearch.evidence.rest import Refused, Rest

PAGES = '{"mappings": {"properties": {"title": {"type": "text"}, "n": {"type": "integer"}}}, "aliases": {"all": {}}}'


@pytest.fixture
def rest(elasticsearch_service: Service) -> Any:
    """The learner's side: plain HTTP, on a space that is new."""
    elasticsearch_service.fresh()
    with Rest("127.0.0.1", elasticsearch_service.endpoint.port, 10) as found:
        yield found


def ask(service: Service, statement: str) -> str:
    return service.recipe.run_statement(service.endpoint, service.credentials, statement)  # type: ignore[attr-defined]


def left(rest: Rest) -> dict[str, Any]:
    """All that a learner can have made."""
    settings = rest.get("/_cluster/settings", flat_settings=True)
    return {
        "indices": space.indices(rest), "aliases": rest.get("/_cat/aliases", format="json"),
        "scripts": space.scripts(rest), "pipelines": rest.if_known("/_ingest/pipeline") or {},
        "legacy": rest.get("/_template"), "templates": rest.get("/_index_template")["index_templates"],
        "components": rest.get("/_component_template")["component_templates"],
        "settings": {**settings["persistent"], **settings["transient"]},
    }


def test_fresh_leaves_nothing_of_the_learner(elasticsearch_service: Service, rest: Rest) -> None:
    """Indices that are hidden, closed or blocked, templates, pipelines, scripts, settings and scrolls are gone."""
    empty = left(rest)
    ask(elasticsearch_service, f"PUT /pages {PAGES}")
    rest.put("/pages/_doc/1", {"title": "a"}, refresh=True)
    scroll = rest.post("/pages/_search", {"size": 1}, scroll="5m")["_scroll_id"]
    rest.put("/.hidden", {"settings": {"index.hidden": True}})
    rest.put("/closed")
    rest.post("/closed/_close")
    rest.put("/blocked", {"settings": {"index.blocks.read_only": True}})
    for number in range(40):
        rest.put(f"/{'long-name-' * 10}{number}", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    rest.put("/_scripts/mine", {"script": {"lang": "painless", "source": "1"}})
    rest.put("/_ingest/pipeline/mine", {"processors": []})
    rest.put("/_component_template/mine", {"template": {}})
    rest.put("/_index_template/mine", {"index_patterns": ["x*"], "composed_of": ["mine"]})
    rest.put("/_template/mine", {"index_patterns": ["x*"]})
    rest.put("/_cluster/settings", {"persistent": {"action.auto_create_index": "false"},
                                    "transient": {"cluster.blocks.read_only": True}})

    elasticsearch_service.fresh()

    assert empty == left(rest)
    with pytest.raises(Refused):
        rest.post("/_search/scroll", {"scroll_id": scroll})
    rest.put("/pages/_doc/1", {"title": "made anew"})


def test_fresh_says_what_it_could_not_remove(elasticsearch_service: Service, rest: Rest,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody still writes: the instance is made anew, rather than handed on with something in it."""
    rest.put("/pages")
    with monkeypatch.context() as patch:
        patch.setattr(space, "_delete_indices", lambda rest, names: None)
        with pytest.raises(EnvironmentFault, match="the index pages") as caught:
            elasticsearch_service.fresh()
    assert caught.value.code == "service-changed"


def test_fresh_ends_work_that_goes_on(elasticsearch_service: Service, rest: Rest) -> None:
    """A reindex that nobody waits for would fill the next attempt's indices."""
    rest.put("/pages", {"settings": {"number_of_replicas": 0}})
    rest.ask("POST", "/pages/_bulk", [line for _ in range(500) for line in ({"index": {}}, {"n": 1})], refresh=True)
    rest.post("/_reindex", {"source": {"index": "pages", "size": 1}, "dest": {"index": "copy"}},
              wait_for_completion=False, requests_per_second=50)
    assert list(space._tasks(rest))

    elasticsearch_service.fresh()

    assert not list(space._tasks(rest))
    assert space.indices(rest) == {}


def test_clear_empties_indices_and_leaves_what_they_are(elasticsearch_service: Service, rest: Rest) -> None:
    """Under a running server: documents go, those that no search sees yet, too; mappings, aliases, spared ones stay."""
    recipe: Any = elasticsearch_service.recipe
    where = (elasticsearch_service.endpoint, elasticsearch_service.credentials)
    ask(elasticsearch_service, f"PUT /pages {PAGES}")
    rest.put("/spared/_doc/1", {"n": 1})
    rest.put("/pages/_settings", {"index.refresh_interval": "-1"})
    rest.put("/pages/_doc/1", {"title": "seen by nobody"})
    assert recipe.contents(*where) == {"pages", "spared"}

    recipe.clear(*where, spare=["spared"])

    assert recipe.contents(*where) == {"spared"}
    assert "title" in rest.get("/all/_mapping")["pages"]["mappings"]["properties"]


def test_clear_says_which_index_lets_nobody_delete(elasticsearch_service: Service, rest: Rest) -> None:
    """The server of `labs run` has blocked it itself."""
    recipe: Any = elasticsearch_service.recipe
    rest.put("/pages/_doc/1", {"n": 1}, refresh=True)
    rest.put("/pages/_settings", {"index.blocks.write": True})
    with pytest.raises(EnvironmentFault, match="index pages") as caught:
        recipe.clear(elasticsearch_service.endpoint, elasticsearch_service.credentials, spare=[])
    assert caught.value.code == "table-held"


def test_a_restart_is_another_incarnation_and_keeps_the_data(elasticsearch_service: Service, rest: Rest) -> None:
    """Its data keeps the node's id; when Java was started tells two runs apart."""
    recipe, where = elasticsearch_service.recipe, (elasticsearch_service.endpoint, elasticsearch_service.credentials)
    rest.put("/pages/_doc/1", {"n": 1})
    first = recipe.incarnation(*where)

    elasticsearch_service.restart()

    assert first != recipe.incarnation(*where)
    assert rest.get("/pages/_doc/1")["found"] is True


def test_a_statement_is_a_request(elasticsearch_service: Service, rest: Rest) -> None:
    """As its documentation writes them; a refusal is said in Elasticsearch's words."""
    assert '"acknowledged": true' in ask(elasticsearch_service, f"PUT /pages {PAGES}")
    assert '"errors": false' in ask(
        elasticsearch_service, 'POST /pages/_bulk?refresh=true {"index": {"_id": "1"}} {"title": "a fox"}')
    assert "a fox" in ask(elasticsearch_service, 'pages/_search {"query": {"match": {"title": "fox"}}}')
    assert ask(elasticsearch_service, "/_cat/indices?h=index") == "pages"
    assert ask(elasticsearch_service, "HEAD /pages") == "(200)"
    assert '"found": false' in ask(elasticsearch_service, "/pages/_doc/none")
    with pytest.raises(UsageError, match=r"\(404\): index_not_found_exception: no such index \[nope\]"):
        ask(elasticsearch_service, "GET /nope/_search")


def test_an_old_client_library_is_explained(elasticsearch_service: Service) -> None:
    """What a library says that is made for another version or product, and nothing else."""
    where = (elasticsearch_service.endpoint, elasticsearch_service.credentials)
    said = "elasticsearch.UnsupportedProductError: The client noticed that the server is not Elasticsearch and we do not"
    assert "library refuses Elasticsearch" in str(elasticsearch_service.recipe.client_advice(*where, said))
    assert elasticsearch_service.recipe.client_advice(*where, "ConnectionError: refused") is None


def test_what_a_server_keeps_can_be_spoilt(elasticsearch_service: Service, rest: Rest,
                                           elasticsearch: Elasticsearch) -> None:
    """What it wrote is gone, seen by searches or not; what is possible is read from what was recorded."""
    recipe: Any = elasticsearch_service.recipe
    environ = dict(recipe.environment(elasticsearch_service.endpoint, elasticsearch_service.credentials))
    rest.put("/untouched/_doc/1", {"n": 1})
    recorder = recipe.record(elasticsearch_service.endpoint, elasticsearch_service.credentials)
    rest.put("/pages", {"settings": {"index.refresh_interval": "-1"}})
    rest.put("/pages/_doc/1", {"n": 1})
    rest.put("/pages/_doc/2", {"n": 2})
    rest.post("/pages/_search")
    rest.get("/pages/_doc/1")
    elasticsearch.documents("pages")
    recorded = recorder.stop()
    (record,) = recorded.records

    gone = sabotage.GONE.format("pages")
    assert record.text == "pages: 2 documents written, 1 search, 1 read by id"
    assert "no list" in recorded.gap
    assert sabotage.possible([record.text]) == [gone]
    sabotage.after_write(environ, gone)
    until(lambda: elasticsearch.get("pages", "1") is None)
    assert elasticsearch.get("untouched", "1") == {"n": 1}


def test_steps_are_named_by_their_requests(elasticsearch_service: Service, rest: Rest) -> None:
    """As they pass the proxy, each answer ends a step; without ids the same step has the same kind in each run."""
    recipe: Any = elasticsearch_service.recipe
    with Proxy() as proxy:
        link = proxy.open("elasticsearch", elasticsearch_service.endpoint)
        steps = proxy.steps({"elasticsearch": recipe.ears()})
        steps.arm("")
        with Rest(link.host, link.port, 10) as server:
            server.put("/pages/_doc/one", {"n": 1}, refresh=True)
            server.post("/pages/_search", {"query": {"term": {"n": 1}}})
            server.ask("POST", "/_bulk", [{"index": {"_index": "pages"}}, {"n": 2}])

    assert [step.kind for step in steps.taken()] == ["PUT /pages/_doc/?", "POST /pages/_search", "POST /_bulk"]
    assert [step.text for step in steps.taken()] == [
        'PUT /pages/_doc/one?refresh=true {"n": 1}', 'POST /pages/_search {"query": {"term": {"n": 1}}}',
        'POST /_bulk {"index": {"_index": "pages"}} {"n": 2}']
