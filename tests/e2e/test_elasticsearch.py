"""Elasticsearch goes through every command by its folder alone, with a tiny lab of its own."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Labs
from support.toys import TOYS

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def own(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """`labs` with the lab, whose servers run on the Python of the tests."""
    folder = tmp_path_factory.mktemp("labs")
    shutil.copytree(TOYS / "elasticsearch", folder, dirs_exist_ok=True)
    for file in folder.rglob("workspace.toml"):
        file.write_text(file.read_text().replace("python3", sys.executable))
    own = dataclasses.replace(labs, extra={**labs.extra, "LABS_PATH": str(folder)})
    yield own
    own.ok("clean", "--yes")


@pytest.mark.engine("docker")
def test_it_is_started_and_played_with(own: Labs) -> None:
    """start, connect, env, stop and start again: same address, and the data is kept."""
    (started,) = own.json("start", "pages")["data"]["services"]
    assert (started["service"], started["ready"]) == ("elasticsearch", True)
    own.ok("connect", "elasticsearch", "-c", 'PUT /a/_doc/1 {"said": "still-here"}')
    variables = own.json("env", "--name", "pages")["data"]["variables"]
    assert list(variables) == ["ELASTICSEARCH_URL"]
    assert variables["ELASTICSEARCH_URL"].startswith("http://127.0.0.1:")
    own.ok("stop", "pages")
    own.ok("start", "pages")
    assert own.json("env", "--name", "pages")["data"]["variables"] == variables
    assert "still-here" in own.ok("connect", "elasticsearch", "-c", "/a/_search")
    own.ok("clean", "--yes")


@pytest.mark.engine("docker")
def test_a_server_is_judged_on_it(own: Labs, tmp_path: Path) -> None:
    """The starter fails by Elasticsearch's own evidence, the right server passes; the trace shows what was counted."""
    own.ok("init", "pages", "--language", "python", str(tmp_path / "server"))
    failed = own.json("check", cwd=tmp_path / "server")
    assert (failed["exit_code"], "schema-missing-index" in str(failed)) == (1, True), failed

    lab = Path(own.extra["LABS_PATH"]) / "pages"
    shutil.copytree(lab / "solutions/accepted/python", tmp_path / "server", dirs_exist_ok=True)
    passed = own.json("check", cwd=tmp_path / "server")
    (verdict,) = passed["data"]["milestones"]
    assert (passed["exit_code"], verdict["verdict"]) == (0, "pass"), passed
    assert "Elasticsearch counted 1 search" in str(passed)
    trace = own.ok("trace", cwd=tmp_path / "server")
    assert "pages: 4 documents written" in trace
    assert "keeps no list of requests" in trace


@pytest.mark.engine("docker")
def test_its_lab_is_linted_and_proved(own: Labs) -> None:
    """lint finds nothing; the quick proof holds, with sabotage: a server in memory and one that finds late are wrong."""
    assert "no problems found" in own.ok("lint", "pages")
    proof = own.json("verify", "pages", "--quick")
    assert proof["exit_code"] == 0, json.dumps(proof, indent=1)


@pytest.mark.engine("embedded")
def test_without_docker_it_is_not_judged(own: Labs, tmp_path: Path) -> None:
    """There is no program of it: no verdict about the server, and the way to one is said."""
    own.ok("init", "pages", "--language", "python", str(tmp_path / "server"))
    report = own.json("check", "elasticsearch/find", cwd=tmp_path / "server")
    (verdict,) = report["data"]["milestones"]
    assert (report["exit_code"], verdict["verdict"]) == (3, "unjudged"), report
    assert "--engine docker" in str(report)
