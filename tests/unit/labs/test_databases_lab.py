"""What the folder of the lab `databases` promises without running anything: starters and solutions fit each other."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from support.workspace import patch

LAB = Path(__file__).parents[3] / "labs/databases"
STARTERS = ("python", "go", "node")
ACCEPTED = ("python", "go")
SEARCH = sorted((LAB / "solutions/accepted").glob("*-search"))
SERVERS = [LAB / "starter" / name for name in STARTERS] + [LAB / "solutions/accepted" / name for name in ACCEPTED] + SEARCH
FIRST_STEP = LAB / "solutions/accepted/python-first-step.patch"
ROUTE = re.compile(r"""["'](GET|POST|PUT|PATCH|DELETE)(?:["'], ["']| )(/[^"']*)["']""")

by_name = {"ids": lambda path: path.name if path.is_file() else f"{path.parent.name}/{path.name}"}


def routes_of_the_contract() -> set[tuple[str, str]]:
    import yaml

    paths = yaml.safe_load((LAB / "openapi.yaml").read_text())["paths"]
    methods = {"get", "post", "put", "patch", "delete"}
    return {(method.upper(), path) for path, item in paths.items() for method in item if method in methods}


@pytest.mark.parametrize("folder", SERVERS, **by_name)
def test_a_server_has_the_routes_of_the_contract(folder: Path) -> None:
    """Each starter names every route of `openapi.yaml`; solutions have the search in servers of its own, with the events."""
    text = "".join(path.read_text() for path in sorted(folder.iterdir()) if path.suffix in (".py", ".go", ".js"))
    text = text.replace('"/things/{id}"', "")  # the example in a comment
    every = routes_of_the_contract()
    search = {one for one in every if one[1].startswith("/search")}
    with_search = search | {one for one in every if one[1] in ("/health", "/events", "/events/{id}")}
    named = set(ROUTE.findall(text))
    if folder in SEARCH:
        assert named & every == with_search, "other paths are Elasticsearch's"
    else:
        assert named == (every if folder.parent.name == "starter" else every - search)


@pytest.mark.parametrize("folder", [*SERVERS, LAB / "starter/other"], **by_name)
def test_a_server_has_its_files(folder: Path) -> None:
    """Each folder can be built and run as it stands: a valid `workspace.toml`, locked libraries, an ignore file."""
    workspace = tomllib.loads((folder / "workspace.toml").read_text())
    assert (workspace["format"], workspace["lab"]) == (1, "databases")
    assert workspace["run"]
    assert (folder / ".gitignore").read_text()
    locks = {"python": "requirements.txt", "go": "go.sum", "node": "package-lock.json"}
    language = folder.name.removesuffix("-search")
    if language in locks:
        lock = (folder / locks[language]).read_text()
        assert "://" not in lock, "a lock names no package index"
        assert workspace["build"]


def test_the_starter_for_any_language_says_the_labs_budgets() -> None:
    """How long a build and a start may take, and up to what that can be raised, as `lab.toml` has it."""
    server = tomllib.loads((LAB / "lab.toml").read_text())["server"]
    said = (LAB / "starter/other/workspace.toml").read_text()

    assert f"Defaults: {server['build_budget']} and {server['start_budget']}." in said
    assert f"(at most {server['build_budget_cap']} and {server['start_budget_cap']})" in said


@pytest.mark.parametrize("name", [*STARTERS, "other"])
def test_a_starter_has_the_plain_tables(name: str) -> None:
    """A starter's `schema.sql` has the tables of `storage.md` and leaves constraints and indexes to the milestones."""
    folder = LAB / "starter" / name
    schema = (folder / "schema.sql").read_text()
    assert re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", schema) == ["buyers", "events", "orders", "tickets"]
    assert not re.search(r"REFERENCES|UNIQUE|CHECK|NOT NULL|INDEX", schema)
    assert (folder / "README.md").read_text().startswith("# ")


@pytest.mark.parametrize("name", STARTERS)
def test_a_starter_uses_no_service(name: str) -> None:
    """A starter's program touches no store: every milestone is still to be done."""
    folder = LAB / "starter" / name
    code = "".join(path.read_text() for path in folder.iterdir() if path.suffix in (".py", ".go", ".js"))
    assert not re.search(r"DATABASE_URL|REDIS_URL|MONGODB_URL", code)


@pytest.mark.parametrize("name", ACCEPTED)
def test_solutions_speak_http_as_the_starter_does(name: str) -> None:
    """A solution keeps the starter's HTTP file unchanged, as the starter tells its learner to."""
    files = [path for path in (LAB / "starter" / name).iterdir() if path.stem == "web"]
    assert len(files) == 1
    assert (LAB / "solutions/accepted" / name / files[0].name).read_text() == files[0].read_text()


def test_the_first_step_is_small(tmp_path: Path) -> None:
    """The first milestone is at most ten changed lines away from the Python starter, and the change applies."""
    changed = [line for line in FIRST_STEP.read_text().splitlines() if re.match(r"[+-](?![+-])", line)]
    assert 0 < len(changed) <= 10
    shutil.copytree(LAB / "starter/python", tmp_path / "server")
    patch(tmp_path / "server", FIRST_STEP)
