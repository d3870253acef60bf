"""What the front and the services recorded of an accepted server, as what mutants are made from."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from orchestrator.checks.routes import template_of
from orchestrator.judge.child import EXCHANGE_LIMIT
from orchestrator.report.timeline import Timeline
from orchestrator.verify.case import Observed, answer_of


def read_recording(record: Path, templates: Sequence[str], timelines: Sequence[Timeline],
                   services: Collection[str]) -> Observed:
    """An answer of each route and status that the checks asked for, the richest; texts that these services recorded."""
    # The front also saw who waited for the server to be ready.
    asked = {_route(one.method, one.path, templates) for timeline in timelines for one in timeline.requests}
    found: dict[tuple[str, int], tuple[tuple[tuple[str, str], ...], str]] = {}
    for line in record.read_text(encoding="utf-8").splitlines() if record.exists() else []:
        said = json.loads(line)
        key = (_route(said["method"], said["path"], templates), said["status"])
        if key[0] in asked and (key not in found or _fields(said["body"]) > _fields(found[key][1])):
            found[key] = (tuple((name, value) for name, value in said["headers"]), said["body"])
    records: dict[str, dict[str, None]] = {}
    for timeline in timelines:
        for one in timeline.records:
            if one.service in services:
                records.setdefault(one.service, {})[one.text] = None
    answers = tuple((*key, *rest) for key, rest in found.items())
    return Observed(answers, {service: tuple(texts) for service, texts in records.items()},
                    _askers(templates, timelines))


def _askers(templates: Sequence[str], timelines: Sequence[Timeline]) -> dict[str, tuple[str, ...]]:
    """Who got which answer; nothing if there may have been more requests than were kept."""
    found: dict[str, set[str]] = {}
    for timeline in timelines:
        if len(timeline.requests) >= EXCHANGE_LIMIT:
            return {}
        for one in timeline.requests:
            found.setdefault(answer_of(_route(one.method, one.path, templates), one.status), set()).add(one.check)
    return {answer: tuple(sorted(checks)) for answer, checks in sorted(found.items())}


def _route(method: str, path: str, templates: Sequence[str]) -> str:
    return f"{method} {template_of(path, templates)}"


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
