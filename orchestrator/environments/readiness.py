"""Waiting until a service does what the learner's server will ask of it, or is dead, or the deadline is over."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Dead, Endpoint, Instance, InstanceSpec, NotYet, Probe, Ready, State
from orchestrator.services.base import Recipe
from orchestrator.system.interrupt import NEVER, Cancel

PROBE_EVERY = 0.015
INSPECT_EVERY = 0.25
LOG_LINES = 20
PATIENCE = 3.0
"""Seconds in which a service that runs must answer: on a busy machine one try may be too late."""


def answer_within(recipe: Recipe, endpoint: Endpoint, credentials: Credentials, patience: float = PATIENCE) -> Probe:
    """What a service that is said to run answers: the first ``Ready`` or ``Dead``, or what came last in ``patience``
    seconds. At least one try is made."""
    end = time.monotonic() + patience
    while isinstance(answer := recipe.probe(endpoint, credentials), NotYet) and time.monotonic() < end:
        time.sleep(PROBE_EVERY)
    return answer


def wait_ready(engine: Engine, recipe: Recipe, spec: InstanceSpec, *, nodes: Sequence[str] = (),
               deadline: float = 60.0, cancel: Cancel = NEVER) -> None:
    """Probe until ready. ``nodes``: the names of all instances of the service; ``deadline`` in seconds from now;
    ``cancel``: by which another thread ends the wait.

    Raises ``EnvironmentFault``: ``service-died`` as soon as the engine says that one of them exited (its exit code,
    last lines and known advice), ``not-ready`` at the deadline with what the probe said last.
    """
    end = time.monotonic() + deadline
    next_inspection = time.monotonic() + INSPECT_EVERY
    last = "no answer yet"
    while True:
        match _probe(engine, recipe, spec):
            case Ready():
                return
            case Dead(why):
                raise _died(engine, recipe, spec.name, engine.inspect(spec.name), why)
            case NotYet(why):
                last = why
        now = time.monotonic()
        if now >= next_inspection:
            next_inspection = now + INSPECT_EVERY
            for name in nodes or (spec.name,):
                instance = engine.inspect(name)
                if instance is None or instance.state in (State.EXITED, State.MISSING):
                    raise _died(engine, recipe, name, instance, last)
        if now >= end:
            log = engine.logs(spec.name, tail=LOG_LINES)
            raise EnvironmentFault(
                f"{recipe.title} was not ready after {deadline:.0f} s; it said last: {last}",
                code="not-ready",
                hint=recipe.advice(None, log) or f"labs logs {spec.service}",
                details=log.splitlines(),
            )
        cancel.look()
        time.sleep(PROBE_EVERY)


def _probe(engine: Engine, recipe: Recipe, spec: InstanceSpec) -> Probe:
    """What the service answers; and where its recipe says so, whether its log says that the start is over."""
    answer = recipe.probe(spec.endpoint, spec.credentials)
    if not recipe.ready_log or not isinstance(answer, Ready):
        return answer
    if re.search(recipe.ready_log, engine.logs(spec.name, since_start=True), re.MULTILINE):
        return answer
    return NotYet(f"no line of its log has {recipe.ready_log!r}")


def _died(
    engine: Engine, recipe: Recipe, name: str, instance: Instance | None, why: str
) -> EnvironmentFault:
    log = engine.logs(name, tail=LOG_LINES)
    code = instance.exit_code if instance else None
    if instance is not None and instance.oom:
        return EnvironmentFault(
            f"{recipe.title} used more memory than its limit and was ended",
            code="service-oom",
            hint="close other programs, then run the command again",
            details=log.splitlines(),
        )
    status = "is gone" if instance is None else f"ended with exit code {code}"
    return EnvironmentFault(
        f"{recipe.title} {status} while starting ({why})",
        code="service-died",
        hint=recipe.advice(code, log) or "labs doctor",
        details=log.splitlines(),
    )
