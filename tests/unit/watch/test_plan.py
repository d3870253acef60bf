"""Which milestone is watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model import Lab, Milestone, ServerContract
from orchestrator.watch.plan import make_plan

HERE = Path("here")


def milestone(name: str, *needs: str) -> Milestone:
    return Milestone(name, name, needs, (), (HERE,), HERE, (), 1.0, 1, "core")


LAB = Lab("shop", "Shop", "", "shop", "1", HERE, (), ServerContract({}, 1, 1), (),
          (milestone("a"), milestone("b", "a"), milestone("c", "b"), milestone("d")))


@pytest.mark.parametrize(("passed", "watched", "ahead", "expected", "regression"), [
    pytest.param("", "", False, "a", "", id="the first one"),
    pytest.param("a", "", False, "b", "a", id="the next one; what passed before comes after it"),
    pytest.param("ab", "b", False, "b", "a", id="what was watched stays after it passed"),
    pytest.param("ab", "b", True, "c", "ab", id="n: the new next one"),
    pytest.param("", "a", True, "d", "", id="n on a failing one: what can be tried after it, none that needs it"),
    pytest.param("", "d", True, "a", "", id="n again: round to the beginning"),
    pytest.param("abc", "d", True, "d", "abc", id="nothing else to go to"),
    pytest.param("abcd", "", False, None, "abcd", id="everything has passed"),
    pytest.param("abcd", "c", False, "c", "abd", id="everything has passed while one is watched"),
    pytest.param("", "gone", False, "a", "", id="a milestone that the lab no longer has"),
])
def test_the_plan(passed: str, watched: str, ahead: bool, expected: str | None, regression: str) -> None:
    """Passed milestones, the watched one, whether n was pressed -> what is judged first, and what after a pass."""
    plan = make_plan(LAB, set(passed), milestone=watched, ahead=ahead)

    assert (plan.watched.id if plan.watched else None) == expected
    assert "".join(one.id for one in plan.passed) == regression
    assert [one.role for one in plan.first()].count("next") == (expected is not None)
    assert {one.role for one in plan.regression()} <= {"regression"}
