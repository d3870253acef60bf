"""What is imported is declared, and what is declared is used: an install has all that it needs and nothing more."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = {canonicalize_name(Requirement(text).name) for text in (
    *PROJECT["dependencies"], *(one for extra in PROJECT.get("optional-dependencies", {}).values() for one in extra))}
OTHERS = {"_data", "lab"}
"""Folders with files of labs, not of ours: those run on a learner's Python."""


def sources() -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / "orchestrator").rglob("*.py")):
        if not OTHERS & set(path.relative_to(ROOT).parts):
            yield path, path.read_text(encoding="utf-8")


def imported(text: str) -> set[str]:
    """The top names of everything imported anywhere in the file, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"orchestrator"}


def distributions(module: str) -> set[str]:
    """Who brings a module; its own name where nobody does here."""
    return {canonicalize_name(name) for name in packages_distributions().get(module, [module])}


def test_everything_that_is_imported_is_declared() -> None:
    """Not left to what another library happens to bring: that one may stop doing so."""
    assert {(str(path.relative_to(ROOT)), module) for path, text in sources() for module in imported(text)
            if not distributions(module) & DECLARED} == set()


def wheels(text: str) -> set[str]:
    """Wheels that carry programs: what is given to a function that looks for a wheel, and the keys of ``WHEELS``."""
    words: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and "wheel" in node.func.id:
            words += node.args
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(
                node.targets[0], ast.Name) and node.targets[0].id == "WHEELS":
            words += node.value.keys
    return {canonicalize_name(one.value) for one in words if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_everything_that_is_declared_is_used() -> None:
    """Imported, or looked for as a wheel that carries programs."""
    used = {name for _, text in sources() for module in imported(text) for name in distributions(module)}

    assert DECLARED - used - {name for _, text in sources() for name in wheels(text)} == set()
