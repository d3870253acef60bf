"""A verdict in the terminal: each cause is told once."""

from __future__ import annotations

import dataclasses

import pytest
from support.reports import failed, report

from orchestrator.model import Verdict
from orchestrator.report import html
from orchestrator.report.result import ATTACHED, LOCAL, MilestoneResult
from orchestrator.report.terminal import summary, what_was_found


def test_one_cause_of_several_failures_is_told_once() -> None:
    """What a check says word for word as one before it is as above, under its own title and reason."""
    milestone = failed()
    first, passed = milestone.checks
    again = dataclasses.replace(first, title="Rows stay.", where="checks/conftest.py:53")
    other = dataclasses.replace(first, title="Rows go.", expected="no row")

    lines = what_was_found(dataclasses.replace(milestone, checks=(first, again, other, passed)))

    assert sum("I looked at the row of buyer 1" in line for line in lines) == 2
    place = lines.index("  FAIL  Rows stay.")
    assert lines[place + 1:place + 3] == ["        as above  not-stored   (checks/conftest.py:53)", "  FAIL  Rows go."]


@pytest.mark.parametrize(("method", "last", "told"), [
    ("GET", False, True), ("POST", True, True), ("GET", True, False), ("HEAD", True, False),
])
def test_the_first_request_that_may_be_answered_otherwise_later_says_so(method: str, last: bool, told: bool) -> None:
    """Later checks, or the request itself, have changed the data that `labs run` keeps; one line says it for all."""
    milestone = failed()
    first, passed = milestone.checks
    assert first.exchange is not None
    first = dataclasses.replace(first, exchange=dataclasses.replace(first.exchange, method=method))
    second = dataclasses.replace(first, what="the row of buyer 2")

    lines = what_was_found(dataclasses.replace(milestone, checks=(first,) if last else (first, second, passed)))

    notes = [number for number, line in enumerate(lines) if "the data has changed since" in line]
    assert notes == ([lines.index("        by hand   curl -i http://127.0.0.1:8080/buyers") + 1] if told else [])


def test_whose_moment_the_logs_are_of_is_said() -> None:
    """They end when the first check failed, and when the server ended if it did so by itself."""
    ended = dataclasses.replace(failed(), logs_of_failure=False)

    assert [line for line in what_was_found(failed()) if "the last lines" in line] == [
        "  the last lines of your server's output when the first check failed:",
        "  the last lines of postgres's log when the first check failed:",
    ]
    assert "  the last lines of your server's output:" in what_was_found(ended)
    assert "the last lines of your server when the first check failed" in html.render(report(failed()))
    assert "the last lines of your server</p>" in html.render(report(ended))


@pytest.mark.parametrize(("roles", "following"), [
    (("regression", "later"), "labs check   (m1: Title)"),
    (("regression", "regression"), "labs check --all   (everything once more)"),
    (("need", "asked"), "labs   (where you stand, and what to do next)"),
], ids=["one is left", "all have passed", "asked by name"])
def test_what_is_next_when_all_that_ran_has_passed(roles: tuple[str, ...], following: str) -> None:
    milestones = (MilestoneResult(f"m{number}", "Title", Verdict.PASS, role) for number, role in enumerate(roles))

    assert summary(report(*milestones)).splitlines()[-1] == f"next: {following}"


@pytest.mark.parametrize(("verdicts", "attached", "last"), [
    ("unjudged unjudged", False, "next: labs doctor   (what is missing here, and how to get it)"),
    ("unjudged pass", False, "again: labs check m0 --seed 7"),
    ("unjudged unjudged", True, "again: labs check m0 --seed 7"),
], ids=["nothing could be judged", "something was", "the server is another command's"])
def test_who_could_judge_nothing_here_is_sent_to_the_doctor(verdicts: str, attached: bool, last: str) -> None:
    """The same once more would come to the same."""
    milestones = [MilestoneResult(f"m{number}", "Title", Verdict(word), "asked")
                  for number, word in enumerate(verdicts.split())]
    told = dataclasses.replace(report(*milestones), seed=7, isolation=ATTACHED if attached else LOCAL)

    assert summary(told).splitlines()[-1] == last
