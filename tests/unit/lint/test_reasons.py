"""The list of our own reasons is complete: it is read beside the places that raise them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from orchestrator import services
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


def test_what_fixtures_raise_is_listed() -> None:
    found = raised({"TargetWrong", "TargetTimeout", "SchemaWrong"}, "checks")

    assert found
    assert found == set(reasons.CHECKING) - {"assertion", "deadline", "not-reached", "not-confirmed"}


@pytest.mark.parametrize("service", services.names())
def test_what_a_services_reader_raises_stands_in_its_names(service: str) -> None:
    assert raised({"TargetWrong", "TargetTimeout", "SchemaWrong"}, f"services/{service}") == set(
        services.names_of(service).reasons)


def test_a_lab_can_give_the_reasons_of_its_own_services_only() -> None:
    assert "schema-missing-table" in reasons.possible(["postgres"])
    assert "schema-missing-table" not in reasons.possible(["redis", "a-labs-own"])
    assert {"no-answer", "never-bound", "restart-never-bound"} < reasons.possible([])


def test_what_keeps_a_server_from_starting_is_listed() -> None:
    assert raised({"TargetInvalid"}, "targets", "attach") == set(reasons.STARTING)
