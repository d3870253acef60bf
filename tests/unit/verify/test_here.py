"""What of a lab can be proved where a service is missing."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.catalog.labs import find_lab
from orchestrator.errors import EnvironmentFault
from orchestrator.verify.here import provable

LAB = find_lab("databases")
ALL = tuple(one.id for one in LAB.milestones)


def test_milestones_of_a_missing_service_are_left_out_and_said() -> None:
    """The rest is proved as ever."""
    lab, out = provable(LAB, ALL, {"mongodb": "no wheel here"})

    assert "mongodb/votes" in out
    assert set(out) == {one.id for one in LAB.milestones if "mongodb" in one.services}
    assert set(out.values()) == {"no wheel here"}
    assert {one.id for one in lab.milestones} == set(ALL) - set(out)
    assert provable(LAB, ALL, {}) == (LAB, {})


def test_what_needs_one_that_is_left_out_is_left_out_too() -> None:
    """Also where it does not use the service itself; what was not asked for is not named."""
    later = dataclasses.replace(LAB.milestone("sqlite/tickets"), needs=("mongodb/pages",))
    lab = dataclasses.replace(LAB, milestones=tuple(later if one.id == later.id else one for one in LAB.milestones))
    here, out = provable(lab, ["sqlite/tickets", "redis/hold"], {"mongodb": "no wheel here"})

    assert out == {"sqlite/tickets": "it needs mongodb/pages"}
    assert not {one.id for one in here.milestones if one.track in ("mongodb", "sqlite")}


def test_nothing_left_is_an_error() -> None:
    """A proof of nothing holds nothing."""
    with pytest.raises(EnvironmentFault, match="gone") as said:
        provable(LAB, ["sqlite/wal"], {"sqlite": "gone"})
    assert said.value.code == "no-service"
