"""Elasticsearch from our Compose file on the Docker engine: started, stopped, killed; and what its image keeps to."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench, found
from support.embedded import engine_in

from orchestrator.model import Fidelity, State
from orchestrator.services.elasticsearch.evidence.rest import Rest
from orchestrator.services.elasticsearch.service import RECIPE

MOST_IDLE = 400_000_000
"""Bytes: three of these and two databases fit into a laptop with 8 GB."""


@pytest.mark.docker
@pytest.mark.slow
def test_it_stops_in_order_and_keeps_what_was_acknowledged(docker_bench: Bench) -> None:
    """By its stop signal within its grace, and by SIGKILL: each start is another incarnation, with the same documents."""
    spec = docker_bench.up(docker_bench.spec("elasticsearch"))
    with Rest("127.0.0.1", spec.port, 10) as rest:
        rest.put("/pages/_doc/1", {"n": 1})
    first = RECIPE.incarnation(spec.endpoint, spec.credentials)

    docker_bench.engine.stop(spec.name)
    stopped = found(docker_bench, spec)

    # 143 is what Java ends with at SIGTERM, in its own time; a container that had to be killed has 137.
    assert (stopped.state, stopped.exit_code, stopped.oom) == (State.EXITED, 143, False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", spec.port), timeout=2)
    docker_bench.start(spec)
    second = RECIPE.incarnation(spec.endpoint, spec.credentials)
    with Rest("127.0.0.1", spec.port, 10) as rest:
        rest.put("/pages/_doc/2", {"n": 2})
    docker_bench.engine.kill(spec.name)
    assert found(docker_bench, spec).exit_code == 137
    docker_bench.start(spec)

    assert len({first, second, RECIPE.incarnation(spec.endpoint, spec.credentials)}) == 3
    with Rest("127.0.0.1", spec.port, 10) as rest:
        assert [rest.get(f"/pages/_doc/{number}")["_source"]["n"] for number in (1, 2)] == [1, 2]


@pytest.mark.docker
@pytest.mark.slow
def test_the_image_stands_in_for_the_official_one(docker_bench: Bench, api: Any) -> None:
    """One Compose file runs both: its settings are taken, those of parts that are not there left out; no root; small."""
    spec = docker_bench.up(docker_bench.spec("elasticsearch", keep_data=False))

    assert RECIPE.product(spec.endpoint, spec.credentials).fidelity is Fidelity.GENUINE
    with Rest("127.0.0.1", spec.port, 10) as rest:
        (node,) = rest.get("/_nodes/_local/settings", flat_settings=True)["nodes"].values()
        assert node["settings"]["action.destructive_requires_name"] == "true"
        assert node["settings"]["node.store.allow_mmap"] == "false"
        (jvm,) = rest.get("/_nodes/_local/jvm")["nodes"].values()
        assert "-XX:TieredStopAtLevel=1" in jvm["jvm"]["input_arguments"]
    users = {row[0] for row in api.top(spec.name, ps_args="-eo uid,pid")["Processes"]}
    assert users == {"1000"}
    memory = api.stats(spec.name, stream=False)["memory_stats"]
    assert memory["usage"] - memory["stats"].get("total_inactive_file", 0) < MOST_IDLE


@pytest.mark.docker
@pytest.mark.slow
def test_the_modules_of_the_distribution_are_in_it(docker_bench: Bench) -> None:
    """Scripts, analysers, reindexing, pipelines, percolation, templates, joins: each answers."""
    spec = docker_bench.up(docker_bench.spec("elasticsearch", keep_data=False))
    with Rest("127.0.0.1", spec.port, 20) as rest:
        rest.put("/a", {"mappings": {"properties": {
            "q": {"type": "percolator"}, "t": {"type": "text", "analyzer": "english"}, "n": {"type": "integer"},
            "j": {"type": "join", "relations": {"one": "many"}}, "s": {"type": "search_as_you_type"}}}})
        rest.put("/_ingest/pipeline/p", {"processors": [{"uppercase": {"field": "u"}}, {"user_agent": {"field": "b"}}]})
        rest.put("/a/_doc/1", {"t": "running foxes", "n": 2, "u": "x", "b": "curl/8", "j": "one"}, refresh=True, pipeline="p")
        rest.put("/a/_doc/2", {"q": {"match": {"t": "fox"}}}, refresh=True)

        assert rest.get("/a/_doc/1")["_source"]["u"] == "X"
        for query in (
            {"match": {"t": "fox"}}, {"percolate": {"field": "q", "document": {"t": "a fox"}}},
            {"script": {"script": "doc['n'].size() > 0 && doc['n'].value * 2 == 4"}},
            {"function_score": {"query": {"term": {"n": 2}},
                                "script_score": {"script": {"lang": "expression", "source": "_score * doc['n']"}}}},
        ):
            assert rest.post("/a/_search", {"query": query})["hits"]["total"]["value"] == 1, query
        assert rest.post("/_reindex", {"source": {"index": "a"}, "dest": {"index": "b"}})["created"] == 2
        assert rest.post("/a/_search/template", {"source": {"query": {"term": {"n": "{{n}}"}}},
                                                 "params": {"n": 2}})["hits"]["total"]["value"] == 1
        assert rest.post("/a/_rank_eval", {"requests": [{"id": "1", "request": {"query": {"match_all": {}}},
                                                         "ratings": [{"_index": "a", "_id": "1", "rating": 1}]}],
                                           "metric": {"precision": {}}})["metric_score"] > 0
        stats = rest.post("/a/_search", {"size": 0, "aggs": {"m": {"matrix_stats": {"fields": ["n"]}}}})
        assert stats["aggregations"]["m"]["doc_count"] == 1


def test_without_containers_it_is_not_to_be_had(embedded_folder: Path) -> None:
    """The embedded engine says so, and what would help."""
    with contextlib.closing(engine_in(embedded_folder)) as embedded:
        offer = embedded.offer(RECIPE)

    assert (offer.available, offer.reason) == (False, "unsupported")
    assert "Elasticsearch does not run as a plain process" in offer.missing
    assert "--engine docker" in offer.remedy
