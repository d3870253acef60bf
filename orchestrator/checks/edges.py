"""Values at both sides of every limit that ``openapi.yaml`` sets, each with the reason for it. Pure, no chance in it.

Derived from ``minLength``, ``maxLength``, ``minimum``, ``maximum``, ``enum``, ``type`` and ``format: date-time``. Left
out is what JSON or HTTP leaves open: ``5.0`` for a whole number, an empty query parameter, half a surrogate pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.checks.routes import merged, read_openapi, resolved
from orchestrator.checks.words import shown

LETTER, WIDE = "n", "\N{ADMISSION TICKETS}"
"""A character of one byte, and one that is four bytes in UTF-8 and two units in UTF-16."""
ACCENTED = "e\N{COMBINING ACUTE ACCENT}"
"""Two characters that look like one letter: whoever counts letters, or joins the two, comes to half as many."""
MOST_LENGTH = 10_000
NUMBERS = ("integer", "number")


@dataclass(frozen=True, slots=True)
class Edge:
    """A value for one field or parameter. ``allowed``: must be taken and come back unchanged; else refused."""

    field: str
    value: Any
    allowed: bool
    why: str

    def within(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body that is right but for this value."""
        return {**body, self.field: self.value}


class Edges:
    """The fixture ``edges``: what the lab's ``openapi.yaml`` says, as values."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def body(self, method: str, path: str) -> tuple[Edge, ...]:
        """For each field of the body of an operation. ``path`` as in openapi.yaml: ``/events/{id}/holds``."""
        return tuple(edge for name, inner in self._properties(method, path).items()
                     for edge in edges_of(merged(self._document, inner), name))

    def misnamed(self, method: str, path: str) -> dict[str, tuple[str, ...]]:
        """For each field of the body of an operation: names that differ from its own in letter case only, or in `_`."""
        return {name: other_names(name) for name in self._properties(method, path)}

    def misnamed_in(self, name: str) -> dict[str, tuple[str, ...]]:
        """The same for the fields of a schema of ``components``, which is a part of a body: ``Match``."""
        return {field: other_names(field) for field in self._schema(name)}

    def schema(self, name: str) -> tuple[Edge, ...]:
        """For each field of a schema of ``components``, which may be a part of a body: ``Match``."""
        return tuple(edge for field, inner in self._schema(name).items()
                     for edge in edges_of(merged(self._document, inner), field))

    def query(self, method: str, path: str) -> tuple[Edge, ...]:
        """For each query parameter that has limits; the values are texts."""
        operation = self._operation(method, path)
        given = [resolved(self._document, one) for one in operation.get("parameters", [])]
        return tuple(edge for one in given if one.get("in") == "query"
                     for edge in query_edges(merged(self._document, one.get("schema", {})), one["name"]))

    def _properties(self, method: str, path: str) -> Mapping[str, Any]:
        """Name of a field -> its schema, of the body of an operation."""
        body = resolved(self._document, self._operation(method, path).get("requestBody", {}))
        schema = merged(self._document, body.get("content", {}).get("application/json", {}).get("schema", {}))
        return schema.get("properties", {})  # type: ignore[no-any-return]

    def _schema(self, name: str) -> Mapping[str, Any]:
        """Name of a field -> its schema, of a schema of ``components``."""
        schema = merged(self._document, {"$ref": f"#/components/schemas/{name}"})
        return schema.get("properties", {})  # type: ignore[no-any-return]

    def _operation(self, method: str, path: str) -> Mapping[str, Any]:
        found = self._document.get("paths", {}).get(path, {}).get(method.lower())
        if not isinstance(found, dict):
            raise LookupError(f"openapi.yaml has no {method} {path}")
        return found


def edges_of(schema: Mapping[str, Any], field: str = "") -> tuple[Edge, ...]:
    """The edges of one schema, in the same order every time."""
    return tuple(Edge(field, *one) for one in _values(schema))


def other_names(field: str) -> tuple[str, ...]:
    """What a library may take for this field's name, and is another: `Name`, `NAME`, `startsAt` for `starts_at`."""
    first, *rest = field.split("_")
    joined = first + "".join(part.capitalize() for part in rest)
    return tuple(one for one in dict.fromkeys((field.capitalize(), field.upper(), joined)) if one != field)


def query_edges(schema: Mapping[str, Any], field: str) -> tuple[Edge, ...]:
    """The same as texts in a query. Without limits there are none."""
    if schema.get("type") not in NUMBERS:
        return ()
    values = [one for one in _values(schema) if isinstance(one[0], int | float) and not isinstance(one[0], bool)]
    return (*(Edge(field, json.dumps(value), allowed, why) for value, allowed, why in values),
            Edge(field, "ten", False, "a word, not a number"), *_almost_numbers(schema, field))


