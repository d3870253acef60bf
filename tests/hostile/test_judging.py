"""Servers that try to deceive their judge, or the terminal of who reads the verdict, over the wire to a real child."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.child import Run, run_checks
from support.junk import OK, JunkServer, body, raw

from orchestrator.model import Verdict

CHECKS = '''
from orchestrator.checks import expect
from orchestrator.checks.errors import Failed

def test_types(server):
    answer = server.get("/types").json()
    for name, value in {"whole": 1, "text": "1", "flag": True, "nothing": None, "list": [1]}.items():
        try:
            expect.equal(value, answer[name], name, reason="near-miss")
        except Failed:
            continue
        raise RuntimeError(f"{name} was accepted")
    expect.field(answer, "whole", int, reason="near-miss")

def test_body(server): expect.status(server.get("/screen"), 201, reason="refused")
def test_value(server): expect.equal("name", expect.field(server.get("/screen"), "name", str, reason="shape"), "it", reason="other")
def test_header(server): expect.equal("", server.get("/header").headers["x-name"], "the header", reason="other")
def test_path(server): expect.status(server.get("/screen?" + expect.field(server.get("/screen"), "name", str, reason="x")), 201, reason="x")
'''

NEAR = b'{"whole": true, "text": 1, "flag": 1, "nothing": false, "list": {"0": 1}}'
SCREEN = b'{"name": "\\u001b[2J\\u001b[H5 passed \\u009b1m \\u202e <b> =cmd() "}'
ANSWERS = {"types": body(NEAR), "screen": body(SCREEN),
           "header": raw(OK + "X-Name: \x9b2J passed\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with JunkServer(ANSWERS) as server:
        return run_checks(folder, CHECKS, url=server.url)


def test_t14_near_miss_types(judged: Run) -> None:
    """``true`` for 1, 1 for "1", an object for a list: none is taken for what was asked."""
    result = judged["test_types"]

    assert (result.verdict, result.reason) == (Verdict.FAIL, "near-miss"), result


@pytest.mark.parametrize("name", ["body", "value", "header", "path"])
def test_t17_nothing_in_a_report_is_obeyed(judged: Run, name: str) -> None:
    """Escape sequences in bodies, values, headers and ids reach no report as they are; the curl line is harmless."""
    result = judged[f"test_{name}"]
    exchange = result.exchange

    assert result.verdict is Verdict.FAIL, result
    assert exchange is not None
    for text in (result.what, result.expected, result.seen, exchange.path, exchange.response, exchange.curl):
        assert text.isprintable()
