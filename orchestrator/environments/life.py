"""The one life cycle of instances: whoever starts services, to play with or to judge on, has them brought up here.

What is to be done is decided as a plan and then carried out. A port can be taken between our look and the engine's:
then the plan is made again, with the next ports.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from orchestrator.engines.base import Engine, PortBusy
from orchestrator.environments.execute import FailedOperation, Progress, execute, ignore
from orchestrator.environments.plan import EnvironmentPlan, Operation, plan_start
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec
from orchestrator.services.base import Recipe
from orchestrator.system.ports import is_taken

PORT_TRIES = 5
Decide = Callable[[Collection[int]], EnvironmentPlan]
"""From the ports that turned out to be taken to what is to be done."""


class StartFailed(EnvironmentFault):
    """Some services could not be started; the first failure speaks, all are listed."""

    def __init__(self, failures: Sequence[FailedOperation]) -> None:
        first = failures[0].error
        super().__init__(first.message, code=first.code, hint=first.hint, details=first.details)
        self.failures = tuple(failures)


class Life:
    """Brings instances of one owner up on one engine, and ends them."""

    def __init__(self, engine: Engine, recipes: Mapping[str, Recipe], *, user: str, installation: str) -> None:
        self._engine = engine
        self._recipes = recipes
        self._user = user
        self._installation = installation

    def carry_out(self, plan: EnvironmentPlan, on_progress: Callable[[Progress], None] = ignore) -> None:
        """Do it. Raises ``StartFailed``."""
        failures = self._execute(plan, on_progress)
        if failures:
            raise StartFailed(failures)

    def bring_up(self, decide: Decide, *, before: Collection[str] = (),
                 on_progress: Callable[[Progress], None] = ignore) -> EnvironmentPlan:
        """Decide, do it, and decide again while ports turn out to be taken. Returns the plan that was made first.

        Raises ``StartFailed``: then of a service that did not come up nothing is left that is not in ``before``, the
        names of what was there.
        """
        busy: set[int] = set()
        first = plan = decide(busy)
        failures = self._execute(plan, on_progress)
        for _ in range(PORT_TRIES - 1):
            lost = {port for failure in failures if failure.error.code == "port-busy" for port in _lost(plan, failure)}
            if not lost:
                break
            busy |= lost
            again = decide(busy)
            if again == plan:
                break
            plan = again
            failures = self._execute(plan, on_progress)
        if failures:
            self._remove_new(plan, {failure.operation.service for failure in failures}, before)
            raise StartFailed(failures)
        return first

    def resume(self, instances: Sequence[Instance]) -> None:
        """Start again what is stopped or paused, as it is, and wait until all of it answers. Raises ``StartFailed``."""
        plan = plan_start([one.spec for one in instances], instances, kept=True)
        self.bring_up(lambda _: plan, before=[one.spec.name for one in instances])

    def _execute(self, plan: EnvironmentPlan, on_progress: Callable[[Progress], None]) -> tuple[FailedOperation, ...]:
        return execute(plan, engine=self._engine, recipes=self._recipes, user=self._user,
                       installation=self._installation, on_progress=on_progress)

    def _remove_new(self, plan: EnvironmentPlan, services: Collection[str], before: Collection[str]) -> None:
        for operation in plan.operations:
            if operation.verb == "create" and operation.service in services and operation.name not in before:
                self._engine.remove(operation.name, data=True)


def _lost(plan: EnvironmentPlan, failure: FailedOperation) -> frozenset[int]:
    """Which ports somebody else has: the one that the engine names, else those that are taken, else all of them."""
    if isinstance(failure.error, PortBusy) and failure.error.port:
        return frozenset({failure.error.port})
    spec = failure.operation.spec or _spec_of(plan, failure.operation)
    ports = frozenset() if spec is None else frozenset(spec.ports.values())
    return frozenset(port for port in ports if is_taken(port)) or ports


def _spec_of(plan: EnvironmentPlan, operation: Operation) -> InstanceSpec | None:
    return next((one.spec for one in plan.operations if one.name == operation.name and one.spec is not None), None)
