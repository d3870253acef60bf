"""The house's walls: who may import whom, read from the imports themselves. What is not allowed here is refused."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "orchestrator"

FLOORS: tuple[dict[str, str], ...] = (
    {"errors": "", "resources": "", "model": ""},
    {"checks": "", "system": "errors", "roles": "model"},
    {"services": "checks errors model resources", "report": "model system"},
    {"engines": "errors model services system"},
    {
        "faults": "engines errors model system",
        "machine": "engines errors model services system",
        "ownership": "engines errors model system",
        "workspace": "checks errors model report roles system",
        "targets": "errors model system workspace",
    },
    {
        "environments": "engines errors faults machine model ownership services system",
        "catalog": "checks errors model ownership resources roles services system",
    },
    {"judge": "checks engines environments errors faults machine model ownership report roles services system targets "
              "workspace"},
    {
        "verify": "checks engines errors judge model report services system targets workspace",
        "attach": "environments errors judge model report roles system targets workspace",
    },
    {
        "sharing": "errors model report system workspace",
        "scaffold": "errors model system",
        "lint": "catalog checks errors resources services system verify workspace",
        "watch": "errors judge model report system workspace",
    },
    {"cli": "attach catalog engines environments errors faults judge lint machine model ownership report scaffold "
            "services sharing system verify watch workspace"},
    {"__main__": "cli"},
)
"""The rooms from the ground up; each with the rooms that it may import, all of them on floors below its own.

``__version__``, in the package itself, is everybody's. Two arrows stay on their own floor: see ``BESIDE``.
"""
BESIDE = {("targets", "workspace")}
"""A target is started from what the workspace says."""

ALLOWED = {room: set(rooms.split()) for floor in FLOORS for room, rooms in floor.items()}

OTHERS = {"_data", "lab"}
"""Folders with files of labs, not of ours: a wheel's data, the template of a new lab."""

HEAVY = {"bson", "docker", "fabric", "httpx", "jinja2", "psycopg", "psutil", "pydantic", "pymongo", "pytest", "redis",
         "rich", "sqlglot", "testcontainers", "watchfiles", "yaml"}


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


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def is_evidence(name: str) -> bool:
    """``orchestrator.services.NAME.evidence`` and what is below it: runs in the pytest child."""
    return name.split(".")[1:2] == ["services"] and "evidence" in name.split(".")[3:]


def test_rooms_import_only_what_is_below_them() -> None:
    """No room stands on itself, however indirectly, and each one is on a floor."""
    height = {name: number for number, floor in enumerate(FLOORS) for name in floor}

    assert {room(name) for name in MODULES} - {""} == set(ALLOWED)
    assert [(name, other) for name, allowed in ALLOWED.items() for other in allowed
            if height[other] >= height[name] and (name, other) not in BESIDE] == []
    assert len(tuple(graphlib.TopologicalSorter(ALLOWED).static_order())) == len(ALLOWED)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_dependencies_go_one_way(name: str) -> None:
    """A room imports what is drawn above, and nothing else."""
    allowed = ALLOWED.get(room(name), set()) | {room(name)}

    assert sorted(target for target in ours(name) if room(target) not in allowed) == []


def test_every_arrow_that_is_allowed_is_used() -> None:
    """A permission that nobody needs any more is taken back."""
    used = {(room(name), room(target)) for name in MODULES for target in ours(name)}

    assert sorted((name, other) for name, allowed in ALLOWED.items() for other in allowed
                  if (name, other) not in used) == []


@pytest.mark.parametrize("name", sorted(name for name in MODULES if room(name) == "checks" or is_evidence(name)))
def test_the_child_imports_only_the_child(name: str) -> None:
    """What runs beside a lab's checks cannot reach engines, targets or the supervisor."""
    allowed = {"orchestrator.checks"} | ({"orchestrator.services"} if is_evidence(name) else set())

    assert [target for target in sorted(ours(name))
            if room(target) != "checks" and not is_evidence(target) and target not in allowed] == []


def test_engines_do_not_know_each_other() -> None:
    """What both need stands in the room itself."""
    assert [name for name in MODULES for target in ours(name)
            if {room(name), room(target)} == {"engines"} and len(name.split(".")) > 3 and len(target.split(".")) > 3
            and name.split(".")[2] != target.split(".")[2]] == []


