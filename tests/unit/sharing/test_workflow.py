"""`labs init --ci github`: a workflow that GitHub can read, never over one that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.workspaces import answer, invoke, workspace

from orchestrator import __version__
from orchestrator.model import Workspace
from orchestrator.sharing.workflow import PATH, commands, language_of, workflow
from orchestrator.workspace.content import content_key


def job(text: str) -> dict[str, Any]:
    """The one job of a workflow."""
    data = yaml.safe_load(text)
    assert data["permissions"] == {"contents": "read"}
    # YAML 1.1 reads the key `on` as true.
    assert data[True] == ["push", "pull_request"]
    (found,) = data["jobs"].values()
    return dict(found)


@pytest.mark.parametrize(("language", "action"), [
    ("python", None), ("go", {"uses": "actions/setup-go@v6", "with": {"go-version": "stable"}}),
    ("node", {"uses": "actions/setup-node@v6", "with": {"node-version": "lts/*"}}), ("other", None),
])
def test_the_steps(language: str, action: dict[str, Any] | None) -> None:
    """The code, Python 3.12, the language, and the commands as they are."""
    steps = job(workflow("databases", language))["steps"]

    assert steps == [
        {"uses": "actions/checkout@v6", "with": {"persist-credentials": False}},
        {"uses": "actions/setup-python@v6", "with": {"python-version": "3.12"}},
        *([action] if action else []),
        *({"run": command} for command in commands("databases")),
    ]


def test_the_commands() -> None:
    """This very version; images first, since a check gets none; then what the learner runs."""
    assert commands("databases", "1.2.3") == (
        "pipx install --python python3.12 backend-labs==1.2.3", "labs pull databases --yes", "labs check --all")
    assert commands("databases")[0].endswith(f"=={__version__}")


def test_an_odd_name_of_a_lab_stays_one_word() -> None:
    run = [step["run"] for step in job(workflow("a: #b '$(x)\"", "other"))["steps"] if "run" in step]

    assert run[1] == "labs pull 'a: #b '\"'\"'$(x)\"' --yes"


@pytest.mark.parametrize(("build", "run", "language"), [
    ((("go", "build"),), ("./server",), "go"),
    ((("npm", "ci"),), ("node", "server.js"), "node"),
    ((("python3", "-m", "venv", ".venv"),), (".venv/bin/python", "server.py"), "python"),
    ((), (".venv/bin/python3.12", "server.py"), "python"),
    ((), ("./server",), "other"),
    ((("cargo", "build"),), ("./target/release/x",), "other"),
])
def test_the_language_is_seen_in_the_commands(build: tuple[tuple[str, ...], ...], run: tuple[str, ...], language: str) -> None:
    assert language_of(Workspace(Path(), "databases", build, run)) == language


def test_a_new_folder_gets_it_with_the_starter(tmp_path: Path) -> None:
    data = answer("init", "databases", str(tmp_path / "s"), "--language", "go", "--ci", "github")["data"]

    assert PATH in data["files"]
    assert (tmp_path / "s" / PATH).read_text() == workflow("databases", "go")
    assert (tmp_path / "s/workspace.toml").is_file()


def test_a_folder_without_it_has_none(tmp_path: Path) -> None:
    assert invoke("init", "databases", str(tmp_path / "s"), "--language", "go").exit_code == 0
    assert not (tmp_path / "s/.github").exists()


def test_it_comes_later_too_and_what_passed_stays_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = workspace(tmp_path)
    before = content_key(made)
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")

    done = invoke("init", "--ci", "github")

    assert done.exit_code == 0
    assert "labs check --all" in done.stdout
    assert (tmp_path / PATH).read_text() == workflow("databases", "python")
    assert content_key(made) == before


def test_one_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a folder, and with a new one: then the starter is not copied either."""
    workspace(tmp_path / "old")
    for name in ("old", "new"):
        (tmp_path / name / PATH).parent.mkdir(parents=True)
        (tmp_path / name / PATH).write_text("mine")
    monkeypatch.chdir(tmp_path / "old")

    for refused in (answer("init", "--ci", "github"),
                    answer("init", "databases", "../new", "--language", "go", "--ci", "github")):
        assert (refused["exit_code"], refused["errors"][0]["code"]) == (2, "would-overwrite")

    assert {(tmp_path / name / PATH).read_text() for name in ("old", "new")} == {"mine"}
    assert not (tmp_path / "new/workspace.toml").exists()


def test_a_folder_inside_a_repository_is_told_where_github_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    workspace(tmp_path / "a/server")
    monkeypatch.chdir(tmp_path / "a/server")

    said = invoke("init", "--ci", "github").stderr

    assert str(tmp_path / PATH) in said
    assert "working-directory: a/server" in said


def test_the_top_of_a_repository_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert "note" not in invoke("init", "--ci", "github").stderr


@pytest.mark.parametrize(("arguments", "missing"), [
    ([], "LAB"), (["databases"], "FOLDER"), (["databases", "x"], "--language"), (["databases", "--ci", "github"], "FOLDER"),
])
def test_what_is_missing_is_named(arguments: list[str], missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("init", *arguments)

    assert done.exit_code == 2
    assert missing in done.stderr


def test_outside_a_workspace_there_is_nothing_to_add_it_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert answer("init", "--ci", "github")["errors"][0]["code"] == "no-workspace"
    assert list(tmp_path.iterdir()) == []
