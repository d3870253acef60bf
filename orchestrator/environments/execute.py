"""Carrying out a plan. Decides nothing: every operation is one call to the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.engines.base import Engine
from orchestrator.environments.plan import EnvironmentPlan, Operation
from orchestrator.environments.readiness import wait_ready
from orchestrator.environments.specs import node_names
from orchestrator.errors import EnvironmentFault
from orchestrator.model import InstanceSpec
from orchestrator.services import recipe_of
from orchestrator.services.base import Recipe
from orchestrator.system.interrupt import Cancel


@dataclass(frozen=True, slots=True)
class Progress:
    """An operation begins (``done`` false) or has ended (``done`` true)."""

    operation: Operation
    done: bool


@dataclass(frozen=True, slots=True)
class FailedOperation:
    """An operation that could not be carried out; the rest of its chain was not tried."""

    operation: Operation
    error: EnvironmentFault


def ignore(_: Progress) -> None:
    """For callers that do not show progress."""


def execute(
    plan: EnvironmentPlan,
    *,
    engine: Engine,
    recipes: Mapping[str, Recipe],
    user: str,
    installation: str,
    on_progress: Callable[[Progress], None] = ignore,
) -> tuple[FailedOperation, ...]:
    """Run the chains side by side, then the last operations unless a chain failed. Returns what failed.

    Interrupted: what is under way comes to its end, a wait at once; nothing further is begun.
    """
    cancel = Cancel()

    def run(operation: Operation) -> None:
        cancel.look()
        on_progress(Progress(operation, done=False))
        match operation.verb:
            case "create":
                spec = _spec_of(operation)
                engine.create(spec, recipe_of(recipes, spec))
            case "start":
                engine.start(operation.name)
            case "unpause":
                engine.unpause(operation.name)
            case "wait":
                spec = _spec_of(operation)
                wait_ready(engine, recipe_of(recipes, spec), spec, nodes=node_names(spec), cancel=cancel)
            case "prepare":
                spec = _spec_of(operation)
                recipe_of(recipes, spec).prepare(spec.endpoint, spec.credentials)
            case "stop":
                engine.stop(operation.name)
            case "kill":
                engine.kill(operation.name)
            case "pause":
                engine.pause(operation.name)
            case "remove":
                engine.remove(operation.name, data=operation.data)
            case "keep":
                engine.keep(operation.name, user=user, installation=installation)
            case "unkeep":
                engine.unkeep(operation.name, user=user, installation=installation)
        on_progress(Progress(operation, done=True))

    def run_all(operations: tuple[Operation, ...]) -> FailedOperation | None:
        for operation in operations:
            try:
                run(operation)
            except EnvironmentFault as error:
                return FailedOperation(operation, error)
        return None

    failures: list[FailedOperation] = []
    if len(plan.chains) == 1:
        failures = [failure for failure in (run_all(plan.chains[0]),) if failure]
    elif plan.chains:
        with ThreadPoolExecutor(max_workers=min(8, len(plan.chains)), thread_name_prefix="labs") as pool:
            try:
                failures = [failure for failure in pool.map(run_all, plan.chains) if failure]
            except BaseException:
                cancel.ask()
                raise
    if not failures:
        failure = run_all(plan.last)
        failures = [failure] if failure else []
    return tuple(failures)


def _spec_of(operation: Operation) -> InstanceSpec:
    assert operation.spec is not None
    return operation.spec
