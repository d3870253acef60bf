"""The published schemas say yes and no to the same files as the readers do."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from orchestrator.catalog.manifest import survey
from orchestrator.cli.schema_command import SCHEMAS, cli
from orchestrator.errors import WorkspaceInvalid
from orchestrator.resources import labs_folder
from orchestrator.workspace.workspace_toml import read_workspace

DOCS = Path(__file__).parents[3] / "docs"
WORKSPACES = sorted(labs_folder().glob("*/starter/*/workspace.toml")) + sorted(
    labs_folder().glob("*/solutions/accepted/*/workspace.toml"))
GOOD = 'format = 1\nlab = "small"\nrun = ["./server"]\n'


def schema(what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / f"{what}.schema.json").read_text())
    return found


def fits(what: str, data: object) -> bool:
    return not list(jsonschema.Draft202012Validator(schema(what)).iter_errors(data))


@pytest.mark.parametrize("what", SCHEMAS)
def test_what_is_printed_is_what_is_published(what: str) -> None:
    """``make schema`` writes what ``labs schema`` prints, to the byte."""
    done = CliRunner().invoke(cli, [what])

    assert done.exit_code == 0
    assert done.stdout == (DOCS / f"{what}.schema.json").read_text()
    jsonschema.Draft202012Validator.check_schema(schema(what))
    assert schema(what)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_other_things_have_no_schema() -> None:
    done = CliRunner().invoke(cli, ["labb"])

    assert done.exit_code == 2
    assert "'lab', 'workspace', 'report'" in done.stderr


@pytest.mark.parametrize("path", sorted(labs_folder().glob("*/lab.toml")), ids=lambda path: path.parent.name)
def test_our_labs_fit(path: Path) -> None:
    assert fits("lab", tomllib.loads(path.read_text()))


@pytest.mark.parametrize(("old", "new"), [
    ('title = "Small"', 'titel = "Small"'), ("format = 1", "format = 2"), ('version = "1.0.0"', 'version = "one"'),
    ('id = "shop/buyers"', 'id = "Shop/Buyers"'), ('summary = "A small lab."', 'summary = ""'),
    ("[tracks.shop]", '[tracks."a b"]'), ('title = "Buyers are rows"', 'title = "Buyers are rows"\nbudget = "long"'),
])
def test_a_lab_that_does_not_fit(lab: Path, old: str, new: str) -> None:
    """The schema refuses what the reader refuses for its shape."""
    text = (lab / "lab.toml").read_text()
    assert old in text
    assert fits("lab", tomllib.loads(text))
    (lab / "lab.toml").write_text(text.replace(old, new))

    assert survey(lab, services=["postgres", "redis"])[1]
    assert not fits("lab", tomllib.loads(text.replace(old, new)))


@pytest.mark.parametrize("path", WORKSPACES, ids=lambda path: str(path.parent.relative_to(labs_folder())).replace("/", "-"))
def test_our_workspaces_fit(path: Path) -> None:
    assert fits("workspace", tomllib.loads(path.read_text()))


@pytest.mark.parametrize(("text", "good"), [
    (GOOD, True),
    (f"{GOOD}build = []\n", True),
    (f'{GOOD}build = ["make"]\n', True),
    (f'{GOOD}build = [["make"], ["make", "all"]]\n', True),
    (f'{GOOD}build = [["make"], []]\n', False),
    (f'{GOOD}build = [["make"], "make"]\n', False),
    (f'{GOOD}build = "make"\n', False),
    (f"{GOOD}build = [1]\n", False),
    (f'{GOOD}built = ["make"]\n', False),
    (GOOD.replace("1", "2"), False),
    (GOOD.replace("1", "true"), False),
    (GOOD.replace("format = 1\n", ""), False),
    (GOOD.replace('lab = "small"\n', ""), False),
    (GOOD.replace('"small"', '" "'), False),
    (GOOD.replace('"small"', "3"), False),
    (GOOD.replace('run = ["./server"]\n', ""), False),
    (GOOD.replace('["./server"]', '"./server"'), False),
    (GOOD.replace('["./server"]', "[]"), False),
    (GOOD.replace('"./server"', '"./server", ""'), False),
    (GOOD.replace('"./server"', '"./server", "a\\u0000b"'), False),
    (GOOD.replace('"./server"', '"./server", 8080'), False),
    (GOOD.replace('"./server"', '"~/server"'), False),
    (f"{GOOD}start_budget = 60\nbuild_budget = 0.5\n", True),
    (f"{GOOD}start_budget = 0\n", False),
    (f"{GOOD}start_budget = true\n", False),
    (f'{GOOD}build_budget = "60"\n', False),
    (GOOD.replace('"./server"', '"./server", "~"'), True),
])
def test_reader_and_schema_of_a_workspace_agree(text: str, good: bool, tmp_path: Path) -> None:
    (tmp_path / "workspace.toml").write_text(text)
    try:
        read_workspace(tmp_path)
        read = True
    except WorkspaceInvalid:
        read = False

    assert (read, fits("workspace", tomllib.loads(text))) == (good, good)
