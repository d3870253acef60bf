"""Records of a service and round trips of the server: tied by connection and order, the clock is a hint."""

from __future__ import annotations

import pytest

from orchestrator.judge.ties import FAR, Trip, tied
from orchestrator.model import Record


def record(at: float, session: str = "s") -> Record:
    return Record("redis", at, "GET x", "monitor", session=session)


def trips(*asked: float, lasting: float = 0.0003) -> list[Trip]:
    return [(at, at + lasting) for at in asked]


def sent(records: list[Record], *connections: list[Trip]) -> list[float | None]:
    return [one.sent for one in tied(records, connections)]


@pytest.mark.parametrize("late", [-0.0015, -0.001, 0.0, 0.001, 0.0015])
def test_requests_that_follow_each_other_closely_keep_their_own_records(late: float) -> None:
    """One statement each, 1.2 ms apart; the service's clock is before ours, or behind."""
    asked = [10.0 + 0.0012 * number for number in range(20)]

    assert sent([record(at + late) for at in asked], trips(*asked)) == asked


def test_whole_milliseconds_are_no_trouble() -> None:
    """PostgreSQL writes no finer stamps: it cuts what is finer."""
    asked = [10.0007, 10.0019, 10.0031, 10.0043]

    assert sent([record(int(at * 1000) / 1000) for at in asked], trips(*asked)) == asked


def test_a_pipeline_is_one_trip_and_the_next_one_another() -> None:
    records = [*(record(10.0001 + number / 1e6) for number in range(100)), record(10.0026)]

    assert sent(records, trips(10.0, 10.0025)) == [10.0] * 100 + [10.0025]


def test_trips_that_leave_no_record_are_passed_over() -> None:
    """A greeting when it connects, a ping before each use."""
    asked = trips(9.99, 9.995, 10.0, 10.1, 10.1005, 10.2)

    assert sent([record(10.0001), record(10.1006), record(10.2001)], asked) == [10.0, 10.1005, 10.2]


def test_what_was_held_on_its_way_is_of_the_moment_when_it_was_sent() -> None:
    """An exploration keeps a step for seconds before the service gets it."""
    assert sent([record(10.0001), record(12.5)], [(10.0, 10.0003), (10.001, 12.501), (12.6, 12.601)]) == [10.0, 10.001]


def test_each_session_has_a_connection_of_its_own() -> None:
    """Whatever their order: the one whose trips are nearest."""
    first, second = trips(10.0, 10.2, 10.4), trips(10.1, 10.3, 10.5)
    records = [record(10.1001, "b"), record(10.2001, "a"), record(10.3001, "b"), record(10.4001, "a")]

    assert sent(records, first, second) == [10.1, 10.2, 10.3, 10.4]


def test_what_did_not_pass_a_link_is_tied_to_nothing() -> None:
    """A server that goes around it, or a link of which too much has been seen."""
    assert sent([record(10.0)], []) == [None]
    assert sent([record(10.0)], [], trips(10.0 + 2 * FAR)) == [None]
    assert sent([], trips(10.0)) == []
