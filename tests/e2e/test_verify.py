"""`labs new`, `labs lint` and `labs verify` as an instructor uses them: a lab that is right, and one mistake after another."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import Labs
from support.wait import until

from orchestrator.engines.choose import choose
from orchestrator.system.home import find_home, installation_id, user_id

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.engine("embedded")]

JUDGES_TOO_MUCH = '''

def test_the_answer_is_exactly_this(server, make_link):
    """Nothing but code and url: a check that minds what the contract allows."""
    code, url = make_link()
    answer = server.get(f"/links/{code}")
    expect.equal({"code": code, "url": url}, answer.json(), "the whole answer", reason="answer-wrong")
'''
JUDGES_NOTHING = '''

def test_the_server_answers(server, fresh):
    """Whatever it answers."""
    answer = server.get(f"/{fresh.token()}")
    expect.true(answer.status > 0, "the answer", reason="no-status")
'''

FEWER = '''
[[equivalent]]
milestone = "*"
mutant = "GET *"
reason = "not so, but the test takes less long"
'''


@pytest.fixture
def lab(labs: Labs, tmp_path: Path) -> Iterator[Path]:
    """A new lab, as `labs new` writes it; and nothing of its proofs is left."""
    labs.ok("new", "lab", "short-links", str(tmp_path))
    yield tmp_path / "short-links"
    home = find_home(labs.environment)
    choice = choose(labs.engine, home=home)
    try:
        instances = choice.engine.list(user=user_id(), installation=installation_id(home))
        assert [one.spec.name for one in instances if one.spec.owner.environment.startswith("verify-")] == []
    finally:
        choice.engine.close()
    assert list(home.runs.glob("*")) == []


def proof(labs: Labs, lab: Path, *arguments: str) -> dict[str, object]:
    """The data of `labs verify`."""
    done = labs.run("verify", str(lab), *arguments, "--json", timeout=500)
    answer = json.loads(done.stdout)
    assert answer["exit_code"] in (0, 1), answer
    data: dict[str, object] = answer["data"]
    return data


def bad(data: dict[str, object]) -> dict[str, str]:
    """Id -> what was said, of what did not hold."""
    outcomes = data["outcomes"]
    assert isinstance(outcomes, list)
    return {one["id"]: one["said"] for one in outcomes if not one["holds"]}


def test_a_new_lab_is_proved_as_it_is(labs: Labs, lab: Path, tmp_path: Path) -> None:
    """No finding, a proof that holds, its pages; and what was proved is not proved again until something changes."""
    assert "no problems found" in labs.ok("lint", str(lab))
    known, settings = lab / "solutions/proof.toml", lab / "lab.toml"
    known.write_text(known.read_text() + FEWER)
    assert "start_budget = 10\n" in settings.read_text()
    settings.write_text(settings.read_text().replace("start_budget = 10\n", "start_budget = 3\n"))
    first = proof(labs, lab, "redis/store", "--repeat", "1", "--seed", "3", "--report", str(tmp_path / "report"))
    again = proof(labs, lab, "redis/store", "--repeat", "1", "--seed", "3")
    check = lab / "checks/test_redis_store.py"
    check.write_text(check.read_text() + "\n")
    changed = proof(labs, lab, "redis/store", "--quick", "--seed", "3")

    assert first["holds"], bad(first)
    kinds = {one["kind"] for one in first["outcomes"]} | set(first["not_run"])  # type: ignore[attr-defined]
    assert kinds >= {"accepted", "front", "starter", "junk", "wrong", "mutant", "variant", "repeat", "order",
                     "edit", "slow", "outage"}
    score = first["score"]
    assert isinstance(score, dict)
    assert score["noticed"] >= 0.9 * score["counted"] > 8
    assert json.loads((tmp_path / "report/proof.json").read_text())["holds"]
    assert "<h1>" in (tmp_path / "report/proof.html").read_text()
    assert all(one["kept"] or one["equivalent"] for one in again["outcomes"])  # type: ignore[attr-defined]
    assert changed["holds"], bad(changed)
    assert {one["kept"] for one in changed["outcomes"] if one["kind"] == "wrong"} == {False}  # type: ignore[attr-defined]


def test_checks_that_mind_too_much_or_nothing_are_found(labs: Labs, lab: Path) -> None:
    """More fields are fine, says the contract: a check that compares all of an answer rejects a right server.

    And junk passes the check that takes any answer.
    """
    check = lab / "checks/test_redis_store.py"
    check.write_text(check.read_text() + JUDGES_TOO_MUCH + JUDGES_NOTHING)
    found = bad(proof(labs, lab, "redis/store", "--quick", "--seed", "3"))

    assert "rejected at redis/store, fail (answer-wrong)" in found["front redis/store"]
    assert any("passes the checks redis/store/test_the_server_answers" in said for name, said in found.items()
               if name.startswith("junk "))


def test_a_wrong_solution_that_is_not_wrong_is_found(labs: Labs, lab: Path) -> None:
    """It passes; another fails for another reason than it says; a third does not apply any more."""
    fake, cached = (lab / f"solutions/wrong/redis-store-{name}.patch" for name in ("dict", "cached"))
    text = fake.read_text()
    cached.write_text(
        "# milestone: redis/store\n# reason: plant-not-seen\n# story: Only the words are others.\n\n"
        "--- a/server.py\n+++ b/server.py\n@@ -1,3 +1,3 @@\n-\"\"\"Short links, kept in Redis.\"\"\"\n+\"\"\"Links.\"\"\"\n"
        " \n import json\n")
    fake.unlink()
    passes = proof(labs, lab, "redis/store", "--quick", "--seed", "3")
    cached.unlink()
    fake.write_text(text.replace("reason: not-in-redis", "reason: plant-not-seen"))
    other = proof(labs, lab, "redis/store", "--quick", "--seed", "3")
    fake.write_text(text.replace("-    call(", "-    never_there(", 1))
    broken = labs.run("verify", str(lab), "redis/store", "--quick")

    assert bad(passes) == {"wrong redis-store-cached": "passes redis/store, which it must fail for plant-not-seen"}
    assert "must fail for plant-not-seen; it got fail for not-in-redis" in bad(other)["wrong redis-store-dict"]
    assert not other["holds"]
    assert broken.returncode == 4
    assert "solutions/wrong/redis-store-dict.patch: does not apply to accepted/python" in broken.stderr


def test_a_proof_that_is_interrupted_leaves_nothing(labs: Labs, lab: Path) -> None:
    """Ctrl-C in the middle: exit 130 within seconds, every service and server ended (the fixture looks)."""
    home = find_home(labs.environment)
    process = labs.popen("verify", str(lab), "--again")
    until(lambda: list(home.runs.glob("*/stand-*/python/server.py")), seconds=60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130, said
    assert "Traceback" not in said


def test_a_milestone_to_fill_in(labs: Labs, lab: Path) -> None:
    """Valid at once; its skeleton judges nobody until it is written, and lint says that a wrong server is missing."""
    before = (lab / "lab.toml").read_text()
    labs.ok("new", "milestone", str(lab), "redis/expiry")
    findings = labs.json("lint", str(lab))["data"]["findings"]
    data = proof(labs, lab, "redis/expiry", "--quick")

    assert (lab / "lab.toml").read_text().startswith(before)
    assert [one["rule"] for one in findings] == ["no-wrong-solution"]
    assert "write this check" in bad(data)["front redis/expiry"]
    for arguments, code in ((("redis/expiry",), "milestone-exists"), (("Redis",), "milestone-name")):
        assert labs.json("new", "milestone", str(lab), *arguments)["errors"][0]["code"] == code
    for name, code in (("My Lab", "lab-name"), ("databases", "lab-exists")):
        assert labs.json("new", "lab", name, str(lab.parent))["errors"][0]["code"] == code
    assert labs.json("new", "lab", "short-links", str(lab.parent))["errors"][0]["code"] == "would-overwrite"


def test_a_dispute_is_settled_and_kept(labs: Labs, lab: Path, tmp_path: Path) -> None:
    """A learner's bundle meets the checks: what was expected is kept for every proof, anything else is not."""
    mine = replace(labs, extra={"LABS_PATH": str(lab.parent), "CI": "true"})
    server = tmp_path / "server"
    shutil.copytree(lab / "solutions/accepted/python", server)
    subprocess.run(["git", "apply", str(lab / "solutions/wrong/redis-store-dict.patch")], cwd=server, check=True)
    assert mine.run("check", "redis/store", cwd=server).returncode == 1
    mine.ok("bundle", "--source", "--yes", str(tmp_path / "wrong.zip"), cwd=server)
    refused = labs.run("verify", str(lab), "--case", str(tmp_path / "wrong.zip"), "--expect", "pass")
    kept = labs.json("verify", str(lab), "--case", str(tmp_path / "wrong.zip"), "--expect", "fail")["data"]

    assert refused.returncode == 1
    assert "redis/store: fail (not-in-redis)" in refused.stdout
    assert "Nothing was kept" in refused.stdout
    patch = Path(kept["kept"])
    assert (patch.parent, patch.name[:17]) == (lab / "solutions/wrong", "redis-store-case-")
    assert "# reason: not-in-redis" in patch.read_text()

    shutil.rmtree(server)
    shutil.copytree(lab / "solutions/accepted/python", server)
    (server / "NOTES.md").write_text("mine\n")
    assert mine.run("check", "redis/store", cwd=server).returncode == 0
    mine.ok("bundle", "--source", "--yes", str(tmp_path / "right.zip"), cwd=server)
    case = ("--case", str(tmp_path / "right.zip"), "--expect", "pass")
    assert labs.json("verify", str(lab), *case)["errors"][0]["code"] == "no-milestone"
    folder = Path(labs.json("verify", str(lab), "redis/store", *case)["data"]["kept"])
    assert (folder.parent, (folder / "NOTES.md").read_text()) == (lab / "solutions/accepted", "mine\n")
    assert "no problems found" in labs.ok("lint", str(lab)), "what was kept is as good as what was written"
    mine.ok("bundle", "--yes", str(tmp_path / "bare.zip"), cwd=server)
    (tmp_path / "no.zip").write_text("no")
    for name, code in (("bare.zip", "no-source"), ("no.zip", "bad-bundle")):
        answer = labs.json("verify", str(lab), "--case", str(tmp_path / name), "--expect", "fail")
        assert (answer["exit_code"], answer["errors"][0]["code"]) == (2, code)