def test_commands_do_not_know_each_other() -> None:
    """What two commands need is no command: it stands in a file of its own, or in a room below."""
    assert [(name, target) for name in MODULES for target in ours(name)
            if name.endswith("_command") and room(target) == "cli" and target.split(".")[2].endswith("_command")] == []


def test_services_do_not_know_each_other() -> None:
    """A service is a folder: nothing in it imports another service's. A folder without a ``service.py`` is none: kin
    share it."""
    assert [name for name in MODULES for target in ours(name)
            if {room(name), room(target)} == {"services"} and len(name.split(".")) > 3 and len(target.split(".")) > 3
            and name.split(".")[2] != (other := target.split(".")[2])
            and (ROOT / "services" / other / "service.py").is_file()] == []


def code_strings(tree: ast.Module) -> Iterator[str]:
    """What a file says in its code: strings and names. Docstrings and comments explain by example, and may."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in said:
                yield text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.alias(name=text) | ast.arg(arg=text):
                yield text
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                yield text


@pytest.mark.parametrize("name", sorted(name for name in MODULES if not name.startswith("orchestrator.services.")))
def test_only_its_folder_knows_a_service(name: str) -> None:
    """What has to be decided about a service is asked of it; nothing else has its name, its product's or its client's."""
    services = {path.parent.name for path in (ROOT / "services").glob("*/service.py")} | {"psql", "valkey", "mongosh"}

    assert [text for text in code_strings(MODULES[name]) if any(one in text.lower() for one in services)] == []


def test_only_one_module_imports_a_library_that_may_be_replaced() -> None:
    """A library that may have to be replaced stands behind one module."""
    users = {library: [name for name in MODULES if any(target.split(".")[0] == library for target in imports(MODULES[name]))]
             for library in ("httpx", "pydantic", "sqlglot")}

    assert users == {"httpx": ["orchestrator.checks.http"], "sqlglot": ["orchestrator.lint.sql"],
                     "pydantic": ["orchestrator.catalog.manifest", "orchestrator.catalog.manifest_schema"]}


def test_html_is_escaped_by_templates_only() -> None:
    """Nobody's hand forgets it then."""
    assert [name for name in MODULES if "html" in imports(MODULES[name])] == []


def test_locks_and_whole_files_are_made_in_one_place() -> None:
    """A second loop around ``flock``, or a second temporary file that is renamed, would be right in fewer cases."""
    users = {function: [name for name, tree in MODULES.items() for node in ast.walk(tree)
                        if isinstance(node, ast.Attribute) and node.attr == function] for function in ("flock", "mkstemp")}

    assert {function: set(names) for function, names in users.items()} == {
        "flock": {"orchestrator.system.locks"}, "mkstemp": {"orchestrator.system.files"}}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list", "--help"], ["check", "--help"], ["watch", "--help"]])
def test_a_command_line_is_parsed_without_heavy_imports(arguments: list[str]) -> None:
    """`labs --help` imports none of the libraries that only some commands need."""
    program = ("import sys\nfrom orchestrator.cli.main import main\ntry:\n    main(sys.argv[1:])\n"
               "except SystemExit:\n    pass\nprint(sorted(set(m.split('.')[0] for m in sys.modules)))")
    answer = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(answer.stdout.splitlines()[-1]))

    assert loaded & HEAVY == set()
    assert "click" in loaded


@pytest.mark.parametrize("room", ["orchestrator", "tests", "labs", "scripts", "bench"])
def test_files_have_one_subject(room: str) -> None:
    """Past four hundred lines a file has two."""
    files = {path.relative_to(ROOT.parent): path for path in (ROOT.parent / room).rglob("*.py")}
    ours = {name: path for name, path in files.items()
            if not OTHERS & set(name.parts) and not any(part.startswith(".") for part in name.parts)}
    long = {str(name): count for name, path in ours.items()
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400}

    assert ours
    assert long == {}


def test_a_class_name_means_one_thing() -> None:
    """Whoever reads a name in one room knows it in all others."""
    places: dict[str, list[str]] = {}
    for name, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(name)

    assert {name: where for name, where in places.items() if len(where) > 1} == {}
