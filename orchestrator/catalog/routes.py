"""What a lab's ``openapi.yaml`` promises, as a reader wants it: routes, fields and answers in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.checks.routes import DEEP, matching, merged, read_openapi, resolved, templates_of
from orchestrator.system.text import without_anchors, without_steering

METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "array": "list",
         "object": "object", "null": "null"}
MOST = 4_000_000
"""Bytes; a contract for people is shorter."""


@dataclass(frozen=True, slots=True)
class ContractField:
    """A parameter or a field of a body: ``text, 1 to 200 characters``. ``place``: ``path``, ``query``, ``header``."""

    name: str
    form: str
    required: bool
    place: str = ""


@dataclass(frozen=True, slots=True)
class ContractAnswer:
    """One status of a route, what it means, and the fields of its body (none where it is an error)."""

    status: str
    meaning: str
    fields: tuple[ContractField, ...]


@dataclass(frozen=True, slots=True)
class ContractRoute:
    """One method of one path. ``about`` is Markdown."""

    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[ContractField, ...]
    body: tuple[ContractField, ...]
    answers: tuple[ContractAnswer, ...]


@dataclass(frozen=True, slots=True)
class RouteBook:
    """The whole document: its title, what holds for every route (Markdown), the routes in their order."""

    title: str
    about: str
    routes: tuple[ContractRoute, ...]

    def find(self, method: str, path: str) -> list[ContractRoute]:
        """Those of a path, written as in the contract or as in a request; ``method`` narrows, ``""`` does not."""
        paths = [one.path for one in self.routes]
        template = path if path in paths else matching(path, templates_of({"paths": dict.fromkeys(paths)}))
        return [one for one in self.routes if one.path == template and method.upper() in ("", one.method)]


def read_routes(lab: Path) -> RouteBook:
    """What the lab's document says; empty where there is none that can be read."""
    path = lab / "openapi.yaml"
    if not path.is_file() or path.stat().st_size > MOST:
        return RouteBook("", "", ())
    document = read_openapi(lab)
    info = _dict(document.get("info"))
    return RouteBook(_line(info.get("title")), _text(info.get("description")), tuple(_routes(document)))


def _routes(document: Mapping[str, Any]) -> Iterator[ContractRoute]:
    for path, held in _dict(document.get("paths")).items():
        shared = _list(_dict(held).get("parameters"))
        for method in METHODS:
            said = _dict(held).get(method)
            if isinstance(said, dict):
                parameters = [_resolved(document, one) for one in (*shared, *_list(said.get("parameters")))]
                body = _resolved(document, said.get("requestBody"))
                yield ContractRoute(
                    method.upper(), without_steering(path), _line(said.get("summary")), _text(said.get("description")),
                    tuple(ContractField(_line(one.get("name")), _form(document, one.get("schema")),
                                        bool(one.get("required")), _line(one.get("in"))) for one in parameters),
                    tuple(_fields(document, _json(body))), tuple(_answers(document, _dict(said.get("responses")))))


def _answers(document: Mapping[str, Any], responses: Mapping[str, Any]) -> Iterator[ContractAnswer]:
    for status, said in responses.items():
        answer = _resolved(document, said)
        good = not status.startswith(("4", "5"))
        # What stands beside a reference says more than what it points to.
        meaning = _dict(said).get("description", answer.get("description"))
        yield ContractAnswer(without_steering(status), _line(meaning),
                             tuple(_fields(document, _json(answer))) if good else ())


def _json(held: Mapping[str, Any]) -> Any:
    """The schema of what is sent as JSON."""
    content = _dict(held.get("content"))
    kind = next((kind for kind in content if "json" in kind), None)
    return _dict(content.get(kind)).get("schema") if kind is not None else None


def _fields(document: Mapping[str, Any], schema: Any) -> Iterator[ContractField]:
    whole = _merged(document, schema)
    for name, inner in _dict(whole.get("properties")).items():
        yield ContractField(without_steering(name), _form(document, inner), name in _list(whole.get("required")))


def _merged(document: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """The schema with all that belongs to it written into it; ``{}`` for what is nothing."""
    try:
        return merged(document, _dict(schema))
    except (LookupError, TypeError, AttributeError):
        return {}


def _form(document: Mapping[str, Any], schema: Any, depth: int = 0) -> str:
    """``whole number, 1 to 100, default 20``."""
    here = _merged(document, schema)
    if depth > DEEP:
        return "..."
    if "enum" in here:
        return " or ".join(_line(one) for one in _list(here["enum"]))
    kinds = here.get("type", "object" if "properties" in here else None)
    words = [TYPES.get(str(one), str(one)) for one in (kinds if isinstance(kinds, list) else [kinds] if kinds else [])]
    form = " or ".join(words) or "anything"
    if kinds == "array":
        form = f"list of {_form(document, here.get('items'), depth + 1)}"
    elif kinds == "object" and here.get("properties"):
        form = "{" + ", ".join(without_steering(name) for name in here["properties"]) + "}"
    if here.get("format") == "date-time":
        form = "time (RFC 3339)"
    limits = [_limits(here, "minLength", "maxLength", " characters"), _limits(here, "minimum", "maximum", ""),
              _limits(here, "minItems", "maxItems", " items"),
              f"default {_line(here['default'])}" if "default" in here else ""]
    return ", ".join([form, *(one for one in limits if one)])


def _limits(here: Mapping[str, Any], least: str, most: str, unit: str) -> str:
    low, high = here.get(least), here.get(most)
    if low is not None and high is not None:
        return f"{low} to {high}{unit}"
    return f"at least {low}{unit}" if low is not None else f"at most {high}{unit}" if high is not None else ""


def _resolved(document: Mapping[str, Any], held: Any) -> dict[str, Any]:
    """What a reference points to, within the document; ``{}`` for what is nothing."""
    try:
        return _dict(resolved(document, _dict(held)))
    except (LookupError, TypeError, AttributeError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _line(value: Any) -> str:
    return " ".join(_text(value).split())


def _text(value: Any) -> str:
    """Harmless for a terminal: it is read before anybody trusts the lab."""
    return without_steering(without_anchors(str(value))) if value is not None else ""
