"""Services of other distributions, installed beside `labs`: all commands know them, and no file of ours does.

Each toy of ``tests/toys`` is one folder with a ``pyproject.toml``, each has a tiny lab.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Labs
from support.toys import TOYS, environment_with

from orchestrator import resources, services

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SERVICES = {"boxes": "box", "pairs": "pair", "files": "note"}
"""Lab -> its service."""


@pytest.fixture(scope="module")
def others(labs: Labs, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """`labs` in an environment that has the toys, too."""
    python = environment_with(tmp_path_factory.mktemp("environment"), *SERVICES.values())
    others = dataclasses.replace(labs, command=(str(python), "-m", "orchestrator"),
                                 extra={"LABS_PATH": str(TOYS / "labs")})
    if engine == "docker":
        built = others.json("images", "build")["data"]["images"]
        assert {"box", "pair"} < {one["service"] for one in built if one["built"]}
    yield others
    others.ok("clean", "--yes")


@pytest.fixture
def server(others: Labs, lab: str, tmp_path: Path) -> Path:
    """A learner's folder with the starter."""
    others.ok("init", lab, "--language", "python", str(tmp_path / "server"))
    return tmp_path / "server"


def accepted(lab: str, server: Path) -> None:
    """The learner writes what the lab accepts."""
    shutil.copytree(TOYS / "labs" / lab / "solutions/accepted/python", server, dirs_exist_ok=True)


@pytest.mark.parametrize(("lab", "put", "look", "seen"), [
    ("boxes", "SET a still-here", "GET a", "still-here"),
    ("pairs", "SET a still-here", "GET a", "still-here"),
    ("files", "CREATE TABLE a AS SELECT 'still-here' b", "SELECT b FROM a", "still-here"),
])
def test_it_is_started_and_played_with(others: Labs, lab: str, put: str, look: str, seen: str) -> None:
    """start, status, connect, env, stop and clean, as with any service."""
    service = SERVICES[lab]
    (started,) = others.json("start", lab)["data"]["services"]
    assert (started["service"], started["ready"]) == (service, True)

    others.ok("connect", service, "-c", put)
    assert others.ok("connect", service, "-c", look).strip() == seen
    variables = others.json("env", "--name", lab)["data"]["variables"]
    assert list(variables) == list(recipe_urls(service))
    assert others.ok("connect", service, "--url").strip() == next(iter(variables.values()))

    others.ok("stop", lab)
    assert {one["state"] for one in others.json("status")["data"]["services"]} == {"exited"}
    others.ok("start", lab)
    assert others.json("env", "--name", lab)["data"]["variables"] == variables
    assert others.ok("connect", service, "-c", look).strip() == seen

    others.ok("clean", "--name", lab, "--yes")
    assert others.json("status")["data"]["services"] == []


def recipe_urls(service: str) -> list[str]:
    return {"box": ["BOX_URL"], "pair": ["PAIR_URL"], "note": ["NOTE_FILE"]}[service]


@pytest.mark.parametrize(("lab", "reason"), [("boxes", "not-in-box"), ("pairs", "not-stored"), ("files", "schema-missing-table")])
def test_a_server_is_judged_on_it(others: Labs, lab: str, reason: str, server: Path) -> None:
    """The starter, which keeps everything in memory, fails by the service's own evidence; the right server passes."""
    milestone = f"{SERVICES[lab]}/store"
    failed = others.json("check", cwd=server)
    assert failed["exit_code"] == 1
    (verdict,) = failed["data"]["milestones"]
    assert (verdict["id"], verdict["verdict"]) == (milestone, "fail")
    assert reason in str(verdict)

    accepted(lab, server)
    passed = others.json("check", cwd=server)
    (verdict,) = passed["data"]["milestones"]
    assert (passed["exit_code"], verdict["verdict"]) == (0, "pass"), passed
    if lab == "boxes":
        trace = others.ok("trace", cwd=server)
        assert re.search(r"POST /notes\b.*\n.*SET note\.[0-9a-f]{8} ", trace), trace


