"""What makes a service unfit as a witness."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.environments import readiness
from orchestrator.judge.postmortem import Incarnation, examine, observe
from orchestrator.model import Endpoint, Instance, InstanceSpec, NotYet, Probe, Ready, State

SPEC: Any = InstanceSpec("notes", "labs-x-notes", "", "shop", None, None, 5000, False, "")  # type: ignore[arg-type]
LINK = Endpoint(6000)


class Engine:
    def __init__(self, instance: Instance | None) -> None:
        self.instance = instance

    def inspect(self, name: str) -> Instance | None:
        return self.instance


class Recipe:
    title = "Notes"

    def __init__(self, run: str | Exception = "run-1", silent: Callable[[Endpoint], bool] = lambda _: False,
                 silent_for: float = 0.0) -> None:
        self.run = run
        self.silent = silent
        self.silent_for = silent_for

    def probe(self, endpoint: Endpoint, credentials: Any) -> Probe:
        return NotYet("nobody there") if self.silent(endpoint) else Ready()

    def incarnation(self, endpoint: Endpoint, credentials: Any) -> str:
        if isinstance(self.run, Exception):
            raise self.run
        return self.run


RUNNING = Instance(SPEC, State.RUNNING, incarnation="start-1")
INCARNATION = Incarnation("start-1", "run-1")


def look(instance: Instance | None = RUNNING, recipe: Any = None,
         incarnation: Incarnation | None = INCARNATION) -> str:
    engine: Any = Engine(instance)
    found = examine(engine, recipe or Recipe(), SPEC, incarnation, LINK, patience=0.1)
    assert found is None or found.message.startswith("Notes ")
    return found.reason if found else ""


def test_a_service_that_is_as_we_started_it_is_a_witness() -> None:
    """Running, same incarnation in both words, answering on both ways: nothing found."""
    assert look() == ""


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        (None, "service-gone"),
        (Instance(SPEC, State.EXITED, 137, incarnation="start-1"), "service-died"),
        (Instance(SPEC, State.EXITED, 137, oom=True, incarnation="start-1"), "service-oom"),
        (Instance(SPEC, State.RUNNING, oom=True, incarnation="start-1"), "service-oom"),
        (Instance(SPEC, State.PAUSED, incarnation="start-1"), "service-died"),
        (Instance(SPEC, State.RUNNING, incarnation="start-2"), "service-restarted"),
    ],
)
def test_the_engines_word(instance: Instance | None, reason: str) -> None:
    """Gone, ended, out of memory, paused, started by somebody else: each is found."""
    assert look(instance) == reason


def test_the_services_own_word() -> None:
    """The engine saw no restart, the service did (or cannot say): found."""
    assert look(recipe=Recipe("run-2")) == "service-crashed"
    assert look(recipe=Recipe(ConnectionError("gone"))) == "service-silent"
    assert look(recipe=Recipe(ValueError("a driver's own error"))) == "service-silent"


def test_a_service_that_the_learners_server_keeps_busy_is_itself() -> None:
    """A script that has written and never ends lets nobody ask Redis which run it is: the engine knows. At first it
    answers nothing at all, for longer than a service in order needs."""
    assert look(recipe=Recipe("")) == ""

    end = time.monotonic() + 0.3
    assert look(recipe=Recipe(silent=lambda _: time.monotonic() < end, silent_for=5.0)) == ""


def test_a_service_that_never_came_back_from_a_fault() -> None:
    """Without an incarnation nobody knows which run is the right one."""
    assert look(incarnation=None) == "service-lost"


def test_silence_is_found_and_told_apart_from_a_broken_link() -> None:
    """The service must answer, and it must answer through our proxy."""
    assert look(recipe=Recipe(silent=lambda endpoint: endpoint.port == SPEC.port)) == "service-silent"
    assert look(recipe=Recipe(silent=lambda endpoint: endpoint == LINK)) == "link-broken"


def test_a_busy_service_gets_time_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is still putting away what the target left is not lost."""
    asked: list[Endpoint] = []

    def silent(endpoint: Endpoint) -> bool:
        asked.append(endpoint)
        return len(asked) < 3

    monkeypatch.setattr(readiness, "PROBE_EVERY", 0.001)

    assert look(recipe=Recipe(silent=silent)) == ""


def test_observing_a_service_that_is_down_raises() -> None:
    """No incarnation of a service that does not run."""
    engine: Any = Engine(Instance(SPEC, State.EXITED))
    recipe: Any = Recipe()

    with pytest.raises(ConnectionError):
        observe(engine, recipe, SPEC)
