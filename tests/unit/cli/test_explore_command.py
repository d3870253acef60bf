"""What ``labs explore`` says when there is nothing to show, and what it shows of a run that stopped."""

from __future__ import annotations

import dataclasses

import pytest
from support.reports import failed, report

from orchestrator.catalog.labs import find_lab
from orchestrator.cli.explore_command import explorable, no_such_step, text, unexplored
from orchestrator.errors import UsageError
from orchestrator.model import Verdict
from orchestrator.report.explored import Discoveries, Exploration, NotKept, StepShown, Tried

LAB = find_lab("databases")
CHECK = failed().checks[0].id


def found(*rows: Tried, step: int = 0) -> Discoveries:
    one = Exploration(CHECK, "Both are counted.", "hold", "POST /k", "", (StepShown(1, "redis", "GET k", "GET"),), rows)
    return Discoveries("databases", "postgres/crud", "Rows", 7, step, 1.0, "embedded", {}, (one,))


KEPT = Tried(1, False, ("200",), False, True, None)
LOST = dataclasses.replace(KEPT, broken=NotKept("lost", "the count", "2", "1"))


@pytest.mark.parametrize(("name", "code", "hint"), [
    ("postgres/n-plus-one", "explores-nothing", "labs explore postgres/crud"),
    ("postgres", "explore-one", "labs explore postgres/crud"),
    ("redis/holt", "unknown-milestone", "labs info databases"),
])
def test_what_cannot_be_explored_says_what_can(name: str, code: str, hint: str) -> None:
    """The next one of its track, and all others with their titles; no line is wider than a terminal."""
    with pytest.raises(UsageError) as caught:
        explorable(LAB, name)

    assert (caught.value.code, caught.value.hint) == (code, hint)
    if code != "unknown-milestone":
        assert any(line.startswith("redis/expiry ") for line in caught.value.details)
    assert all(len(line) <= 78 for line in caught.value.details)
    assert explorable(LAB, "redis/hold").id == "redis/hold"


def test_a_lab_in_which_nothing_can_be_explored_says_so() -> None:
    """And what to do instead."""
    plain = dataclasses.replace(LAB, milestones=LAB.milestones[:1])

    with pytest.raises(UsageError, match="databases has no milestone that can be explored") as caught:
        explorable(plain, "postgres/schema")
    assert caught.value.hint == "labs check postgres/schema"


def test_a_step_that_no_request_has_is_said() -> None:
    assert "the longest request has 1 step" in str(no_such_step(found(step=9)))


def test_a_check_that_stopped_for_another_reason_is_shown_beside_its_steps() -> None:
    """What a row says already is not said twice."""
    stopped = failed(what="the answer of /health")
    run = report(stopped, dataclasses.replace(stopped, checks=(stopped.checks[1],)))

    assert [check.verdict for check in unexplored(run, found(KEPT))] == [Verdict.FAIL]
    assert "Stopped before the last step:" in text(run, found(KEPT))
    assert "the answer of /health" in text(run, found(KEPT))
    assert "Stopped" not in text(run, found(LOST))


def test_a_server_that_is_not_so_far_hears_what_to_do_first() -> None:
    """Why no step was met, without the words of a verdict."""
    nothing = dataclasses.replace(found(), explorations=())
    early = text(report(failed()), nothing)
    broken, ours = (next(one for one in report().milestones if one.verdict is verdict)
                    for verdict in (Verdict.INVALID, Verdict.BLOCKED))

    assert early.startswith("postgres/crud cannot be explored yet. This was wrong before the first step:")
    assert "I looked at the row of buyer 1" in early
    assert "next: labs check postgres/crud   (it judges first what this milestone needs)" in early
    assert "passed" not in early
    assert "labs hint" not in early
    assert "`go build` failed" in text(report(broken), nothing)
    assert text(report(ours), nothing).endswith(f"next: {ours.advice}")
    assert "stopped before the first step" in text(report(ours, interrupted=True), nothing)
