"""What `labs explore` prints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.report.explored import Discoveries, exploration, grouped
from orchestrator.report.explored_terminal import render

STEPS = [{"number": 1, "service": "redis", "text": "GET hold:7", "kind": "GET"},
         {"number": 2, "service": "redis", "text": "DEL hold:7", "kind": "DEL"}]
BROKEN = {"reason": "two-holders", "what": "who holds the seat", "expected": "one", "seen": "two\x1b[2J"}


def told(deed: str = "hold", **more: object) -> dict[str, object]:
    rows = [{"step": number, "after": False, "answers": ["201", "409 seat_held"], "waited": number == 1,
             "reached": True, "broken": BROKEN if number == 2 else None} for number in (1, 2)]
    return {"deed": deed, "request": "POST /holds", "during": "another buyer asks", "steps": STEPS, "rows": rows, **more}


def found(*what: dict[str, object]) -> Discoveries:
    explorations = tuple(exploration("redis/hold/test_x", "One of them has it.", one) for one in what)
    return Discoveries("shop", "redis/hold", "A hold", 7, 0, 1.0, "embedded", {"redis": "Redis 8"}, explorations)


def test_below_each_step_stands_what_was_tried_there() -> None:
    """With the answers, what did not hold, and the command that tries this step again; never wider than the screen."""
    text = render(found(told(), told("crash", rows=[])), width=80)

    assert "  1  redis  GET hold:7\n     a  held before it    201, other 409 seat_held (had to wait)" in text
    assert "who holds the seat" in text
    assert "again     labs explore redis/hold --step 2 --seed 7" in text
    assert "while another buyer asks. Then" in " ".join(text.split())
    assert "2 moments tried in 1.0 s: 1 broken, 1 kept." in text
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines()), text


def test_requests_that_go_the_same_way_stand_together() -> None:
    """Another request, or other steps, are shown apart."""
    one, other = told("cut"), told("lose", steps=[{**step, "text": "GET hold:8"} for step in STEPS])

    assert [len(group) for group in grouped(found(one, other, told(request="GET /x")).explorations)] == [2, 1]


def test_nothing_that_was_tried_is_not_all_kept() -> None:
    """A server that asks no service has no step, and nothing is claimed of it."""
    text = render(found(told(steps=[], rows=[])))

    assert "POST /holds: no step." in text
    assert "kept" not in text
    assert "Nothing was tried" in text
    assert "all kept" in render(replace(found(told()), explorations=found(told(rows=[{**told()["rows"][0]}])).explorations))


@pytest.mark.parametrize("wrong", [None, {}, {**told(), "deed": "eat"}, {**told(), "rows": [1]}, {**told(), "steps": 5}])
def test_what_has_not_the_form_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="not an exploration"):
        exploration("a/b/test_x", "", wrong)
