"""The services of a lab's own in ``lab.toml``: what is wrong with them and with their Compose files, all at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFault, Problem, did_you_mean
from orchestrator.model import ContainerSpec
from orchestrator.services.compose import KEYS, NEEDED, TOP_KEYS, parse_container
from orchestrator.services.own import PLACEHOLDERS, OwnService, placeholders, product_of, ready_trouble

COMPOSE_LIMIT = 32 * 1024
"""Bytes: every instance carries the whole file."""
READY = "tcp"
ONLY_OWN = ("ready", "env", "memory")
RESERVED = ("server",)
"""What commands call something else: ``labs logs server``."""
GIVEN = re.compile(r"PORT|LABS_.*|PATH|HOME")
"""Variables that ``labs`` itself gives to every target."""
UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}

Where = list[str | int]
LineOf = Callable[[Where], int | None]
FileTrouble = Callable[[Path, str], tuple[str, str]]


def own_services(
    data: Mapping[str, Any], folder: Path, known: Collection[str], *, line_of: LineOf, file_trouble: FileTrouble,
) -> tuple[dict[str, OwnService], list[Problem]]:
    """The services of the lab's own that are as they must be, and everything that is wrong with any service's table.

    ``data`` is the whole file; what has not the type that its schema says is the schema's to complain about.
    ``line_of`` gives the line of a key, ``file_trouble`` what is wrong with a path of the lab, and its rule.
    """
    tables = data.get("services")
    found: dict[str, OwnService] = {}
    problems: list[Problem] = []
    giver: dict[str, str] = {}
    server = data.get("server")
    for variable in server.get("env", {}) if isinstance(server, dict) and isinstance(server.get("env"), dict) else ():
        giver[variable] = "[server]"
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if not isinstance(table, dict):
            continue
        one = _Declared(name, table, folder, known, file_trouble)
        wrong = [*one.problems(giver)]
        problems += [Problem("lab.toml", line_of(["services", name, *where]), f"services.{name}{message}", rule)
                     for where, message, rule in wrong]
        problems += one.compose_problems
        if one.compose and not wrong and not one.compose_problems:
            found[name] = one.own()
    return found, problems


class _Declared:
    """One ``[services.NAME]``."""

    def __init__(self, name: str, table: Mapping[str, Any], folder: Path, known: Collection[str],
                 file_trouble: FileTrouble) -> None:
        self.name = name
        self.compose = _text(table.get("compose"))
        self.compose_problems: list[Problem] = []
        self._table = table
        self._known = name in known
        self._text = ""
        self._container: ContainerSpec | None = None
        self._trouble, self._rule = file_trouble(folder, self.compose) if self.compose else ("", "")
        if self.compose and not self._trouble:
            self._read(folder / self.compose)

    def own(self) -> OwnService:
        """As the recipe is made from it."""
        env = {variable: template for variable, template in _table(self._table.get("env")).items()
               if isinstance(template, str)}
        return OwnService(self.name, self.compose, self._text, _text(self._table.get("ready")) or READY, env,
                          size(_text(self._table.get("memory"))))

    def problems(self, giver: dict[str, str]) -> Iterator[tuple[Where, str, str]]:
        """Place below the table, message, rule. ``giver``: variable -> who gives it; this service's are added."""
        versions = self._table.get("versions")
        if isinstance(versions, str):
            yield from self._versions(versions)
        if not self.compose:
            if self._known and versions is None:
                yield [], ".versions is missing", "missing-key"
            for key in ONLY_OWN:
                if key in self._table:
                    yield ([key], f".{key} is for a service of the lab's own: name its Compose file with compose",
                           "unknown-key")
            return
        if self._known or self.name in RESERVED:
            yield ([], f": labs itself has something called {self.name}: give your service another name",
                   "known-service")
        if self._trouble:
            yield ["compose"], f".compose {self.compose!r} {self._trouble}", self._rule
        ready = self._table.get("ready", READY)
        trouble = ready_trouble(ready) if isinstance(ready, str) else ""
        if trouble:
            yield ["ready"], f".ready: {trouble}", "bad-value"
        for variable, template in _table(self._table.get("env")).items():
            where: Where = ["env", variable]
            if GIVEN.fullmatch(variable):
                yield where, f".env.{variable} is a variable that labs itself gives", "variable-twice"
            elif variable in giver:
                yield where, f".env.{variable} is given by {giver[variable]}, too", "variable-twice"
            giver.setdefault(variable, f"services.{self.name}")
            if isinstance(template, str):
                yield from ((where, f".env.{variable}: {one}", "unknown-placeholder")
                            for one in self._placeholder_troubles(template))

    def _versions(self, versions: str) -> Iterator[tuple[Where, str, str]]:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
        from packaging.version import InvalidVersion, Version

        try:
            SpecifierSet(versions)
        except InvalidSpecifier:
            yield ["versions"], f".versions: {versions!r} is no range of versions, like >=17,<19", "bad-value"
            return
        if self._container is not None and versions:
            product = product_of(self._container)
            try:
                Version(product.version)
            except InvalidVersion:
                yield (["versions"], f".versions: the image's tag {product.version!r} is no version that could be "
                       "compared; leave versions out", "bad-value")

    def _placeholder_troubles(self, template: str) -> Iterator[str]:
        ports = None if self._container is None else [f"port_{name}" for name in self._container.ports if name]
        possible = [*PLACEHOLDERS, *(ports or ())]
        try:
            for one in placeholders(template):
                # Without the Compose file nobody knows which further ports there are.
                if one not in possible and not (ports is None and one.startswith("port_")):
                    yield (f"{{{one}}} is not known; there are {', '.join(f'{{{name}}}' for name in possible)}"
                           + did_you_mean(one, possible))
        except ValueError as error:
            yield f"{template!r}: {error} (a brace of its own is written {{{{ or }}}})"

    def _read(self, path: Path) -> None:
        """The Compose file and what is wrong with it."""
        try:
            content = path.read_bytes()
            self._text = content.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            rule = "not-utf-8" if isinstance(error, UnicodeDecodeError) else "cannot-read"
            self.compose_problems.append(Problem(self.compose, None, str(error), rule))
            return
        if len(content) > COMPOSE_LIMIT:
            self.compose_problems.append(Problem(self.compose, None, f"more than {COMPOSE_LIMIT} bytes", "too-large"))
            return
        self.compose_problems += [Problem(self.compose, line, message, "bad-compose")
                                  for line, message in compose_troubles(self._text, self.name)]
        if not self.compose_problems:
            try:
                self._container = parse_container(self._text, {}, where=self.compose)
            except EnvironmentFault as error:
                message = error.message.removeprefix(f"{self.compose}: ")
                self.compose_problems.append(Problem(self.compose, None, message, "bad-compose"))


