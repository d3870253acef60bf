"""What of our own code a verdict depends on: read from the imports themselves, so that no list can go stale.

Followed are all imports, also those inside functions, from where a case is judged; services and engines are found by
name while `labs` runs, so their packages are added whole.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
JUDGING = ("orchestrator.verify.stand", "orchestrator.verify.front", "orchestrator.verify.junk",
           "orchestrator.checks.plugin", "orchestrator.checks.expect", "orchestrator.checks.server",
           "orchestrator.targets.keeper")
"""Where a case is judged, and the programs that are started for it by name."""
FOUND_BY_NAME = ("engines", "services")


def judging_code() -> list[Path]:
    """The files of ours that decide a verdict, once it is known which server meets which checks."""
    found = {path for name in FOUND_BY_NAME for path in _package(PACKAGE / name)}
    waiting = [*(_file(name) for name in JUDGING), *(path for path in found if path.suffix == ".py")]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        # What lies beside code and is no code (pytest's settings of the child) is read by it.
        found |= {path, *(other for other in path.parent.iterdir() if other.is_file() and other.suffix == ".ini")}
        waiting += _imported(path)
    return sorted(found)


def _package(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _file(name: str) -> Path:
    """The file of a module of ours. ``FileNotFoundError`` if there is none: a name above has been left behind."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{name} is no module of labs")


@cache
def _imported(path: Path) -> tuple[Path, ...]:
    return tuple(_files(_names(ast.parse(path.read_text(encoding="utf-8")))))


def _names(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Names of ours that a module imports, and whether each may be a value in a module and not a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names if alias.name.startswith("orchestrator."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "orchestrator":
            yield node.module, False
            yield from ((f"{node.module}.{alias.name}", True) for alias in node.names)


def _files(names: Iterable[tuple[str, bool]]) -> Iterator[Path]:
    for name, perhaps in names:
        if name == "orchestrator":
            continue
        try:
            yield _file(name)
        except FileNotFoundError:
            if not perhaps:
                raise
