"""What the front and the services recorded of an accepted server, as what mutants are made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.report.timeline import Timeline
from orchestrator.verify.model import Observed
from orchestrator.verify.routes import template_of


def read_recording(record: Path, templates: Sequence[str], timelines: Sequence[Timeline]) -> Observed:
    """The first answer of each route and status, the richest body of them; texts that services recorded, each once."""
    found: dict[tuple[str, int], tuple[str, int, tuple[tuple[str, str], ...], str]] = {}
    for line in record.read_text(encoding="utf-8").splitlines() if record.exists() else []:
        one = json.loads(line)
        route = f"{one['method']} {template_of(one['path'], templates)}"
        key = (route, one["status"])
        if key not in found or _fields(one["body"]) > _fields(found[key][3]):
            found[key] = (route, one["status"], tuple((name, value) for name, value in one["headers"]), one["body"])
    records: dict[str, dict[str, None]] = {}
    for timeline in timelines:
        for record_ in timeline.records:
            records.setdefault(record_.service, {})[record_.text] = None
    return Observed(tuple(found.values()), {service: tuple(texts) for service, texts in records.items()})


def _fields(body: str) -> int:
    """How many fields a JSON body has on all levels, of each list only the first item's: more is more to change."""
    try:
        return _count(json.loads(body))
    except ValueError:
        return 0


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_count(one) for one in value.values())
    return 1 + _count(value[0]) if isinstance(value, list) and value else 0
