"""Faults done to the service itself: begun once, healed however often, and only healed when it answers again."""

from __future__ import annotations

from typing import Any, cast

import pytest

from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault
from orchestrator.faults.engine import KillFault, PauseFault, StopFault


class Recorder:
    """An engine that writes down what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda instance: self.asked.append(f"{name} {instance}")


@pytest.mark.parametrize(("kind", "begun", "healed"), [
    (StopFault, "stop", "start"), (KillFault, "kill", "start"), (PauseFault, "pause", "unpause"),
])
def test_a_fault_is_undone_and_waited_for(kind: Any, begun: str, healed: str) -> None:
    """Heal does the opposite of begin, then waits until the service answers; twice does it again, without harm."""
    engine = Recorder()
    fault = kind(cast(Engine, engine), "labs-x-redis", lambda: engine.asked.append("ready"))
    fault.begin()
    fault.heal()
    fault.heal()

    assert engine.asked == [f"{begun} labs-x-redis", *[f"{healed} labs-x-redis", "ready"] * 2]


def test_a_service_that_does_not_come_back_is_told() -> None:
    """What the wait raises reaches the caller, who makes it an error of ours and never the learner's."""
    def ready() -> None:
        raise EnvironmentFault("redis did not come back", code="not-ready")

    with pytest.raises(EnvironmentFault, match="did not come back"):
        StopFault(cast(Engine, Recorder()), "labs-x-redis", ready).heal()
