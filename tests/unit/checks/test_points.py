"""The points of a request at which ``explore`` does its deed: which of many, in which words, which are the same."""

from __future__ import annotations

import itertools

from orchestrator.checks.points import Point, StepTaken, before_each, chosen, crash_points


def points_of(*kinds: str) -> list[Point]:
    return before_each([StepTaken(number, "db", kind, kind, number, 1) for number, kind in enumerate(kinds, 1)])


def test_what_is_tried_of_many_steps() -> None:
    """The first, the last, and some evenly between."""
    assert chosen(points_of("GET", "GET", "GET"), 40) == [0, 1, 2]
    assert chosen(points_of(*["GET"] * 5), 1) == [0]
    assert chosen([], 40) == []
    some = chosen(points_of(*["GET"] * 100), 40)
    assert (len(some), some[0], some[-1]) == (40, 0, 99)
    assert max(later - sooner for sooner, later in itertools.pairwise(some)) == 3


def test_a_step_of_each_kind_is_tried() -> None:
    """What is done once is tried, however many others there are; of more kinds than tries some are."""
    steps = ["GET", *["SELECT", "BULK"] * 10, "MOVE", *["SELECT"] * 10]

    assert {21, 20, 0, 31} <= set(chosen(points_of(*steps), 5))
    assert len(chosen(points_of(*steps), 5)) == 5
    assert chosen(points_of(*(f"kind {number}" for number in range(9))), 3) == [0, 4, 8]


def test_one_crash_point_stands_for_all_at_which_the_same_is_written() -> None:
    """The last of each stretch: it has the most that is not written yet."""
    steps = [StepTaken(number, "db", text, text, 1, 1) for number, text in enumerate(("BEGIN", "INSERT", "COMMIT", "SAY"), 1)]
    points = crash_points(steps, {1: "1", 2: "1", 3: "1", 4: "2"}, "2")

    assert [(point.step.text, point.after) for point in points] == [("COMMIT", False), ("SAY", True)]
    assert points[0].words("was killed") == "your server was killed between its `INSERT` and its `COMMIT`"
    assert points[1].words("was killed") == "your server was killed after its `SAY`, before it heard the answer"
    assert crash_points([], {}, "1") == []


def test_a_step_at_which_the_server_was_not_seen_to_stand_is_a_crash_point() -> None:
    """Two connections stood at once: nobody knows whether the first one's statement had been written by then."""
    steps = [StepTaken(number, "db", text, text, 1, 1) for number, text in enumerate(("COMMIT", "NOTE", "SAY"), 1)]

    assert [str(point.step) for point in crash_points(steps, {1: "1", 3: "1"}, "1")] == ["COMMIT", "NOTE", "SAY"]


def test_points_can_be_those_to_one_service() -> None:
    """What came before is told all the same."""
    steps = [StepTaken(1, "db", "BEGIN", "BEGIN", 1, 1), StepTaken(2, "cache", "GET k", "GET", 1, 2)]

    assert [point.words("was held") for point in before_each(steps, ["cache"])] == [
        "your server was held between its `BEGIN` and its `GET k`"]
    assert before_each(steps)[0].words("was held") == "your server was held before its first step, `BEGIN`"
