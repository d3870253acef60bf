"""Who plays a role in a milestone, and what a server finds in its variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.catalog.labs import on_service
from orchestrator.errors import UsageError
from orchestrator.model import Lab, Milestone, Role, ServerContract, Track
from orchestrator.roles import addresses, players, stand_ins


def milestone(milestone_id: str, *services: str) -> Milestone:
    return Milestone(milestone_id, "", (), services, (Path("c.py"),), Path("b.md"), (), 10.0, 1, "core")


ALONE, HERE, THERE, BESIDE = (milestone("pg/alone", "pg"), milestone("pg/sale", "pg", "cache"),
                              milestone("my/sale", "my", "cache"), milestone("cache/hold", "cache"))
LAB = Lab("shop", "Shop", "", "shop", "1", Path(), (), ServerContract({}, 5, 5),
          (Track("pg", "", ""), Track("my", "", ""), Track("cache", "", "")), (ALONE, HERE, THERE, BESIDE),
          (Role("sales", ("pg", "my"), "DATABASE_URL"),))


def test_the_first_that_a_milestone_lists_plays_the_role() -> None:
    assert [players(LAB, one)["sales"] for one in LAB.milestones] == ["pg", "pg", "my", "pg"]
    assert addresses(LAB, THERE) == {"DATABASE_URL": "my"}
    assert stand_ins(LAB) == {"my"}


def test_the_same_milestones_on_another_service() -> None:
    """By a track, by one milestone, by all; what there is not there is left out."""
    assert on_service(LAB, (ALONE, HERE), "my") == on_service(LAB, (HERE,), "my") == (THERE,)
    assert on_service(LAB, LAB.milestones, "my") == (THERE,)
    assert on_service(LAB, (THERE,), "my") == (THERE,)


@pytest.mark.parametrize(("chosen", "service", "words"), [
    ((ALONE,), "my", "none of pg/alone is judged on my"),
    ((BESIDE,), "my", "none of cache/hold is judged on my"),
    ((HERE,), "pg", "no milestones on 'pg' in another service's place"),
    ((HERE,), "mi", "did you mean my?"),
])
def test_what_there_is_not_is_said(chosen: tuple[Milestone, ...], service: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        on_service(LAB, chosen, service)
