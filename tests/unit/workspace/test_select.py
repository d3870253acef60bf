"""What a run judges."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from orchestrator.model import Lab, Milestone, ServerContract, Track, Verdict
from orchestrator.workspace.select import blocker, in_turn, next_milestone, select

NOW = "content-now"
BEFORE = "content-before"


def milestone(milestone_id: str, *needs: str) -> Milestone:
    return Milestone(milestone_id, milestone_id, needs, (), (Path("c.py"),), Path("b.md"), (), 10.0, 1, "core")


LAB = Lab(
    "shop", "Shop", "", "shop", "1", Path(), (), ServerContract({}, 5, 5),
    (Track("pg", "", ""), Track("redis", "", "")),
    (
        milestone("pg/one"), milestone("pg/two", "pg/one"), milestone("pg/three", "pg/two"),
        milestone("redis/late", "redis/early"), milestone("redis/early", "pg/two"),
    ),
)


def plan(passed: dict[str, str] | None = None, *asked: str, everything: bool = False, only: bool = False) -> list[tuple[str, str]]:
    chosen = tuple(LAB.milestone(name) for name in asked)
    planned = select(LAB, passed=passed or {}, content=NOW, asked=chosen, everything=everything, only=only)
    return [(item.milestone.id, item.role) for item in planned]


def test_the_first_check_is_of_the_first_milestone() -> None:
    """Nothing passed yet: the first milestone is next, every other is listed and not run."""
    assert plan() == [("pg/one", "next"), ("pg/two", "later"), ("pg/three", "later"), ("redis/early", "later"),
                      ("redis/late", "later")]


def test_what_the_learner_works_on_is_judged_first() -> None:
    """The next milestone, then what passed as regression, whatever its content was."""
    assert plan({"pg/one": BEFORE, "pg/two": NOW})[:3] == [
        ("pg/three", "next"), ("pg/one", "regression"), ("pg/two", "regression")]


def test_the_core_comes_before_what_goes_deeper() -> None:
    """Whoever has done the core has done the lab; the rest is led through after it, in the lab's order."""
    deeper = dataclasses.replace(LAB.milestones[0], id="pg/zero", level="deeper")
    lab = dataclasses.replace(LAB, milestones=(deeper, *LAB.milestones))
    core = {one.id for one in LAB.milestones}

    assert [one.id for one in in_turn(lab)] == [*(one.id for one in LAB.milestones), "pg/zero"]
    assert [getattr(next_milestone(lab, passed), "id", None) for passed in (set(), core, core | {"pg/zero"})] == [
        "pg/one", "pg/zero", None]


def test_what_failed_since_it_passed_is_judged_before_the_next_one() -> None:
    """Its content is empty: it is what the learner works on, and the next milestone may need it."""
    assert plan({"pg/one": NOW, "pg/two": ""})[:3] == [
        ("pg/two", "regression"), ("pg/three", "next"), ("pg/one", "regression")]


def test_only_leaves_out_what_passed_and_what_is_needed() -> None:
    """``--only``: nothing beside the milestone."""
    assert [name for name, role in plan({"pg/one": NOW, "pg/two": NOW}, only=True) if role != "later"] == ["pg/three"]
    assert plan(None, "pg/three", only=True) == [("pg/three", "asked")]


def test_next_skips_what_needs_something_unpassed() -> None:
    """The next milestone is the first in the lab's order whose needs all passed."""
    following = next_milestone(LAB, {"pg/one", "pg/two", "pg/three"})

    assert following is not None
    assert following.id == "redis/early"


def test_all_passed_is_only_regression() -> None:
    """When everything passed there is no next one."""
    everything = {milestone.id: NOW for milestone in LAB.milestones}

    assert {role for _, role in plan(everything)} == {"regression"}


def test_a_need_runs_before_what_needs_it_even_if_it_stands_below() -> None:
    """The lab's order may not let a milestone run before its need."""
    ids = [name for name, _ in plan(None, "redis/late")]

    assert ids == ["pg/one", "pg/two", "redis/early", "redis/late"]


def test_a_long_chain_of_needs_that_stands_upside_down() -> None:
    """No stack ends on it."""
    chain = [milestone(f"pg/m{place}", *([f"pg/m{place + 1}"] if place < 1500 else [])) for place in range(1501)]
    lab = dataclasses.replace(LAB, milestones=tuple(chain))

    planned = select(lab, passed={}, content=NOW, everything=True)

    assert [one.milestone for one in planned] == chain[::-1]


def test_needs_come_with_what_is_asked() -> None:
    """A milestone asked for by name brings what it needs, directly or not, and nothing else."""
    assert plan(None, "pg/three") == [("pg/one", "need"), ("pg/two", "need"), ("pg/three", "asked")]


def test_a_need_proved_for_the_same_content_does_not_run_again() -> None:
    """Proved with this very content: not in the plan, nor what it needs in turn. Proved with another: it runs."""
    assert plan({"pg/one": NOW, "pg/two": NOW}, "pg/three") == [("pg/three", "asked")]
    assert plan({"pg/one": BEFORE, "pg/two": BEFORE}, "pg/three") == [
        ("pg/one", "need"), ("pg/two", "need"), ("pg/three", "asked")]


def test_a_milestone_asked_for_runs_even_if_proved() -> None:
    """Who asks for it by name gets it judged now."""
    assert plan({"pg/one": NOW}, "pg/one") == [("pg/one", "asked")]


def test_a_track_is_asked_with_its_needs_from_other_tracks() -> None:
    """``check redis``: its milestones are asked for, those of the other track that they need are needs."""
    assert plan(None, "redis/late", "redis/early") == [
        ("pg/one", "need"), ("pg/two", "need"), ("redis/early", "asked"), ("redis/late", "asked")]


def test_all_asks_for_everything() -> None:
    """``--all`` asks for every milestone, whatever passed."""
    assert {role for _, role in plan({"pg/one": NOW}, everything=True)} == {"asked"}
    assert len(plan(everything=True)) == 5


def test_only_a_need_that_did_not_pass_blocks() -> None:
    """A need that failed in this run blocks, through others, too; an error or one not run says nothing."""
    three = LAB.milestone("pg/three")

    for verdict in (Verdict.FAIL, Verdict.TIMEOUT, Verdict.INVALID, Verdict.BLOCKED):
        assert blocker(three, {"pg/two": verdict}) == "pg/two"
    for verdict in (Verdict.PASS, Verdict.ERROR, Verdict.UNJUDGED):
        assert blocker(three, {"pg/two": verdict}) is None
    assert blocker(three, {}) is None
