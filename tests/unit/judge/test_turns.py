"""Whose turn it is: needs first, nobody blamed beside a neighbour, and nothing left undecided."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.judge.turns import Turn, Turns
from orchestrator.model import Milestone, Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.system.interrupt import NEVER, Cancel, Cancelled
from orchestrator.workspace.select import PlannedMilestone


def planned(*names: str, role: Any = "asked") -> list[PlannedMilestone]:
    """``b<a`` needs ``a``; in the order in which they are given."""
    found = []
    for name in names:
        one, _, needs = name.partition("<")
        found.append(PlannedMilestone(
            Milestone(one, one, tuple(needs), (), (Path(),), Path(), (), 1.0, 1, "core"), role))
    return found


def result(turn: Turn, verdict: Verdict = Verdict.PASS) -> MilestoneResult:
    return MilestoneResult(turn.plan.milestone.id, "", verdict, turn.plan.role)


def taken(turns: Turns) -> Turn:
    """The turn that there must be now."""
    turn = turns.take(NEVER)
    assert turn is not None
    return turn


def name_of(turn: Turn) -> str:
    return turn.plan.milestone.id


def nobody_is_next(turns: Turns) -> None:
    """Whoever asks now must wait."""
    cancel = Cancel()
    timer = threading.Timer(0.1, cancel.ask)
    timer.start()
    with pytest.raises(Cancelled):
        turns.take(cancel)
    timer.join()


def test_one_judge_takes_all_in_their_order_and_each_alone() -> None:
    """And knows which comes next."""
    turns, seen = Turns(planned("a", "b<a", "c")), []

    while (turn := turns.take(NEVER)) is not None:
        seen.append((name_of(turn), turn.alone, turn.following and turn.following.id))
        assert turns.decide(turn, result(turn, Verdict.FAIL))

    assert seen == [("a", True, "b"), ("b", True, "c"), ("c", True, None)]
    assert list(turns.decided()) == ["a", "b", "c"]


def test_what_a_milestone_needs_is_decided_before() -> None:
    """Two judges: the second waits for the first's verdict."""
    turns = Turns(planned("a", "b<a"), judges=2)
    first = taken(turns)

    nobody_is_next(turns)
    turns.decide(first, result(first))

    assert name_of(taken(turns)) == "b"


def test_side_by_side_the_one_comes_first_for_which_most_wait() -> None:
    """Directly or not; of equals the first in their order."""
    turns = Turns(planned("a", "b", "c", "d<c", "e<d"), judges=2)

    assert [name_of(taken(turns)), name_of(taken(turns))] == ["c", "a"]


def test_what_is_wrong_beside_others_is_judged_again_alone() -> None:
    """Only then it is the milestone's result, and what needs it waits for that."""
    turns = Turns(planned("a", "b", "c<a"), judges=2)
    a, b = taken(turns), taken(turns)

    assert not turns.decide(a, result(a, Verdict.FAIL))
    nobody_is_next(turns)
    assert turns.decide(b, result(b))

    again = taken(turns)
    assert (name_of(again), again.alone) == ("a", True)
    nobody_is_next(turns)
    assert turns.decide(again, result(again, Verdict.PASS))
    last = taken(turns)
    turns.decide(last, result(last))
    assert {name: one.verdict for name, one in turns.decided().items()} == dict.fromkeys("abc", Verdict.PASS)
    assert turns.take(NEVER) is None


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.BLOCKED, Verdict.UNJUDGED])
def test_what_no_neighbour_can_have_made_worse_is_final(verdict: Verdict) -> None:
    """A pass is a pass."""
    turns = Turns(planned("a", "b"), judges=2)
    a = taken(turns)

    assert turns.decide(a, result(a, verdict))


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INVALID, Verdict.ERROR])
def test_what_a_neighbour_may_have_made_worse_is_not(verdict: Verdict) -> None:
    """Also an error: two on one machine may have been too much for it."""
    turns = Turns(planned("a", "b"), judges=2)
    a = taken(turns)

    assert not turns.decide(a, result(a, verdict))


def test_what_the_learner_works_on_has_the_machine_for_itself() -> None:
    """Its verdict is final at once; the others begin afterwards."""
    turns = Turns([*planned("new", role="next"), *planned("old", "older", role="regression")], judges=2)
    new = taken(turns)

    assert (name_of(new), new.alone) == ("new", True)
    nobody_is_next(turns)
    assert turns.decide(new, result(new, Verdict.FAIL))
    assert [(name_of(one), one.alone) for one in (taken(turns), taken(turns))] == [("old", False), ("older", False)]


def test_a_judge_who_leaves_gives_the_turn_back() -> None:
    """Who is left goes on by itself, and its verdicts are final."""
    turns = Turns(planned("a", "b"), judges=2)
    a, b = taken(turns), taken(turns)

    turns.leave(b)
    turns.decide(a, result(a))
    again = taken(turns)

    assert (name_of(again), again.alone) == ("b", True)


def test_whoever_waits_hears_that_the_run_is_to_end() -> None:
    """`take` raises, also while there is nothing to take."""
    turns, cancel = Turns(planned("a", "b<a"), judges=2), Cancel()
    taken(turns)
    cancel.ask()

    with pytest.raises(Cancelled):
        turns.take(cancel)


@pytest.mark.parametrize("seed", range(20))
def test_any_plan_comes_to_its_end(seed: int) -> None:
    """Whatever the needs, the verdicts and the number of judges: each has one result, needs before what needs them."""
    luck = random.Random(seed)
    names = [chr(97 + number) for number in range(10)]
    plan = planned(*(f"{one}<{''.join(luck.sample(names[:number], min(number, luck.randrange(3))))}"
                     for number, one in enumerate(names)))
    judges = luck.randint(1, 4)
    turns, order, lock = Turns(plan, judges), [], threading.Lock()

    def judge(mine: random.Random) -> None:
        while (turn := turns.take(NEVER)) is not None:
            verdict = mine.choice([Verdict.PASS, Verdict.FAIL, Verdict.ERROR])
            with lock:
                if turns.decide(turn, result(turn, verdict)):
                    order.append(turn.plan.milestone)

    threads = [threading.Thread(target=judge, args=(random.Random(f"{seed} {number}"),)) for number in range(judges)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(one.id for one in order) == names
    assert _sorted_by_need(order)


def _sorted_by_need(order: Sequence[Milestone]) -> bool:
    place = {one.id: number for number, one in enumerate(order)}
    return all(place[need] < place[one.id] for one in order for need in one.needs)
