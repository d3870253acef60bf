"""Whose fault: the table of docs/checks-api.md."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.judge.blame import blame, exchange
from orchestrator.model import Verdict
from orchestrator.report.result import Exchange


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("failed", Verdict.FAIL),
        ("wrong", Verdict.FAIL),
        ("timeout", Verdict.TIMEOUT),
        ("schema", Verdict.FAIL),
        ("unjudged", Verdict.UNJUDGED),
        ("machine", Verdict.ERROR),
        ("lost", Verdict.ERROR),
        ("bug", Verdict.ERROR),
        ("something else", Verdict.ERROR),
        (None, Verdict.ERROR),
        (["failed"], Verdict.ERROR),
    ],
)
def test_the_kind_decides(kind: Any, verdict: Verdict) -> None:
    """Each kind of failure has one verdict; what is not known is never the learner's fault."""
    assert verdict is blame({"kind": kind, "reason": "r"}).verdict


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ({"kind": "failed", "reason": "lost-update"}, "lost-update"),
        ({"kind": "failed"}, "assertion"),
        ({"kind": "schema", "reason": "schema-missing-table"}, "schema-missing-table"),
        ({"kind": "schema", "reason": "missing-table"}, "schema-missing-table"),
        ({"kind": "machine", "reason": "whatever"}, "machine-too-slow"),
        ({"kind": "lost", "reason": "whatever"}, "service-lost"),
        ({"kind": "wrong"}, "wrong"),
    ],
)
def test_every_blame_has_a_stable_reason(failure: dict[str, str], reason: str) -> None:
    """The reason is the check's own; a bare assert and our own kinds have theirs."""
    assert reason == blame(failure).reason


JUNK = st.integers() | st.text() | st.lists(st.none())


@settings(deadline=None)
@given(st.none() | JUNK | st.dictionaries(st.text(), JUNK))
def test_junk_is_our_bug(failure: Any) -> None:
    """A failure that is none does not raise, and is an error."""
    if not (isinstance(failure, dict) and "kind" in failure):
        assert Verdict.ERROR is blame(failure).verdict


def test_an_exchange_is_taken_over() -> None:
    """The HTTP exchange of a failure is in the report; a status that is no number is none."""
    value = {"method": "GET", "path": "/a", "request": "", "status": 200, "response": "{}", "curl": "curl /a"}

    assert Exchange("GET", "/a", "", 200, "{}", "curl /a") == exchange(value)
    assert exchange({**value, "status": "200"}) == Exchange("GET", "/a", "", None, "{}", "curl /a")
    assert exchange("x") is None