NODE = """

def test_a_node_may_go(pair, fault):
    with fault.kill("pair", nodes=[2]):
        expect.equal(1, pair.nodes(), "the nodes that answer", reason="not-one")
    expect.equal(2, pair.nodes(), "the nodes that answer", reason="not-back")


def test_there_is_no_third(pair, fault):
    with fault.kill("pair", nodes=[1, 3]):
        pass
"""


def test_a_check_kills_one_node_of_a_service(others: Labs, tmp_path: Path) -> None:
    """The other one goes on, and both are there again after the block; a node that is not there is a bug of the check."""
    lab = Path(shutil.copytree(TOYS / "labs/pairs", tmp_path / "labs/pairs"))
    checks = lab / "checks/test_pair_store.py"
    checks.write_text(checks.read_text() + NODE)
    ours = dataclasses.replace(others, extra={"LABS_PATH": str(tmp_path / "labs")})
    ours.ok("init", "pairs", "--language", "python", str(tmp_path / "server"))
    accepted("pairs", tmp_path / "server")
    judged = ours.json("check", cwd=tmp_path / "server")

    (milestone,) = judged["data"]["milestones"]
    found = {one["id"].rpartition("/")[2]: one for one in milestone["checks"]}
    assert found["test_a_node_may_go"]["verdict"] == "pass", judged
    assert found["test_there_is_no_third"]["verdict"] == "error"
    assert "pair has no node 3" in str(found["test_there_is_no_third"])


@pytest.mark.parametrize("lab", [
    pytest.param("boxes", marks=pytest.mark.engine("embedded")), "pairs",
    pytest.param("files", marks=pytest.mark.engine("embedded"))])
def test_its_lab_is_linted_and_proved(others: Labs, lab: str) -> None:
    """lint finds nothing; the quick proof holds, with sabotage of the service where it has that."""
    assert "no problems found" in others.ok("lint", lab)
    proof = others.json("verify", lab, "--quick")

    assert proof["exit_code"] == 0, proof


def test_lint_knows_its_names(others: Labs, tmp_path: Path) -> None:
    """What a check reads from it must be in storage.md, as the service's own ``names`` say."""
    lab = Path(shutil.copytree(TOYS / "labs/boxes", tmp_path / "boxes"))
    (lab / "storage.md").write_text((lab / "storage.md").read_text().replace("note.{code}", "paper.{code}"))
    found = others.run("lint", str(lab))

    assert found.returncode == 4
    assert "note." in found.stdout


@pytest.mark.engine("docker")
def test_its_image_is_built_from_its_own_folder(others: Labs) -> None:
    """`labs images list` names it; a change of its folder would be another image, and no image of ours changes."""
    mine = {one["service"]: one["local"] for one in others.json("images", "list")["data"]["images"]}

    assert {"box", "pair", "redis"} <= mine.keys()
    assert "note" not in mine


def test_a_machine_without_it_says_so(labs: Labs) -> None:
    """The same lab where the distribution is not installed: the service is named as unknown."""
    plain = dataclasses.replace(labs, extra={"LABS_PATH": str(TOYS / "labs")})
    refused = plain.json("start", "boxes")

    assert refused["exit_code"] == 4
    assert "box" in str(refused["errors"])


def test_no_file_of_ours_knows_them() -> None:
    """What makes a service is its own folder: nothing of `orchestrator/`, `compose/` or `images/` names one of these."""
    words = re.compile(r"toy_(?:box|pair|note)|toy-(?:box|pair|note)|BOX_|PAIR_|NOTE_FILE|\b7[12]0[01]\b|\bbox\.pl\b|\bpair\.pl\b")
    ours = [path for folder in (Path(services.__file__).parents[1], resources.compose_folder(), resources.images_folder())
            for path in folder.rglob("*") if path.is_file() and path.suffix in (".py", ".yaml", ".toml", "", ".sh")]

    assert len(ours) > 200
    assert [str(path) for path in ours if words.search(path.read_text(encoding="utf-8", errors="replace"))] == []
    assert set(SERVICES.values()) & set(services.names()) == set()
