"""The JSON Schema of a report, from the dataclasses that it is made of; ``docs/report.schema.json`` is its text."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from orchestrator.model import Product
from orchestrator.report.result import REPORT_VERSION, CheckResult, Exchange, MilestoneResult, Report

PARTS = (MilestoneResult, CheckResult, Exchange, Product)
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema() -> dict[str, Any]:
    """Draft 2020-12. New fields may come within a version; none goes or changes its type."""
    whole = _object(Report)
    whole["properties"] = {"report": {"const": REPORT_VERSION}, **whole["properties"],
                           "exit_code": {"enum": [0, 1, 3, 5, 130]}}
    whole["required"] = ["report", *whole["required"], "exit_code"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A report of labs check", **whole,
            "$defs": {part.__name__: _object(part) for part in PARTS}}


def _object(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return {"type": "object", "description": (kind.__doc__ or "").splitlines()[0],
            "properties": {name: _type(hints[name]) for name in names}, "required": names}


def _type(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [str(value) for value in hint]}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    if origin is types.UnionType:
        return {"anyOf": [{"type": "null"} if one is type(None) else _type(one) for one in arguments]}
    raise TypeError(f"a report cannot hold {hint}")
