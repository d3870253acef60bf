"""The house's walls: who may import whom, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "orchestrator"

CHILD = {
    "answer", "channel", "contract", "errors", "exchange", "expect", "failures", "fixtures", "fresh", "http", "plugin",
    "protocol", "routes", "server", "stream", "watchdog", "words",
}
"""Modules of ``orchestrator.checks`` on the pytest child's side, and ``checks.evidence``."""

OTHERS = {"_data", "lab"}
"""Folders with files of labs, not of ours: a wheel's data, the template of a new lab."""

HEAVY = {"docker", "fabric", "httpx", "psycopg", "pydantic", "pytest", "redis", "rich", "yaml", "testcontainers",
         "watchfiles"}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        if OTHERS & set(path.parts):
            continue
        name = ".".join(("orchestrator", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.Module) -> set[str]:
    """Full names of everything imported anywhere in the file, type-checking blocks left out."""
    found: set[str] = set()
    skip: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skip |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(name: str) -> set[str]:
    """Modules of ours that a module imports."""
    return {target for target in imports(MODULES[name]) if target in MODULES and target != "orchestrator"}


def is_child(name: str) -> bool:
    parts = name.split(".")
    return parts[:2] == ["orchestrator", "checks"] and len(parts) > 2 and (parts[2] in CHILD or parts[2] == "evidence")


def layer(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


FORBIDDEN = {
    "errors": set(MODULES) - {"orchestrator.errors"},
    "model": set(MODULES) - {"orchestrator.model"},
    "services": {"engines", "report", "checks", "cli", "environment", "execute", "plan", "target", "faults", "leases"},
    "report": {"engines", "services", "checks", "cli", "environment", "execute", "target", "faults"},
    "faults": {"report", "checks", "cli", "environment", "execute", "target"},
    "engines": {"report", "checks", "cli", "environment", "execute", "plan", "faults"},
    "plan": {"engines", "services", "report", "checks", "cli", "environment", "execute", "target", "faults"},
    "target": {"engines", "services", "report", "checks", "cli", "environment", "execute", "faults"},
    "environment": {"report", "checks", "cli", "faults"},
    "checks": {"cli", "environment", "verify", "lint", "scaffold"},
    # Lint reads; of those who run something it knows only the readers of a workspace and of solutions.
    "lint": {"engines", "report", "checks", "cli", "environment", "execute", "plan", "faults", "leases", "watch"} | {
        name for name in MODULES if name.startswith(("orchestrator.target.", "orchestrator.verify.", "orchestrator.services."))
    } - {"orchestrator.target.workspace", "orchestrator.verify.solutions"},
    "scaffold": {"cli", "engines", "report", "checks", "verify", "environment", "execute", "target", "services"},
    "verify": {"cli", "environment", "lint", "watch"},
}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_dependencies_go_one_way(name: str) -> None:
    """Reporters never see engines; engines never see reports, checks or the command line; nothing imports the cli."""
    forbidden = FORBIDDEN.get(layer(name), set())

    assert [target for target in sorted(ours(name)) if target in forbidden or layer(target) in forbidden] == []
    if layer(name) not in ("cli", "__main__"):
        assert [target for target in ours(name) if layer(target) == "cli"] == []


@pytest.mark.parametrize("name", sorted(filter(is_child, MODULES)))
def test_the_child_imports_only_the_child(name: str) -> None:
    """What runs beside a lab's checks cannot reach engines, targets or the supervisor."""
    assert [target for target in sorted(ours(name)) if not is_child(target) and target != "orchestrator.checks"] == []


def test_only_one_module_imports_httpx_and_only_one_pydantic() -> None:
    """A library that may have to be replaced stands behind one module."""
    users = {library: [name for name in MODULES if any(
        target.split(".")[0] == library for target in imports(MODULES[name]))] for library in ("httpx", "pydantic")}

    assert users == {"httpx": ["orchestrator.checks.http"],
                     "pydantic": ["orchestrator.manifest", "orchestrator.manifest_schema"]}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list", "--help"], ["check", "--help"], ["watch", "--help"]])
def test_a_command_line_is_parsed_without_heavy_imports(arguments: list[str]) -> None:
    """`labs --help` imports none of the libraries that only some commands need."""
    program = ("import sys\nfrom orchestrator.cli.main import main\ntry:\n    main(sys.argv[1:])\n"
               "except SystemExit:\n    pass\nprint(sorted(set(m.split('.')[0] for m in sys.modules)))")
    answer = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(answer.stdout.splitlines()[-1]))

    assert loaded & HEAVY == set()
    assert "click" in loaded


def test_files_have_one_subject() -> None:
    """Past four hundred lines a file has two."""
    long = {str(path.relative_to(ROOT)): count for path in ROOT.rglob("*.py")
            if not OTHERS & set(path.parts) and (count := len(path.read_text(encoding="utf-8").splitlines())) > 400}

    assert long == {}
