"""Harmful and harmless changes of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.verify.changes import MUTATIONS, VARIANTS, Answer, Change, from_data, mutated, to_data, varied

ROUTE = "GET /events"
BODY = {"items": [{"id": "7", "seats": 3, "on": True, "at": "2027-05-01T19:30:00Z", "none": None}, {"id": "8"}],
        "next": None, "total": 2, "by": {"name": "Ada"}}


def answer(body: Any = BODY, status: int = 200) -> Answer:
    headers = (("content-type", "application/json"), ("location", "/events/7"), ("content-length", "1"))
    return Answer(status, headers, json.dumps(body).encode())


def change(kind: str, field: str = "", **more: Any) -> Change:
    return Change(ROUTE, 200, kind, field, **more)


@pytest.mark.parametrize(("kind", "field", "seen"), [
    ("absent", "total", {key: value for key, value in BODY.items() if key != "total"}),
    ("null", "total", BODY | {"total": None}),
    ("other", "total", BODY | {"total": 3}),
    ("type", "total", BODY | {"total": "2"}),
    ("other", "by.name", BODY | {"by": {"name": "Ada0"}}),
    ("emptied", "items", BODY | {"items": []}),
    ("shorter", "items", BODY | {"items": [{"id": "8"}]}),
    ("reversed", "items", BODY | {"items": BODY["items"][::-1]}),
    ("other", "items[].at", BODY | {"items": [BODY["items"][0] | {"at": "2028-05-01T19:30:00Z"}, {"id": "8"}]}),
    ("other", "items[].on", BODY | {"items": [BODY["items"][0] | {"on": False}, {"id": "8"}]}),
    ("type", "items[].id", BODY | {"items": [BODY["items"][0] | {"id": 7}, {"id": 8}]}),
    ("type", "items[].on", BODY | {"items": [BODY["items"][0] | {"on": "true"}, {"id": "8"}]}),
])
def test_one_thing_is_another(kind: str, field: str, seen: object) -> None:
    """And everything else stays as it was."""
    done = mutated(change(kind, field), answer())

    assert json.loads(done.body) == seen
    assert (done.status, done.headers) == (200, answer().headers)


def test_status_and_headers() -> None:
    assert mutated(change("status", to=500), answer()).status == 500
    assert mutated(change("header", "location"), answer()).header("location") == ""
    assert mutated(change("header-other", "location"), answer()).header("location") == "other"


@pytest.mark.parametrize("kind", MUTATIONS)
def test_other_answers_of_the_route_stay(kind: str) -> None:
    """A change is about one status; one that cannot be made changes nothing."""
    assert mutated(Change(ROUTE, 404, kind, "total", to=200), answer()) == answer()
    if kind not in ("status", "header", "header-other"):
        assert mutated(change(kind, "nothing.like[].it"), answer()) == answer()


def test_a_change_travels_and_has_stable_words() -> None:
    """``solutions/proof.toml`` names mutants by these."""
    one = change("absent", "items[].id")

    assert from_data(json.loads(json.dumps(to_data(one)))) == one
    assert one.id == "GET /events 200: items[].id absent"
    assert Change("", 0, "sabotage", "no key expires", service="redis").id == "redis: no key expires"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_means_the_same(name: str) -> None:
    """All fields have the values that they had, whatever was added or written in another way."""
    done = varied((name,), answer())

    def known(old: Any, new: Any) -> bool:
        if isinstance(old, dict):
            return all(known(value, new[key]) for key, value in old.items())
        if isinstance(old, list):
            return len(old) == len(new) and all(map(known, old, new))
        return bool(old == new) or new == str(old).replace("Z", "+00:00")

    assert known(BODY, json.loads(done.body))
    assert done.status == 200
    assert done != answer(), "a variant that varies nothing proves nothing"


def test_variants_of_what_is_no_json() -> None:
    """Nothing to vary: nothing breaks."""
    plain = Answer(200, (("content-type", "text/plain"),), b"\xff\x00 not json")

    assert varied(tuple(VARIANTS), plain).body == plain.body
