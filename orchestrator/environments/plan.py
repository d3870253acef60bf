"""Desired and observed -> a plan: operations with their causes. Pure: the plan can be printed, compared, tested.

The law: carry a plan out, observe again, plan again: no changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.model import Instance, InstanceSpec, State

Verb = Literal["create", "start", "unpause", "wait", "stop", "remove", "keep", "unkeep"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do. ``spec`` is there for create and wait; for keep and unkeep ``name`` is an environment."""

    verb: Verb
    service: str
    name: str
    cause: str
    spec: InstanceSpec | None = None
    data: bool = False

    def __str__(self) -> str:
        what = f"{self.verb} with its data" if self.data else self.verb
        return f"{what:<21} {self.service or 'environment':<14} {self.name}  ({self.cause})"


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """``chains`` run side by side, each in order; then ``last``, in order."""

    chains: tuple[tuple[Operation, ...], ...] = ()
    last: tuple[Operation, ...] = ()

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(operation for chain in self.chains for operation in chain) + self.last

    @property
    def changes(self) -> tuple[Operation, ...]:
        """The operations that change something: all but waits."""
        return tuple(operation for operation in self.operations if operation.verb != "wait")

    def __str__(self) -> str:
        return "\n".join(str(operation) for operation in self.operations) or "nothing to do"


def plan_start(desired: Sequence[InstanceSpec], observed: Iterable[Instance], *, kept: bool) -> EnvironmentPlan:
    """Bring every desired instance up; leave all others alone.

    A found instance keeps its credentials; the caller has put them, and its port if that is to stay, into ``desired``.
    """
    found = {instance.spec.name: instance for instance in observed}
    chains = tuple(_chain(spec, found.get(spec.name)) for spec in desired)
    environment = desired[0].owner.environment if desired else ""
    last = () if kept or not desired else (
        Operation("keep", "", environment, "everything is ready: it stays until you stop it"),
    )
    return EnvironmentPlan(chains, last)


def _chain(spec: InstanceSpec, instance: Instance | None) -> tuple[Operation, ...]:
    def operation(verb: Verb, cause: str) -> Operation:
        return Operation(verb, spec.service, spec.name, cause, spec if verb in ("create", "wait") else None)

    wait = operation("wait", "until it answers")
    if instance is None:
        return operation("create", "it is not there"), operation("start", "it is new"), wait
    if instance.state is State.MISSING:
        return operation("create", "only its data is there"), operation("start", "it is new"), wait
    cause = _why_recreate(spec, instance.spec)
    if cause:
        return (
            operation("stop", cause),
            operation("remove", cause),
            operation("create", "its data is kept"),
            operation("start", "it is new"),
            wait,
        )
    if instance.state is State.EXITED:
        return operation("start", "it is stopped"), wait
    if instance.state is State.PAUSED:
        return operation("unpause", "it is paused"), wait
    return (wait,)


def _why_recreate(wanted: InstanceSpec, found: InstanceSpec) -> str:
    if wanted.config != found.config:
        return "its settings have changed"
    if wanted.port != found.port:
        return f"port {found.port} is taken by another program"
    return ""


def plan_stop(observed: Iterable[Instance]) -> EnvironmentPlan:
    """End what runs; keep data."""
    return EnvironmentPlan(tuple(
        (Operation("stop", instance.spec.service, instance.spec.name, "you asked for it; data is kept"),)
        for instance in observed
        if instance.state in (State.RUNNING, State.PAUSED)
    ))


def plan_reset(observed: Iterable[Instance], fresh: Mapping[str, InstanceSpec]) -> EnvironmentPlan:
    """Delete data. What ran runs again, empty; ``fresh`` maps instance names to their specs from now on."""
    chains = []
    for instance in observed:
        name, service = instance.spec.name, instance.spec.service
        chain = [Operation("remove", service, name, "you asked for empty data", data=True)]
        if instance.state in (State.RUNNING, State.PAUSED):
            spec = fresh[name]
            chain += [
                Operation("create", service, name, "it ran before", spec),
                Operation("start", service, name, "it ran before"),
                Operation("wait", service, name, "until it answers", spec),
            ]
        chains.append(tuple(chain))
    return EnvironmentPlan(tuple(chains))


def plan_clean(observed: Iterable[Instance], environments: Iterable[str]) -> EnvironmentPlan:
    """Remove everything: instances, data, marks."""
    chains = tuple(
        (Operation("remove", instance.spec.service, instance.spec.name, "you asked for it", data=True),)
        for instance in observed
    )
    last = tuple(Operation("unkeep", "", environment, "nothing is left of it") for environment in environments)
    return EnvironmentPlan(chains, last)
