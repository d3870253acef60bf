"""Services that run as plain processes on a machine where Docker answers: every command finds them by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Labs
from support.fake_docker import environ_of, fake_docker, scripted

pytestmark = [pytest.mark.e2e, pytest.mark.engine("embedded")]

EMPTY = {"GET /containers/json": (200, []), "GET /volumes": (200, {"Volumes": []}), "GET /networks": (200, [])}


@pytest.fixture(scope="module")
def beside(labs: Labs) -> Iterator[Labs]:
    """A Redis that was started with `--engine embedded`, and a Docker engine that answers; no engine is named."""
    labs.ok("start", "databases", "redis")
    with fake_docker(scripted(EMPTY)) as (path, _):
        yield dataclasses.replace(labs, engine="", extra=environ_of(path))


def test_what_is_started_is_found_without_naming_its_engine(beside: Labs, tmp_path: Path) -> None:
    """By each command that looks at it, and in each the engine is said."""
    (service,) = beside.json("status", cwd=tmp_path)["data"]["services"]
    assert (service["engine"], service["ready"]) == ("embedded", True)
    assert "engine: embedded (databases: started there)" in beside.run("status", cwd=tmp_path).stderr

    beside.ok("connect", "redis", "-c", "SET note here", cwd=tmp_path)
    assert beside.ok("connect", "redis", "-c", "GET note", cwd=tmp_path) == "here\n"
    assert str(service["port"]) in beside.ok("env", cwd=tmp_path)
    assert "ready to accept connections" in beside.ok("logs", "redis", cwd=tmp_path).lower()
    assert beside.json("reset", "redis", "--dry-run", cwd=tmp_path)["data"]["plan"]


def test_docker_alone_is_looked_at_if_it_is_asked_for(beside: Labs, tmp_path: Path) -> None:
    assert beside.json("status", "--engine", "docker", cwd=tmp_path)["data"]["services"] == []


def test_stop_and_start_and_clean_act_where_it_was_started(beside: Labs, tmp_path: Path) -> None:
    """A second start goes on with the same data, not with an empty Redis on Docker."""
    beside.ok("connect", "redis", "-c", "SET kept yes", cwd=tmp_path)
    assert "stopped 1 service; data is kept" in beside.ok("stop", cwd=tmp_path)

    beside.ok("start", "databases", "redis", cwd=tmp_path)
    assert beside.ok("connect", "redis", "-c", "GET kept", cwd=tmp_path) == "yes\n"

    assert "removed 1 service" in beside.ok("clean", "--yes", cwd=tmp_path)
    assert beside.json("status", cwd=tmp_path)["data"]["services"] == []
