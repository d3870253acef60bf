"""What `labs explore` prints."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from support.reports import failed

from orchestrator.report.explored import DEEDS, Discoveries, exploration, grouped
from orchestrator.report.explored_terminal import render
from orchestrator.report.terminal import milestone_text

STEPS = [{"number": 1, "service": "redis", "text": "GET hold:7", "kind": "GET"},
         {"number": 2, "service": "redis", "text": "DEL hold:7", "kind": "DEL"}]
BROKEN = {"reason": "two-holders", "what": "who holds the seat", "expected": "one", "seen": "two\x1b[2J"}


def told(deed: str = "hold", **more: object) -> dict[str, object]:
    rows = [{"step": number, "after": False, "answers": ["201", "409 seat_held"], "waited": number == 1,
             "reached": True, "broken": BROKEN if number == 2 else None} for number in (1, 2)]
    return {"deed": deed, "request": "POST /holds", "during": "another buyer asks", "steps": STEPS, "rows": rows, **more}


def found(*what: dict[str, object], step: int = 0) -> Discoveries:
    products = {"redis": "Redis 8 (genuine)", "postgres": "PostgreSQL 18.6 (genuine), on a machine of its own"}
    explorations = tuple(exploration("redis/hold/test_x", "One of them has it.", one) for one in what)
    return Discoveries("shop", "redis/hold", "A hold", 7, step, 1.0, "embedded", products, explorations)


def words(*what: dict[str, object], step: int = 0) -> str:
    """What is printed, as one line."""
    return " ".join(render(found(*what, step=step)).split())


def test_below_each_step_stands_what_was_tried_there() -> None:
    """With the answers, what did not hold, and the command that tries this step again; never wider than the screen."""
    text = render(found(told(), told("crash", rows=[])), width=80)

    assert "  1  redis  GET hold:7\n     a  held before it    201, other 409 seat_held (had to wait)" in text
    assert "who holds the seat" in text
    assert "again     labs explore redis/hold --step 2 --seed 7" in text
    assert "while another buyer asks. Then" in " ".join(text.split())
    assert "2 moments tried in 1.0 s: 1 broken, 1 kept." in text
    assert "\x1b" not in text
    assert all(len(line) <= 80 for width in (60, 80) for line in render(found(told()), width=width).splitlines()), text


@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_was_done_has_its_words(deed: str) -> None:
    """Beside the step, and once in whole sentences; both fit."""
    text = render(found(told(deed)), width=80)

    assert "Must stay true" in text
    assert re.search(r"^     a  \S.{,15}  (201|no answer)", text, re.MULTILINE), text


def test_silence_is_told_as_silence() -> None:
    """It is not the same as a server that is held."""
    assert "the service said nothing and closed nothing, until your server had answered" in words(told("silence"))


def test_what_a_line_means_is_said_where_there_is_such_a_line() -> None:
    """Two answers, a wait, steps that were left out, and why."""
    both, last = told()["rows"], told()["rows"][1]
    mixed = [{**STEPS[0], "service": "postgres"}, STEPS[1]]

    assert words(told(), told()).count("Of two answers in a line the first is that of the request that was held.") == 1
    assert "two answers" not in words(told("cut", rows=[{**last, "answers": ["201"]}]))
    assert "(had to wait): the other one came" in words(told())
    assert "(had to wait):" not in words(told(rows=[last]))
    assert "A step without a line a is like the next one that has it" in words(told("crash", rows=[last]))
    assert "without a line" not in words(told("crash", rows=both))
    assert "Only at steps to redis." in words(told("cut", steps=mixed, rows=[last]))
    assert "Only at 1 of 2 steps." in words(told("cut", rows=[last]))
    assert "Only at" not in words(told("cut", rows=[last]), step=2)


def test_the_same_failure_is_told_once_and_then_only_what_was_seen() -> None:
    """Eight times the same four lines hide what is different; another exploration says its own."""
    row = told()["rows"][1]
    again = {**row, "step": 1, "broken": {**BROKEN, "seen": "three"}}
    text = render(found(told(rows=[again, row])))

    assert text.count("who holds the seat") == text.count("reason    two-holders") == 1
    assert "seen      three" in text
    assert "seen      two" in text
    assert text.count("--step 1") == text.count("--step 2") == 1
    assert render(found(told(rows=[row]), told("cut", rows=[row]))).count("who holds the seat") == 2


def test_a_request_that_was_never_answered_is_shown() -> None:
    """Whether the server was killed, or its answer did not come in time and neither did the other one's."""
    row = told()["rows"][1]

    for none in ([], [""], ["", ""], ["no answer"]):
        assert "held before it no answer" in words(told(rows=[{**row, "answers": none}]))
    assert "held before it other 201" in words(told(rows=[{**row, "answers": ["", "201"]}]))


def test_a_step_that_was_asked_for_is_shown_whole() -> None:
    """Among others a long statement is cut, so that each step is a line."""
    long = [{**STEPS[0], "text": f"SELECT {'a, ' * 60}z"}, STEPS[1]]

    assert "z a held" in words(told(steps=long), step=1)
    assert "DEL hold:7" not in words(told(steps=long), step=1)
    assert "... a held" in words(told(steps=long))


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


def test_a_verdict_that_names_a_step_says_how_to_try_it_again() -> None:
    """The line is there only where an exploration failed."""
    one = failed(what="the count; your server was held before its first step, `GET k` (step 4 of 9)")

    assert f"labs explore {one.id} --step 4  that step once more, alone" in milestone_text(one)
    assert "labs explore" not in milestone_text(failed(what="the count"))


@pytest.mark.parametrize("wrong", [None, {}, {**told(), "deed": "eat"}, {**told(), "rows": [1]}, {**told(), "steps": 5}])
def test_what_has_not_the_form_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="not an exploration"):
        exploration("a/b/test_x", "", wrong)