def compose_troubles(text: str, name: str) -> Iterator[tuple[int | None, str]]:
    """Line and message of everything in a Compose file whose place or name is wrong; values are looked at elsewhere."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        yield error.problem_mark.line + 1 if error.problem_mark else None, f"is not valid YAML: {error.problem}"
        return
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        yield None, f"is not valid YAML: {error}"
        return
    top = _entries(root)
    for key, (line, _) in top.items():
        if key not in TOP_KEYS:
            yield line, f"the key {key!r} is not supported{did_you_mean(key, TOP_KEYS)}"
    services = _entries(top["services"][1]) if "services" in top else {}
    if len(services) != 1:
        yield top["services"][0] if "services" in top else None, "there must be exactly one service"
        return
    ((called, (place, node)),) = services.items()
    if called != name:
        yield place, f"the service is called {called}; call it {name}, as lab.toml does"
    keys = _entries(node)
    for key, (line, _) in keys.items():
        if key not in KEYS:
            yield line, f"the key {key!r} of the service is not supported{did_you_mean(key, KEYS)}"
    for key in NEEDED:
        if key not in keys:
            yield place, f"the key {key!r} of the service is missing"


def size(text: str) -> int:
    """``200 MB`` -> bytes; 0 for what is no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kB|MB|GB)", text)
    return int(float(match[1]) * UNITS[match[2]]) if match else 0


def _entries(node: Any) -> dict[str, tuple[int, Any]]:
    """Key -> its line and the node of its value, of a table; nothing of anything else."""
    pairs = node.value if node is not None and node.id == "mapping" else ()
    return {str(key.value): (key.start_mark.line + 1, value) for key, value in pairs}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
