"""When a start is over: what the service answers and, where its recipe says so, what its log says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.memory import MemoryEngine, MemoryRecipe

from orchestrator.environments.facade import Environments
from orchestrator.environments.readiness import wait_ready
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec, State
from orchestrator.system.home import find_home


class Talking(MemoryEngine):
    """Its services write one line more each time somebody reads their log."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines
        self.read = 0

    def logs(self, name: str, *, tail: int | None = None, since_start: bool = False) -> str:
        assert since_start or tail is not None
        self.read += 1
        return "\n".join(self.lines[:self.read])


@pytest.fixture
def spec(tmp_path: Path) -> InstanceSpec:
    """An instance that runs."""
    place = Environments(MemoryEngine(), find_home({"LABS_HOME": str(tmp_path)}),  # type: ignore[arg-type]
                         {"queue": MemoryRecipe("queue", 15672)})
    place.start("play", "play", ["queue"])
    return place.instance("play", "queue").spec


def test_a_start_is_over_when_the_log_says_so(spec: InstanceSpec) -> None:
    """A line of this start's log, anywhere in it; that it answers is not enough."""
    engine, recipe = Talking(["one", "two", "now: ready to serve"]), MemoryRecipe("queue", 15672)
    recipe.ready_log = "^now: ready"

    wait_ready(engine, recipe, spec, deadline=20)  # type: ignore[arg-type]

    assert engine.read == 3


def test_what_the_log_never_said_is_told(spec: InstanceSpec) -> None:
    """With its pattern, at the deadline."""
    engine, recipe = Talking(["one"]), MemoryRecipe("queue", 15672)
    engine.instances[spec.name] = Instance(spec, State.RUNNING)
    recipe.ready_log = "ready"

    with pytest.raises(EnvironmentFault, match="no line of its log has 'ready'"):
        wait_ready(engine, recipe, spec, deadline=0.1)  # type: ignore[arg-type]

