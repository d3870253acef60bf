"""Services of a whole run that cannot be had, do not start where they should, or cannot be emptied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.judge import supervisor
from orchestrator.judge.request import RunRequest
from orchestrator.model import Offer, Owner, Verdict, Workspace
from orchestrator.workspace.select import PlannedMilestone


def test_a_service_that_cannot_be_had_is_unjudged(world: Any) -> None:
    """The engine says what is missing and what would help; milestones that do without are judged."""
    from orchestrator.model import ServiceNeed

    world.services.append(ServiceNeed("cache", ">=1"))
    world.recipes["cache"] = type(world.recipes["notes"])("cache")
    world.engine.unavailable["cache"] = Offer("cache", available=False, missing="no cache here", remedy="labs pull")
    world.milestone("notes/one", world.RIGHT)
    world.milestone("cache/one", world.RIGHT, services=["notes", "cache"])

    one, two = world.judge().milestones

    assert one.verdict is Verdict.PASS
    assert (two.verdict, two.message) == (Verdict.UNJUDGED, "no cache here; labs pull")


def test_a_version_outside_the_labs_range_is_unjudged(world: Any) -> None:
    """What runs is not what the lab is made for: unjudged, with both named."""
    world.recipes["notes"].version = "2.0"
    world.milestone("notes/one", world.RIGHT)

    result = world.one()

    assert result.verdict is Verdict.UNJUDGED
    assert "2.0" in result.message
    assert ">=1,<2" in result.message


def test_a_port_that_somebody_took_is_another_port(world: Any) -> None:
    """The engine says that the port is taken: the next one, without a word."""
    world.engine.refuse_next = ["port-busy", "port-busy"]
    world.milestone("notes/one", world.RIGHT)

    assert world.one().verdict is Verdict.PASS
    assert len({spec.port for spec in world.engine.made}) == 3


def test_a_service_that_does_not_start_is_an_error_for_all(world: Any) -> None:
    """Not started, tried again, given up: an error each, without trying again for every milestone."""
    world.engine.refuse_next = ["engine-failed"] * 20
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", world.RIGHT)

    results = world.judge().milestones

    assert [(result.verdict, result.reason) for result in results] == [(Verdict.ERROR, "engine-failed")] * 2
    assert len(world.engine.refuse_next) == 18


def test_a_service_that_cannot_be_emptied_is_recreated(world: Any) -> None:
    """``fresh`` fails once: a new instance, and the run goes on."""
    world.recipes["notes"].broken_fresh = 1
    world.milestone("notes/one", world.RIGHT)

    assert world.one().verdict is Verdict.PASS
    assert len(world.engine.made) == 2


def test_what_cannot_be_emptied_is_not_judged_on_a_server_that_runs(world: Any, tmp_path: Path) -> None:
    """The milestones that use it are unjudged, with what helps; no service is started for them."""
    world.milestone("notes/a", "")
    attached: Any = object()
    request = RunRequest(
        world.lab(), Workspace(tmp_path / "workspace", "shop", (), world.run_argv),
        (PlannedMilestone(world.milestones[0], "asked"),), seed=1, cache=tmp_path, attached=attached)

    report = supervisor.run(request, engine=world.engine, engine_reason="", recipes=world.recipes, listener=world.heard,
                            owner=Owner("run-unit", "1", "i", "lease", 1, 1.0, "judge"), folder=tmp_path)

    (result,) = report.milestones
    assert (result.verdict, result.reason) == (Verdict.UNJUDGED, "attached")
    assert "end labs run" in result.message
    assert world.engine.made == []
