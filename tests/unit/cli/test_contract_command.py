"""``labs contract``: the lab's promises without a path of a hundred letters and a file of three hundred lines."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.workspace import make_workspace

from orchestrator.catalog.labs import find_lab
from orchestrator.catalog.routes import read_routes
from orchestrator.cli import contract_command


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """We are in a workspace of the lab ``databases``."""
    folder = make_workspace(tmp_path / "server")
    monkeypatch.chdir(folder)
    return folder


def said(*arguments: str) -> str:
    return CliRunner().invoke(contract_command.cli, [*arguments]).stdout


def answer(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(*arguments, "--json"))
    return found


def test_all_routes_and_both_files() -> None:
    """Where the files are, each route in a line, what holds for all of them, how to see one."""
    text = said()

    for name in ("openapi.yaml", "storage.md"):
        assert f"\n  {find_lab('databases').folder / name}\n" in text
    assert re.search(r"^POST +/orders +Buy one seat$", text, re.MULTILINE)
    assert "An id that does not exist, whatever it looks like: `404`." in text
    assert "labs contract POST /orders   one route" in text
    assert "<a" not in text
    assert max(len(line) for line in text.splitlines() if "/openapi.yaml" not in line and "/storage.md" not in line) <= 90


def test_one_route_with_fields_and_answers() -> None:
    text = said("post", "/orders")

    assert text.startswith("POST /orders  Buy one seat\n  All or nothing: ")
    assert "\n\n  The rules, each with its answer when it is broken:\n  - " in text
    assert "\n  - A seat is sold once: `409` with `seat_sold`.\n" in text
    assert "\n  Idempotency-Key  text, at most 100 characters (in the header, optional)\n" in text
    assert "\n  seat   whole number, at least 1\n" in text
    assert "\n  hold   text (optional)\n" in text
    assert "\n       created_at   time (RFC 3339)\n" in text
    assert "\n  402  balance_too_low\n" in text


def test_what_is_merged_and_limited_is_written_out() -> None:
    (found,) = answer("GET", "/events/7")["data"]["routes"]
    fields = {one["name"]: one["form"] for one in found["answers"][0]["fields"]}

    assert found["path"] == "/events/{id}"
    assert fields["id"] == "text"
    assert fields["seats"] == "whole number, 1 to 100000"
    assert fields["name"] == "text, 1 to 200 characters"
    (pages,) = answer("GET", "/events")["data"]["routes"]
    assert pages["parameters"][1]["form"] == "whole number, 1 to 100, default 20"
    assert pages["answers"][0]["fields"][0]["form"].startswith("list of {")


def test_a_path_alone_is_all_its_methods() -> None:
    assert [one["method"] for one in answer("/orders")["data"]["routes"]] == ["GET", "POST"]
    assert [one["method"] for one in answer("GET /orders")["data"]["routes"]] == ["GET"]


@pytest.mark.parametrize(("words", "near"), [
    (("POST", "/order"), "POST /orders"), (("/trendin",), "/trending"), (("orders",), "a method and a path"),
    (("GET", "/a", "/b"), "a method and a path"),
])
def test_a_route_that_there_is_not(words: tuple[str, ...], near: str) -> None:
    found = answer(*words)

    assert (found["exit_code"], found["errors"][0]["code"]) == (2, "unknown-route")
    assert near in found["errors"][0]["message"]


@pytest.mark.parametrize("document", [
    "", "- 7", "paths: 7", "paths: {/a: 7, /b: {get: 7, post: {responses: 7, parameters: 7, requestBody: 7}}}",
    "paths: {/a: {get: {responses: {200: {$ref: '#/a'}}}}}\na: {$ref: '#/a'}",
    "x: &x [*x]\npaths: {/a: *x}",
    "paths: {/a: {post: {requestBody: {content: {application/json: {schema: {$ref: '#/s'}}}}}}}\n"
    "s: {allOf: [{$ref: '#/s'}], properties: {inner: {type: array, items: {$ref: '#/s'}}}}",
])
def test_a_document_that_is_none_is_no_trouble(tmp_path: Path, document: str) -> None:
    """An author's file is read before anybody trusts it, or has proved it."""
    (tmp_path / "openapi.yaml").write_text(document)

    assert all(one.path in ("/a", "/b") for one in read_routes(tmp_path).routes)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "openapi.yaml")

    assert read_routes(tmp_path).routes == ()
