"""What a person hears while a run of checks goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.talker import Talker
from orchestrator.model import Milestone, Verdict
from orchestrator.report.result import MilestoneResult
from orchestrator.workspace.select import PlannedMilestone, Role

ROLES: dict[str, Role] = {"pg/three": "next", "pg/one": "regression", "pg/two": "regression"}


def planned(name: str, role: Role) -> PlannedMilestone:
    return PlannedMilestone(Milestone(name, name, (), (), (Path("c.py"),), Path("b.md"), (), 10.0, 1, "core"), role)


def test_the_verdict_comes_at_once_and_what_passed_before_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The milestone that is worked on is shown whole; each other one is a line with a count and the time so far."""
    shown: list[str] = []
    with Talker(lambda result: shown.append(result.id)) as talker:
        talker.on_plan([planned(name, role) for name, role in ROLES.items()])
        for name, role in ROLES.items():
            talker.on_milestone(MilestoneResult(name, "A title", Verdict.PASS, role))

    said = capsys.readouterr().err
    assert shown == ["pg/three"]
    assert talker.told == {"pg/three"}
    assert "judging pg/three first, then 2 that passed before" in said
    assert "(2 of 3, 0 s)" in said
    assert "(3 of 3, 0 s)" in said
