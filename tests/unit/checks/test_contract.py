"""Every answer that openapi.yaml describes has the form that it promises."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog.labs import find_lab
from orchestrator.checks.answer import Response
from orchestrator.checks.contract import Contract
from orchestrator.checks.errors import TargetWrong
from orchestrator.checks.routes import read_openapi

EVENT: dict[str, Any] = {"id": "e1", "name": "Ball", "venue": "Hall", "starts_at": "2027-05-01T19:30:00Z", "seats": 9,
                         "price_cents": 100, "sold": 0}


@pytest.fixture(scope="module")
def box_office() -> Contract:
    return Contract(read_openapi(find_lab("databases").folder))


def answer(method: str, path: str, status: int, body: Any, kind: str = "application/json") -> tuple[str, str, Response]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return method, path, Response(status, {"content-type": kind}, content, 0.0, {"method": method, "path": path})


def broken(contract: Contract, *said: Any) -> TargetWrong:
    with pytest.raises(TargetWrong) as caught:
        contract.hold(*answer(*said))
    return caught.value


@pytest.mark.parametrize(("method", "path", "status", "body"), [
    ("GET", "/events/e1", 200, EVENT),
    ("GET", "/events/e1?x=1", 200, {**EVENT, "more": {"fields": [1, None]}}),
    ("GET", "/events", 200, {"items": [EVENT, EVENT], "next": None}),
    ("GET", "/events", 200, {"items": [], "next": "later"}),
    ("GET", "/events/none", 404, {"code": "not_found", "message": "no such event"}),
    ("GET", "/health", 503, {"postgres": "down", "redis": "up"}),
    ("DELETE", "/events/e1", 204, b""),
])
def test_what_is_as_promised_passes(box_office: Contract, method: str, path: str, status: int, body: Any) -> None:
    """More fields are fine, and so is each of the types of a field that has several."""
    box_office.hold(*answer(method, path, status, body))


@pytest.mark.parametrize(("method", "path", "status", "body"), [
    ("GET", "/events/e1", 500, b"oops"),
    ("PUT", "/events/e1", 200, b"what?"),
    ("GET", "/nobody/knows", 200, b"[]"),
    ("HEAD", "/events", 200, b""),
])
def test_what_is_not_described_is_left_to_the_check(box_office: Contract, method: str, path: str, status: int,
                                                    body: bytes) -> None:
    """Another status, method or route, and what has no body."""
    box_office.hold(*answer(method, path, status, body))


@pytest.mark.parametrize(("change", "what", "expected", "seen"), [
    ({"venue": None}, "`items[1].venue` in the answer to GET /events (200)", "a string", "nothing (null)"),
    ({"seats": "9"}, "`items[1].seats` in", "a whole number", '"9"'),
    ({"seats": True}, "`items[1].seats` in", "a whole number", "true"),
    ({"seats": 0}, "`items[1].seats` in", "minimum: 1", "0"),
    ({"venue": "x" * 201}, "`items[1].venue` in", "at most 200 Unicode characters",
     f'201 Unicode characters: "{"x" * 201}"'),
    ({"venue": ""}, "`items[1].venue` in", "at least 1 Unicode characters", '0 Unicode characters: ""'),
])
def test_a_field_that_is_not_as_promised_is_named(box_office: Contract, change: dict[str, Any], what: str,
                                                  expected: str, seen: str) -> None:
    """The failure says where in the answer, what openapi.yaml promises, and what came."""
    wrong = broken(box_office, "GET", "/events", 200, {"items": [EVENT, {**EVENT, **change}], "next": None})

    assert (wrong.reason, wrong.expected, wrong.seen) == ("contract-broken", expected, seen)
    assert wrong.what.startswith(what)
    assert wrong.exchange == {"method": "GET", "path": "/events"}


def test_a_field_that_is_missing_is_named(box_office: Contract) -> None:
    """Of an answer as a whole, too."""
    body = copy.deepcopy(EVENT)
    del body["price_cents"]
    assert broken(box_office, "GET", "/events/e1", 200, body).expected == "an object with `price_cents`"
    wrong = broken(box_office, "GET", "/events", 200, {"next": None})
    assert (wrong.what, wrong.expected) == ("the answer to GET /events (200), beside openapi.yaml",
                                            "an object with `items`")


def test_errors_have_their_form_too(box_office: Contract) -> None:
    """An error that openapi.yaml describes has code and message."""
    wrong = broken(box_office, "GET", "/events/none", 404, {"code": "not_found", "message": None})
    assert wrong.what.startswith("`message` in the answer to GET /events/none (404)")


def test_a_value_that_is_none_of_a_few_is_shown_beside_them(box_office: Contract) -> None:
    """As JSON, not as Python."""
    wrong = broken(box_office, "GET", "/health", 200, {"postgres": True})
    assert (wrong.expected, wrong.seen) == ('"up" or "down"', "true")


@pytest.mark.parametrize(("body", "kind"), [(b"{", "application/json"), (b"{}", "text/html")])
def test_what_is_promised_as_json_is_json(box_office: Contract, body: bytes, kind: str) -> None:
    """Broken JSON, and JSON that is not said to be JSON."""
    assert broken(box_office, "GET", "/events/e1", 200, body, kind).reason == "not-json"


def test_a_hostile_answer_gives_a_short_message(box_office: Contract) -> None:
    """What the server sends is shortened, and no terminal obeys it."""
    wrong = broken(box_office, "GET", "/events/e1", 200, {**EVENT, "name": ["\x1b[2J" * 1000]})
    assert len(wrong.seen) < 500
    assert "\x1b" not in wrong.seen


def test_a_lab_without_a_document_promises_nothing(tmp_path: Path) -> None:
    """Then checks alone judge."""
    Contract(read_openapi(tmp_path)).hold(*answer("GET", "/events", 200, b"anything"))


def test_wildcards_defaults_and_references_are_followed() -> None:
    """`4XX`, `default`, `$ref` to a response and JSON formats of their own."""
    contract = Contract({
        "paths": {"/a": {"get": {"responses": {"4XX": {"$ref": "#/components/responses/a~1b"}, "default": {
            "content": {"application/vnd.shop+json; charset=utf-8": {"schema": {"type": "array"}}}}}}}},
        "components": {"responses": {"a/b": {"content": {"application/problem+json": {"schema": {
            "$ref": "#/components/schemas/Problem"}}}}}, "schemas": {"Problem": {"type": "object"}}},
    })
    contract.hold(*answer("GET", "/a", 418, {}, "application/problem+json"))
    contract.hold(*answer("GET", "/a", 200, []))
    assert broken(contract, "GET", "/a", 404, []).expected == "an object"
    assert broken(contract, "GET", "/a", 201, {}).expected == "a list"
