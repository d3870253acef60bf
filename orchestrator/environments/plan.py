"""Desired and observed -> a plan: operations with their causes. Pure: the plan can be printed, compared, tested.

The law: carry a plan out, observe again, plan again: no changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.model import Instance, InstanceSpec, State

Verb = Literal["create", "start", "unpause", "wait", "prepare", "stop", "kill", "pause", "remove", "keep", "unkeep"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do. ``spec`` is there where something is to run; for keep and unkeep ``name`` is an environment.

    A service's nodes are awaited and prepared together: those operations carry the first one's spec.
    """

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
        """The operations that change something: all but waits and preparing, which is harmless twice."""
        return tuple(operation for operation in self.operations if operation.verb not in ("wait", "prepare"))

    def __str__(self) -> str:
        return "\n".join(str(operation) for operation in self.operations) or "nothing to do"


def plan_start(desired: Sequence[InstanceSpec], observed: Iterable[Instance], *, kept: bool) -> EnvironmentPlan:
    """Bring every desired instance up; leave all others alone. The nodes of one service are one chain.

    A found instance keeps its credentials; the caller has put them, and its ports if they are to stay, into
    ``desired``.
    """
    found = {instance.spec.name: instance for instance in observed}
    chains = tuple(_chain(nodes, found) for nodes in _services(desired))
    environment = desired[0].owner.environment if desired else ""
    last = () if kept or not desired else (
        Operation("keep", "", environment, "everything is ready: it stays until you stop it"),
    )
    return EnvironmentPlan(chains, last)


def plan_anew(nodes: Sequence[InstanceSpec], observed: Iterable[Instance], cause: str) -> EnvironmentPlan:
    """One service made anew, whatever is there of it; who uses it prepares it."""
    removed = tuple(Operation("remove", one.spec.service, one.spec.name, cause, data=True) for one in observed)
    return EnvironmentPlan((removed + _made(nodes, cause) + (_wait(nodes[0]),),))


def _services(specs: Iterable[InstanceSpec]) -> list[list[InstanceSpec]]:
    """The nodes of each service, in their order."""
    found: dict[str, list[InstanceSpec]] = {}
    for spec in specs:
        found.setdefault(spec.service, []).append(spec)
    return [sorted(nodes, key=lambda spec: spec.node) for nodes in found.values()]


def _chain(nodes: Sequence[InstanceSpec], found: Mapping[str, Instance]) -> tuple[Operation, ...]:
    """First what must go, then what must be made, then what must run: nodes of one service look for each other."""
    steps = [_node(spec, found.get(spec.name)) for spec in nodes]
    ordered = tuple(operation for phase in _PHASES for operations in steps for operation in operations
                    if operation.verb in phase)
    return (*ordered, _wait(nodes[0]), Operation("prepare", nodes[0].service, nodes[0].name, "for your server",
                                                 nodes[0]))


_PHASES: tuple[tuple[Verb, ...], ...] = (("stop", "remove"), ("create",), ("start", "unpause"))


def _wait(first: InstanceSpec) -> Operation:
    return Operation("wait", first.service, first.name, "until it answers", first)


def _made(nodes: Sequence[InstanceSpec], cause: str) -> tuple[Operation, ...]:
    return (*(Operation("create", spec.service, spec.name, cause, spec) for spec in nodes),
            *(Operation("start", spec.service, spec.name, cause, spec) for spec in nodes))


def _node(spec: InstanceSpec, instance: Instance | None) -> tuple[Operation, ...]:
    def operation(verb: Verb, cause: str) -> Operation:
        return Operation(verb, spec.service, spec.name, cause, spec if verb in ("create", "start", "unpause") else None)

    if instance is None:
        return operation("create", "it is not there"), operation("start", "it is new")
    if instance.state is State.MISSING:
        return operation("create", "only its data is there"), operation("start", "it is new")
    cause = _why_recreate(spec, instance.spec)
    if cause:
        return (
            operation("stop", cause),
            operation("remove", cause),
            operation("create", "its data is kept"),
            operation("start", "it is new"),
        )
    if instance.state is State.EXITED:
        return (operation("start", "it is stopped"),)
    if instance.state is State.PAUSED:
        return (operation("unpause", "it is paused"),)
    return ()


def _why_recreate(wanted: InstanceSpec, found: InstanceSpec) -> str:
    if wanted.config != found.config:
        return "its settings have changed"
    if wanted.links != found.links and wanted.owner.purpose == "environment":
        return "a link stands in front of it now" if wanted.links else "no link stands in front of it any more"
    if wanted.port != found.port:
        return f"port {found.port} is taken by another program"
    for name, port in found.more_ports.items():
        if wanted.more_ports.get(name) != port:
            return f"port {port} ({name}) is taken by another program"
    if wanted.node_ports != found.node_ports:
        return "another node of it has a new port"
    return "it has more ports now" if wanted.more_ports != found.more_ports else ""


def plan_stop(observed: Iterable[Instance]) -> EnvironmentPlan:
    """End what runs; keep data."""
    return EnvironmentPlan(tuple(
        (Operation("stop", instance.spec.service, instance.spec.name, "you asked for it; data is kept"),)
        for instance in observed
        if instance.state in (State.RUNNING, State.PAUSED)
    ))


def plan_break(observed: Iterable[Instance], verb: Literal["stop", "kill", "pause"]) -> EnvironmentPlan:
    """A fault of what runs: it is to be brought back."""
    return EnvironmentPlan(tuple((Operation(verb, one.spec.service, one.spec.name, "a fault that you asked for"),)
                                 for one in observed if one.state is State.RUNNING))


def plan_reset(observed: Iterable[Instance], fresh: Mapping[str, InstanceSpec]) -> EnvironmentPlan:
    """Delete data. What ran runs again, empty; ``fresh`` maps instance names to their specs from now on."""
    found = {instance.spec.name: instance for instance in observed}
    chains = []
    for nodes in _services(instance.spec for instance in found.values()):
        chain = [Operation("remove", one.service, one.name, "you asked for empty data", data=True) for one in nodes]
        if any(found[one.name].state in (State.RUNNING, State.PAUSED) for one in nodes):
            again = [fresh[one.name] for one in nodes]
            chain += [*_made(again, "it ran before"), _wait(again[0]),
                      Operation("prepare", again[0].service, again[0].name, "for your server", again[0])]
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
