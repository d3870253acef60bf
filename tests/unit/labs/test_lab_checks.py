"""The checks, hints and briefs of each of our labs fit each other and what authors may use."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from orchestrator.checks.answer import Response
from orchestrator.checks.errors import Failed
from orchestrator.checks.fresh import Fresh
from orchestrator.checks.shared_code import shared_code
from orchestrator.system.text import without_anchors

LABS = Path(__file__).parents[3] / "labs"
MILESTONES: list[tuple[Path, dict[str, Any]]] = [
    (path.parent, milestone) for path in sorted(LABS.glob("*/lab.toml"))
    for milestone in tomllib.loads(path.read_text(encoding="utf-8"))["milestones"]]
FROM_FIXTURES = re.compile(r"contract-broken|too-slow|schema-(missing-(table|column|file|index)|plant-refused|wrong-type|locked"
                           r"|not-a-database|damaged|not-taken-back)|restart-exited")
HEADINGS = ["Build", "See it work", "What the check looks at", "Read more"]

each = pytest.mark.parametrize(("lab", "milestone"), MILESTONES, ids=[milestone["id"] for _, milestone in MILESTONES])


def sources(lab: Path, milestone: dict[str, Any]) -> list[str]:
    """The texts of its files of checks."""
    names = [milestone["checks"]] if isinstance(milestone["checks"], str) else milestone["checks"]
    return [(lab / name).read_text(encoding="utf-8") for name in names]


@each
def test_every_check_has_a_title_for_learners(lab: Path, milestone: dict[str, Any]) -> None:
    """Each check's docstring begins with one sentence, and each takes the evidence it must give."""
    checks = [node for source in sources(lab, milestone) for node in ast.parse(source).body
              if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert checks
    for check in checks:
        title = (ast.get_docstring(check) or "").splitlines()[0]
        assert title.endswith("."), check.name
        assert "evidence" in {argument.arg for argument in check.args.args}, check.name


@each
def test_checks_import_what_they_may(lab: Path, milestone: dict[str, Any]) -> None:
    """A check imports the standard library, pytest and orchestrator.checks, nothing else."""
    for node in (node for source in sources(lab, milestone) for node in ast.walk(ast.parse(source))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            standard = name.split(".")[0] in sys.stdlib_module_names
            assert standard or name == "pytest" or name.startswith("orchestrator.checks"), name


@each
def test_a_hint_speaks_of_a_reason_that_its_checks_give(lab: Path, milestone: dict[str, Any]) -> None:
    """Hints that are bound to a reason id can be reached; the first one is for any failure."""
    shared = [path.read_text(encoding="utf-8") for path in shared_code(lab)]
    source = "".join([*sources(lab, milestone), *shared])
    hints = milestone["hints"]
    assert len(hints) >= 2
    assert "reason" not in hints[0]
    for hint in hints[1:]:
        reason = hint.get("reason", "")
        assert not reason or f'"{reason}"' in source or FROM_FIXTURES.fullmatch(reason), reason


@each
def test_a_brief_fits_a_screen(lab: Path, milestone: dict[str, Any]) -> None:
    """Each brief has the milestone's title, the four parts in their order, and less than fifty short lines."""
    text = (lab / milestone["brief"]).read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# {milestone['title']}"
    assert len(text.splitlines()) < 50
    # The names of promises are seen by nobody who reads it.
    assert max(map(len, without_anchors(text).splitlines())) <= 110
    last = [other for _, other in MILESTONES if other["id"].split("/")[0] == milestone["id"].split("/")[0]][-1]
    headings = re.findall(r"(?m)^## (.*)$", text)
    assert headings[:len(HEADINGS)] == HEADINGS
    assert [heading.startswith("When you would not need ") for heading in headings[len(HEADINGS):]] == [True] * (milestone is last)


def test_an_id_that_is_cut_off_is_no_injection() -> None:
    """`find("7' OR ...")` of a server that binds its parameters answers record 7: no text became SQL, and none is said
    to have (rails/rails#18507)."""
    class CutsIdsOff:
        def get(self, path: str) -> Response:
            return Response(200, {}, b'{"id": "7"}', 0.0, {"method": "GET", "path": path})

    path = LABS / "databases/checks/test_sales_crud_limits.py"
    spec = importlib.util.spec_from_file_location("crud_checks", path)
    assert spec is not None
    assert spec.loader is not None
    checks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checks)

    with pytest.raises(Failed) as caught:
        checks.test_text_is_data_not_sql(CutsIdsOff(), None, lambda *_: "7", lambda: "7", Fresh(1, "a/b/test_c"), None)

    assert caught.value.reason == "id-cut-off"
    assert "/buyers/7 or more" in caught.value.what
