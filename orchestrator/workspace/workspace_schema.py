"""The keys of ``workspace.toml``: what the reader knows by name, and the JSON Schema that editors are given.

A schema cannot give advice, so ``workspace.py`` says in words of its own what is wrong with a value; a test feeds both
the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ARGV: Mapping[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"},
    # `~` at the beginning means nothing without a shell. Apart: `items` would leave out what `prefixItems` has.
    "allOf": [{"prefixItems": [{"pattern": "^[^~]"}]}],
}

_SECONDS: Mapping[str, Any] = {"type": "number", "exclusiveMinimum": 0}

KEYS: Mapping[str, Mapping[str, Any]] = {
    "format": {"const": 1, "description": "Version of this file's format"},
    "lab": {"type": "string", "pattern": r"\S", "description": "The lab's name, as labs list has it"},
    "tracks": {
        "type": "array", "minItems": 1, "items": {"type": "string"},
        "description": "The lab's tracks that this server is for; all of them by itself",
    },
    "build": {
        "anyOf": [{"type": "array", "maxItems": 0}, _ARGV, {"type": "array", "items": _ARGV}],
        "default": [],
        "description": "Commands that make the server ready to run, each a list of words; run again after a change",
    },
    "run": {**_ARGV, "description": "The command that starts the server, as a list of words; no shell reads it"},
    "start_budget": {**_SECONDS, "description": "Seconds from the server's start until it must answer GET /health; "
                     "default and maximum: the lab's"},
    "build_budget": {**_SECONDS, "description": "Seconds for all build commands together; default and maximum: the "
                     "lab's"},
}
"""Each key with what it holds."""

REQUIRED = ("format", "lab", "run")


def schema() -> dict[str, Any]:
    """The JSON Schema of ``workspace.toml``, draft 2020-12; ``docs/workspace.schema.json`` is its text."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "workspace.toml of a learner's server",
        "type": "object",
        "properties": {key: dict(value) for key, value in KEYS.items()},
        "required": list(REQUIRED),
        "additionalProperties": False,
    }
