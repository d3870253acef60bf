"""The harmful changes that are worth a try on a lab: from what an accepted server was seen to answer. Pure.

Each belongs to the first milestone of the lab in which it can be seen: that is the one which brings the route in. If
nothing is noticed there, it is tried at the next ones that see it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.verify.case import Observed
from orchestrator.verify.changes import Change

WRITES = ("POST", "PUT", "PATCH", "DELETE")
HEADERS = ("location", "allow", "content-type", "retry-after", "etag", "cache-control", "www-authenticate")
"""Headers that mean something to a client; others are changed for nothing."""
DEPTH = 3
TRIES = 5
"""Milestones at which a change is tried until one notices it."""


def changes(observed: Mapping[str, Observed], possible: Mapping[str, Any]) -> dict[Change, tuple[str, ...]]:
    """Each change, with the milestones that may notice it, in the order of ``observed``, which is the lab's.

    ``possible``: service -> what can be spoilt in it, from a list of what it recorded.
    """
    found: dict[Change, dict[str, None]] = {}
    good = _good_statuses(observed)
    for milestone, one in observed.items():
        for route, status, headers, body in one.answers:
            for change in _of_answer(route, status, headers, body, good.get(route)):
                found.setdefault(change, {})[milestone] = None
        for service, texts in one.records.items():
            for what in possible[service](texts):
                found.setdefault(Change("", 0, "sabotage", what, service=service), {})[milestone] = None
    return {change: tuple(milestones)[:TRIES] for change, milestones in found.items()}


def _good_statuses(observed: Mapping[str, Observed]) -> dict[str, int]:
    good: dict[str, int] = {}
    for one in observed.values():
        for route, status, *_ in one.answers:
            if status < 400:
                good.setdefault(route, status)
    return good


def _of_answer(route: str, status: int, headers: tuple[tuple[str, str], ...], body: str,
               good: int | None) -> Iterator[Change]:
    method = route.split(" ", 1)[0]
    if status < 400:
        yield Change(route, status, "status", to=500)
        if method in WRITES:
            yield Change(route, status, "swallow")
            # RFC 9110 has a PUT done twice do what it does once: any client, and any cache between, may repeat it.
            if method != "PUT":
                yield Change(route, status, "double")
        else:
            yield Change(route, status, "replay")
    elif good is not None:
        yield Change(route, status, "status", to=good)
    for name, _ in headers:
        if name in HEADERS:
            yield Change(route, status, "header", name)
            yield Change(route, status, "header-other", name)
    try:
        data = json.loads(body)
    except ValueError:
        return
    if isinstance(data, dict):
        yield from _of_fields(route, status, data, "", 0)


def _of_fields(route: str, status: int, data: dict[str, Any], above: str, depth: int) -> Iterator[Change]:
    for name, value in data.items():
        if "." in name or name.endswith("[]"):
            continue
        path = f"{above}{name}"
        yield Change(route, status, "absent", path)
        if isinstance(value, list):
            yield Change(route, status, "emptied", path)
            yield Change(route, status, "shorter", path)
            yield Change(route, status, "reversed", path)
            if value and isinstance(value[0], dict) and depth < DEPTH:
                yield from _of_fields(route, status, value[0], f"{path}[].", depth + 1)
        elif isinstance(value, dict):
            if depth < DEPTH:
                yield from _of_fields(route, status, value, f"{path}.", depth + 1)
        elif value is not None:
            yield Change(route, status, "other", path)
            # Of an error, clients read whether a field is there and what it says.
            if status < 400:
                yield Change(route, status, "type", path)
                yield Change(route, status, "null", path)
