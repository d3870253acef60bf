"""The list of our own reasons is complete: it is read beside the places that raise them."""

from __future__ import annotations

import ast
from pathlib import Path

from orchestrator.catalog import reasons

ROOT = Path(reasons.__file__).parents[1]


def raised(types: set[str], *folders: str) -> set[str]:
    """The literal first arguments of these exceptions."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in types and node.args:
                first = node.args[0]
                found |= {first.value} if isinstance(first, ast.Constant) and isinstance(first.value, str) else set()
    return found


def test_what_fixtures_and_readers_raise_is_listed() -> None:
    found = raised({"TargetWrong", "TargetTimeout", "SchemaWrong"}, "checks", "services")

    assert found
    assert found == set(reasons.CHECKING) - {"assertion", "deadline", "not-reached", "not-confirmed"}


def test_what_keeps_a_server_from_starting_is_listed() -> None:
    assert raised({"TargetInvalid"}, "targets", "attach") == set(reasons.STARTING)
