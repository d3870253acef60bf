"""The lab's ``openapi.yaml``, and which of its routes a path belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MOST_VALUES = 1_000_000
DEEP = 8
"""How far references and parts of parts are followed: a document may point to itself."""
ID = re.compile(r"(?=.*\d)[0-9A-Za-z_-]+")


def read_openapi(lab: Path) -> dict[str, Any]:
    """The document as JSON values (YAML's ``200:`` is the name "200"); ``{}`` if there is none that can be read."""
    import json

    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times as fast, where it is there
    try:
        document = yaml.load((lab / "openapi.yaml").read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
        if too_large(document):
            return {}
        document = json.loads(json.dumps(document, default=str))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}


def too_large(value: Any) -> bool:
    """Whether a value of YAML has more than ``MOST_VALUES`` once each alias is written out.

    Each part is counted once, so this takes no longer than the file is long. What contains itself is too large.
    """
    counted: dict[int, int] = {}

    def count(one: Any) -> int:
        if not isinstance(one, dict | list):
            return 1
        if id(one) not in counted:
            counted[id(one)] = MOST_VALUES + 1  # for whoever meets it inside itself
            inner = one.values() if isinstance(one, dict) else one
            counted[id(one)] = min(1 + sum(map(count, inner)), MOST_VALUES + 1)
        return counted[id(one)]

    return count(value) > MOST_VALUES


def way_of(reference: str) -> list[str]:
    """``#/components/schemas/Buyer`` -> the keys from the top of the document to what it points to."""
    return [part.replace("~1", "/").replace("~0", "~") for part in reference.removeprefix("#/").split("/")]


def resolved(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node, or what it refers to within the document; ``LookupError`` if that is not there or goes in a circle."""
    for _ in range(DEEP):
        reference = node.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return node
        node = document
        for part in way_of(reference):
            node = node[part]
    raise LookupError(f"openapi.yaml: {reference} refers to itself")


def merged(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A schema with what it refers to and what ``allOf`` adds written into it. ``LookupError`` as ``resolved``."""
    whole = dict(resolved(document, schema))
    for part in whole.pop("allOf", None) or () if depth < DEEP else ():
        inner = merged(document, part, depth + 1)
        properties = {**whole.get("properties", {}), **inner.get("properties", {})}
        required = [*whole.get("required", ()), *inner.get("required", ())]
        whole = {**inner, **whole, **({"properties": properties} if properties else {}),
                 **({"required": required} if required else {})}
    return whole


def templates_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of an OpenAPI document, fixed ones before those with parameters; ``()`` if it has none."""
    paths = document.get("paths")
    found = [str(path) for path in paths] if isinstance(paths, dict) else []
    return tuple(sorted(found, key=lambda path: (path.count("{"), path)))


def matching(path: str, templates: Sequence[str]) -> str | None:
    """The template of a request's path, its query left out; ``None`` if none fits."""
    path = path.split("?", 1)[0]
    for template in templates:
        pattern = "".join("[^/]+" if part.startswith("{") else re.escape(part)
                          for part in re.split(r"(\{[^}]*\})", template))
        if re.fullmatch(pattern, path):
            return template
    return None


def template_of(path: str, templates: Sequence[str]) -> str:
    """The template of a request's path; where none fits, one in which what looks like an id is a parameter."""
    found = matching(path, templates)
    if found is not None:
        return found
    return "/".join("{id}" if ID.fullmatch(part) else part for part in path.split("?", 1)[0].split("/"))
