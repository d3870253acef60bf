"""Which route a path belongs to: from the lab's ``openapi.yaml``, else by what looks like an id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ID = re.compile(r"(?=.*\d)[0-9A-Za-z_-]+")
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def read_templates(lab: Path) -> tuple[str, ...]:
    """The paths of the lab's ``openapi.yaml``, fixed ones before those with parameters; ``()`` without one."""
    paths = read_openapi(lab).get("paths")
    found = [str(path) for path in paths] if isinstance(paths, dict) else []
    return tuple(sorted(found, key=lambda path: (path.count("{"), path)))


def read_openapi(lab: Path) -> dict[str, Any]:
    """The document; ``{}`` if there is none that can be read."""
    import yaml

    try:
        document = yaml.safe_load((lab / "openapi.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}


def template_of(path: str, templates: Sequence[str]) -> str:
    """The template of a request's path, its query left out."""
    path = path.split("?", 1)[0]
    for template in templates:
        pattern = "".join("[^/]+" if part.startswith("{") else re.escape(part)
                          for part in re.split(r"(\{[^}]*\})", template))
        if re.fullmatch(pattern, path):
            return template
    return "/".join("{id}" if ID.fullmatch(part) and any(c.isdigit() for c in part) else part
                    for part in path.split("/"))