def _almost_numbers(schema: Mapping[str, Any], field: str) -> Iterator[Edge]:
    """A number of which only the beginning is one. Not what some languages read as one: ``+5``, ``1_0``, a space."""
    least = schema.get("minimum", schema.get("maximum"))
    if isinstance(least, int) and least >= 0:
        yield Edge(field, f"{least}x", False, "a number with a letter behind it")


def _values(schema: Mapping[str, Any]) -> Iterator[tuple[Any, bool, str]]:
    kind = schema.get("type")
    if "enum" in schema:
        yield from ((one, True, f"{shown(one)}, one of those named") for one in schema["enum"])
        yield from ((one.swapcase(), False, f"{shown(one.swapcase())}, in other letter case") for one in schema["enum"]
                    if isinstance(one, str) and one.swapcase() not in schema["enum"])
    elif kind == "integer":
        yield from _numbers(schema)
    elif kind == "string" and schema.get("format") == "date-time":
        yield from _times()
    elif kind == "string":
        yield from _texts(schema)


def _numbers(schema: Mapping[str, Any]) -> Iterator[tuple[Any, bool, str]]:
    for key, step, name in (("minimum", -1, "least"), ("maximum", 1, "greatest")):
        if key in schema:
            limit = schema[key]
            yield limit, True, f"{limit}, the {name} allowed"
            yield limit + step, False, f"{limit + step}, one past the {name} allowed"
    if {"minimum", "maximum"} & schema.keys():
        within = schema.get("minimum", schema.get("maximum", 0))
        yield within + 0.5, False, f"{within + 0.5}, a fraction"
        yield str(within), False, f'"{within}", a number written as text'
        yield True, False, "true, which some languages take for 1"
        yield None, False, "null"


def _texts(schema: Mapping[str, Any]) -> Iterator[tuple[Any, bool, str]]:
    least, most = schema.get("minLength"), schema.get("maxLength")
    if least:
        yield LETTER * least, True, f"{least} character(s), the least allowed"
        # Who takes away spaces at both ends before counting finds none left.
        yield " " * least, True, f"{least} space(s), the least allowed"
        yield LETTER * (least - 1), False, f"{least - 1} characters, one less than allowed"
    if most is not None and most <= MOST_LENGTH:
        yield LETTER * most, True, f"{most} characters, the most allowed"
        yield WIDE * most, True, f"{most} characters of four bytes each, the most allowed"
        yield LETTER * (most + 1), False, f"{most + 1} characters, one more than allowed"
        # `$` of many languages stands before a last line feed, too.
        yield LETTER * most + "\n", False, f"{most + 1} characters, one more than allowed, the last a line feed"
        yield WIDE * (most + 1), False, f"{most + 1} characters of four bytes each, one more than allowed"
        if most > 1:
            yield _accented(most), True, f"{most} characters, the most allowed, half of them accents (U+0301)"
            yield _accented(most + 1), False, f"{most + 1} characters, one more than allowed, half of them accents"
    if least or most is not None:
        room = most if most is not None else (least or 0) + 10
        if room >= 4:
            yield " Ab ", True, "spaces at both ends and two letter cases"
            yield "a\0b", False, "text with U+0000"
        yield 7, False, "a number, not text"
        yield None, False, "null"


def _accented(length: int) -> str:
    return (ACCENTED * length)[:length]


def _times() -> Iterator[tuple[Any, bool, str]]:
    yield "2031-02-28T23:59:59Z", True, "the last second of a February"
    yield "2032-02-29T00:00:00Z", True, "the first second of a leap day"
    yield "2031-02-28T12:00:00.5Z", True, "half a second"
    yield "2031-02-29T12:00:00Z", False, "a day that this year does not have"
    yield "2031-13-01T12:00:00Z", False, "a thirteenth month"
    yield "tomorrow", False, "a word, not a time"
    yield 7, False, "a number, not text"
    yield None, False, "null"


def read_limits(lab: Path) -> dict[str, Mapping[str, Any]]:
    """Name of a promise -> the schema that has it."""
    found: dict[str, Mapping[str, Any]] = {}

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            name = node.get("x-promise")
            if isinstance(name, str) and not name.startswith("#"):
                schema = node.get("schema", node)
                found.setdefault(name, schema if isinstance(schema, dict) else node)
            for inner in node.values():
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    walk(read_openapi(lab))
    return found
