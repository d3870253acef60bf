"""MongoDB goes through every command by its folder alone, with a tiny lab of its own."""

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
from support.workspace import patch

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def own(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """`labs` with the lab, whose servers run on the Python of the tests: that has the driver."""
    folder = tmp_path_factory.mktemp("labs")
    shutil.copytree(TOYS / "mongodb", folder, dirs_exist_ok=True)
    for file in folder.rglob("workspace.toml"):
        file.write_text(file.read_text().replace("python3", sys.executable))
    own = dataclasses.replace(labs, extra={**labs.extra, "LABS_PATH": str(folder)})
    yield own
    own.ok("clean", "--yes")


def test_it_is_started_and_played_with(own: Labs) -> None:
    """start, connect, env, stop and start again: same address, and the data is kept."""
    (started,) = own.json("start", "documents")["data"]["services"]
    assert (started["service"], started["ready"]) == ("mongodb", True)
    own.ok("connect", "mongodb", "-c", "db.a.insertOne({ said: 'still-here' })")
    variables = own.json("env", "--name", "documents")["data"]["variables"]
    assert list(variables) == ["MONGODB_URL"]
    own.ok("stop", "documents")
    own.ok("start", "documents")
    assert own.json("env", "--name", "documents")["data"]["variables"] == variables
    assert "still-here" in own.ok("connect", "mongodb", "-c", "db.a.find()")
    own.ok("clean", "--yes")


def test_a_server_is_judged_on_it(own: Labs, tmp_path: Path) -> None:
    """The starter fails by MongoDB's own evidence, the right server passes; the trace shows what it asked."""
    own.ok("init", "documents", "--language", "python", str(tmp_path / "server"))
    failed = own.json("check", cwd=tmp_path / "server")
    assert (failed["exit_code"], "not-stored" in str(failed)) == (1, True), failed

    lab = Path(own.extra["LABS_PATH"]) / "documents"
    shutil.copytree(lab / "solutions/accepted/python", tmp_path / "server", dirs_exist_ok=True)
    passed = own.json("check", cwd=tmp_path / "server")
    (verdict,) = passed["data"]["milestones"]
    assert (passed["exit_code"], verdict["verdict"]) == (0, "pass"), passed
    trace = own.ok("trace", cwd=tmp_path / "server")
    assert "db.notes.createIndex({ code: 1 }" in trace
    assert "db.notes.findOne({ code: '" in trace


def test_its_lab_is_linted_and_proved(own: Labs) -> None:
    """lint finds nothing; the quick proof holds, with sabotage: a server in memory and one without an index are wrong."""
    assert "no problems found" in own.ok("lint", "documents")
    proof = own.json("verify", "documents", "--quick")
    assert proof["exit_code"] == 0, json.dumps(proof, indent=1)


def test_every_step_of_a_transaction_is_explored(own: Labs, tmp_path: Path) -> None:
    """Its steps have MongoDB's words, the same each time; who looks first and writes then is found between the two."""
    solutions = Path(own.extra["LABS_PATH"]) / "sales/solutions"
    shutil.copytree(solutions / "accepted/python", tmp_path / "server")
    passed = own.json("check", cwd=tmp_path / "server")
    assert passed["exit_code"] == 0, passed
    assert "another buyer came at each of 4 steps" in str(passed)
    assert "session.startTransaction; db.stock.findOne, then db.stock.updateOne, then db.sales.insertOne, then " \
        "session.commitTransaction" in str(passed)

    patch(tmp_path / "server", solutions / "wrong/mongodb-sell-no-transaction.patch")
    failed = own.run("check", cwd=tmp_path / "server")
    assert failed.returncode == 1, failed
    assert "between its `db.stock.findOne({ name: '" in failed.stdout
    assert "and its `db.stock.updateOne({ name: '" in failed.stdout
