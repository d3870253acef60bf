"""The HTTP contract: every answer of a server is held against it, so it must be one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.checks.routes import MOST_VALUES, too_large
from orchestrator.lint.finding import Finding, read_text

CONTRACT = "openapi.yaml"
FIX = "see https://spec.openapis.org: openapi, info, and paths with what the server answers"


def findings(lab: Path) -> Iterator[Finding]:
    """An ``openapi.yaml`` that is none, or whose schemas cannot be used. A lab may have no such file."""
    if not (lab / CONTRACT).exists():
        return
    text = read_text(lab, CONTRACT)
    if isinstance(text, Finding):
        yield text
        return
    import json

    import yaml

    try:
        # As JSON: a schema that contains itself by an alias is none.
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        yield from _twice(node)
        loaded = yaml.safe_load(text)
        if too_large(loaded):
            yield _bad(f"names itself by aliases until it has more than {MOST_VALUES} values",
                       fix="write $ref instead of YAML's * and &")
            return
        document = json.loads(json.dumps(loaded, default=str))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        yield _bad(f"is not YAML: {error.problem}", line=mark.line + 1 if mark else None)
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield _bad(f"is not YAML: {str(error) or type(error).__name__}")
        return
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict) or not document["paths"]:
        yield _bad("has no paths, so it says nothing about a server")
        return
    if not str(document.get("openapi", "")).startswith("3.1."):
        yield _bad("is not OpenAPI 3.1, the first whose schemas are JSON Schema", fix="begin it with `openapi: 3.1.0`")
        return
    lines = text.splitlines()
    for place, schema in _schemas(document, ()):
        yield from _schema(document, place, schema, lines)


def _twice(top: Any) -> Iterator[Finding]:
    """Keys that are there twice in one mapping: YAML's readers take the last one without a word."""
    waiting, met = [top], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in met:
            continue
        met.add(id(node))
        if not isinstance(node.value, list):
            continue
        lines: dict[str, int] = {}
        for one in node.value:
            waiting += one if isinstance(one, tuple) else (one,)
            if isinstance(one, tuple) and isinstance(one[0].value, str):
                name, line = one[0].value, one[0].start_mark.line + 1
                if name in lines:
                    yield Finding(CONTRACT, line, "key-twice", f"has {name} twice (line {lines[name]}); only the last "
                                  "one counts", "take one of them out")
                lines[name] = line


def _schemas(here: Any, place: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every schema of the document, the outermost, with its place."""
    if not isinstance(here, dict):
        for number, inner in enumerate(here if isinstance(here, list) else ()):
            yield from _schemas(inner, (*place, str(number)))
        return
    for name, inner in here.items():
        if name == "schema" or place == ("components", "schemas"):
            yield ".".join([*place, str(name)]), inner
        elif name not in ("example", "examples"):
            yield from _schemas(inner, (*place, str(name)))


def _schema(document: Any, place: str, schema: Any, lines: list[str]) -> Iterator[Finding]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield _bad(f"{place} is no JSON Schema: {error.message}")
        return
    for reference in _references(schema):
        if not _resolves(document, reference):
            line = next((number for number, line in enumerate(lines, 1) if reference in line), None)
            yield _bad(f"{place} names {reference}, which is not there", line=line,
                       fix="name a schema of this file, as in #/components/schemas/Order")


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _resolves(document: Any, reference: str) -> bool:
    if not reference.startswith("#/"):
        return False
    here = document
    for part in reference[2:].split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True


def _bad(what: str, *, line: int | None = None, fix: str = FIX) -> Finding:
    return Finding(CONTRACT, line, "bad-openapi", what, fix)
