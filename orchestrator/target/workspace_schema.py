"""The shape of ``workspace.toml``, format 1, as JSON Schema for editors. What reads the file is ``workspace.py``."""

from __future__ import annotations

from typing import Any


def json_schema() -> dict[str, Any]:
    """Whatever it refuses is refused by ``read_workspace``, too; that one also says what is wrong, and where."""
    word = {"type": "string", "minLength": 1, "pattern": r"\S"}
    argv = {"type": "array", "minItems": 1, "items": word}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "workspace.toml, format 1",
        "type": "object",
        "additionalProperties": False,
        "required": ["format", "lab", "run"],
        "properties": {
            "format": {"const": 1, "description": "Version of this file's format"},
            "lab": {**word, "description": "The lab that this server is for"},
            "build": {
                "description": "Commands that build the server, in order: each a list of words; no shell reads them",
                "anyOf": [{"type": "array", "maxItems": 0}, argv, {"type": "array", "minItems": 1, "items": argv}],
            },
            "run": {**argv, "description": "The command that runs the server: the program and its arguments"},
        },
    }
