"""The proof of the lab `databases`: right servers pass everything, wrong ones fail where and why they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.cli import Labs

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LAB = Path(__file__).parents[2] / "labs/databases"
WRONG = sorted((LAB / "solutions/wrong").glob("*.patch"))


@pytest.fixture(scope="module")
def libraries(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The accepted Python solution's libraries, installed once by its own build; no patch changes what it needs."""
    folder = tmp_path_factory.mktemp("base") / "server"
    shutil.copytree(LAB / "solutions/accepted/python", folder)
    assert told(judge(labs, folder, "postgres/schema")) == {"postgres/schema": ("pass", "")}
    return folder / ".venv"


def judge(labs: Labs, folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Milestone id -> its result, of one `labs check`."""
    answer = labs.json("check", *arguments, cwd=folder)
    assert "milestones" in answer["data"], answer
    return {milestone["id"]: milestone for milestone in answer["data"]["milestones"]}


def told(results: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Milestone id -> verdict and reason, of those that ran; with everything else that helps when a test fails."""
    return {name: (one["verdict"], one["reason"]) for name, one in results.items() if one["role"] != "later"}


@pytest.mark.parametrize("language", ["python", "go"])
def test_an_accepted_solution_passes_everything(labs: Labs, tmp_path: Path, engine: str, language: str) -> None:
    """Two languages, two strategies, one verdict; built by the lab's own build step."""
    if engine == "embedded" and language != "python":
        pytest.skip("the full matrix runs once, on docker")
    shutil.copytree(LAB / "solutions/accepted" / language, tmp_path / "server")

    results = judge(labs, tmp_path / "server", "--all")

    assert told(results) == dict.fromkeys(results, ("pass", "")), results
    assert len(results) == 15
    assert all(check["evidence"] for one in results.values() for check in one["checks"])


@pytest.mark.parametrize("language", ["python", "go", "node"])
def test_an_untouched_starter_passes_nothing(labs: Labs, tmp_path: Path, engine: str, language: str) -> None:
    """The first milestone fails with evidence, the rest waits for it."""
    if engine == "embedded" and language != "python":
        pytest.skip("the full matrix runs once, on docker")
    labs.ok("init", "databases", "--language", language, str(tmp_path / "server"))

    results = judge(labs, tmp_path / "server", "--all")

    assert told(results).pop("postgres/schema") == ("fail", "schema-missing-table"), results
    assert {one["verdict"] for name, one in results.items() if name != "postgres/schema"} == {"blocked"}


def test_the_first_step_passes_the_first_milestone(labs: Labs, tmp_path: Path) -> None:
    """Ten changed lines from the starter."""
    folder = tmp_path / "server"
    labs.ok("init", "databases", "--language", "python", str(folder))
    patch(folder, LAB / "solutions/accepted/python-first-step.patch")

    assert told(judge(labs, folder)) == {"postgres/schema": ("pass", "")}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda path: path.stem)
def test_a_wrong_solution_fails_at_its_milestone_for_its_reason(
    labs: Labs, tmp_path: Path, engine: str, libraries: Path, wrong: Path
) -> None:
    """And passes what that milestone needs."""
    if engine == "embedded":
        pytest.skip("the full matrix runs once, on docker")
    folder = tmp_path / "server"
    shutil.copytree(LAB / "solutions/accepted/python", folder)
    (folder / "workspace.toml").write_text(
        f'format = 1\nlab = "databases"\nrun = ["{libraries}/bin/python", "server.py"]\n', encoding="utf-8")
    patch(folder, wrong)
    text = wrong.read_text(encoding="utf-8")
    milestone, reason = (re.search(rf"^# {key}: (\S+)$", text, re.MULTILINE)[1] for key in ("milestone", "reason"))

    results = told(judge(labs, folder, milestone))

    assert results.pop(milestone) == ("fail", reason)
    assert results == dict.fromkeys(results, ("pass", ""))


def test_every_milestone_has_a_wrong_solution() -> None:
    """A check that no wrong server has met is not known to bite."""
    text = (LAB / "lab.toml").read_text(encoding="utf-8")
    milestones = set(re.findall(r'^id = "(.+)"$', text, re.MULTILINE))

    assert {re.search(r"^# milestone: (\S+)$", path.read_text(), re.MULTILINE)[1] for path in WRONG} == milestones


def patch(folder: Path, file: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "apply", "-p1", str(file)], cwd=folder, check=True)
