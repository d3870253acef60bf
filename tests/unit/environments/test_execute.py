"""Carrying out a plan, interrupted."""

from __future__ import annotations

import threading
import time

import pytest
from support.memory import MemoryEngine, MemoryRecipe

from orchestrator.environments.execute import Progress, execute
from orchestrator.environments.plan import plan_start
from orchestrator.model import Credentials, InstanceSpec, NotYet, Owner, Probe

OWNER = Owner("databases-1", "0", "here", "lease", 1, 1.0, "environment")


class NeverReady(MemoryRecipe):
    """Its service never answers."""

    def probe(self, *_: object) -> Probe:
        return NotYet("it never is")


def spec(service: str, port: int) -> InstanceSpec:
    return InstanceSpec(service, f"labs-databases-1-{service}", "databases", "databases", OWNER,
                        Credentials("a", "b", "c", "d", "e"), port, True, "c1")


def test_an_interruption_ends_every_wait() -> None:
    """One service is awaited, a minute at the most, when the work is interrupted: nothing further is begun."""
    told: list[tuple[str, str, bool]] = []
    awaited = threading.Event()

    def tell(progress: Progress) -> None:
        told.append((progress.operation.service, progress.operation.verb, progress.done))
        if told[-1] == ("queue", "wait", False):
            awaited.set()
        if progress.operation.service == "cache":
            assert awaited.wait(10)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute(plan_start([spec("cache", 2), spec("queue", 1)], [], kept=False), engine=MemoryEngine(),  # type: ignore[arg-type]
                recipes={"queue": NeverReady("queue", 1), "cache": MemoryRecipe("cache", 2)},  # type: ignore[dict-item]
                user="u", installation="i", on_progress=tell)

    assert time.monotonic() - began < 30
    assert ("queue", "prepare", False) not in told
    assert not [one for one in told if one[1] == "keep"]
