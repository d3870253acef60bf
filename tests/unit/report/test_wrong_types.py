"""Files of ours that somebody else wrote: a value of another type anywhere is a ``ValueError``, or does no harm."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.reports import failed, report

from orchestrator.model import Record, Verdict
from orchestrator.report import json as reports
from orchestrator.report import terminal, trace_terminal
from orchestrator.report import timeline as timelines
from orchestrator.report.timeline import Mark, Request, Timeline, Words

OTHERS: tuple[Any, ...] = (None, 7, -1.5, True, "x", [], [[]], {}, {"x": []})
LINE = Timeline(
    "redis/hold", "Hold", Verdict.FAIL, "lost", 7, {"redis/hold/test_a": "A"}, ("redis/hold/test_a",),
    (Request(1.0, 0.1, "test_a", "GET", "/", "", 200, "ok"),), (Record("redis", 1.0, "GET x", "monitor"),),
    (Mark(1.0, "restarted"),), {"redis": "Redis 8"}, {"redis": "none"}, {"redis": Words()})


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (key,)
        yield from ((key, *rest) for rest in places(one))


def changed(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    copied = copy.deepcopy(value)
    inside = copied
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = other
    return copied


@pytest.mark.parametrize(("data", "read", "render"), [
    (reports.to_data(report(failed("redis/hold"))), reports.from_data, terminal.render),
    (timelines.to_data(LINE), timelines.from_data, trace_terminal.render),
], ids=["report", "timeline"])
def test_a_value_of_another_type_is_no_bug(data: Any, read: Any, render: Any) -> None:
    """What is read can be shown; else it is no report at all."""
    good = json.loads(json.dumps(data))
    assert render(read(good))
    for place in places(good):
        for other in OTHERS:
            with contextlib.suppress(ValueError):
                found = read(changed(good, place, other))
                assert shown(render, found), (place, other)


def shown(render: Any, found: Any) -> bool:
    """Whether it can be shown; a ``ValueError`` of the renderer counts as one that it has not."""
    try:
        return bool(render(found))
    except Exception:
        return False
