"""Faults of an environment's services: begun, healed, and put right after whoever was killed.

Every fault is written down before it is done (``faults/record``), by who holds the environment's lock. So what is not
``done`` while that lock is free was cut off; ``mend`` puts it right, at the beginning of every command.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.environments.facade import Environments, environment_id
from orchestrator.errors import EnvironmentBusy, EnvironmentFault, UsageError
from orchestrator.faults import relay
from orchestrator.faults.record import Breakage, LastingFault, Relay
from orchestrator.faults.toxics import Kind
from orchestrator.model import Instance, State
from orchestrator.ownership import leases
from orchestrator.system.home import Home

SETTLE = 0.5
"""Seconds in which what a killed command asked an engine for can still take effect."""
VERBS: Mapping[str, Literal["stop", "kill", "pause"]] = {
    "pause": "pause", "kill": "kill", "stop": "stop", "restart": "stop"}
"""What is done to a service for one of the engine's faults."""
STATES = {"pause": State.PAUSED, "kill": State.EXITED, "stop": State.EXITED}
"""What a service is while it has one of the engine's faults."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was done. ``moved``: the service was started anew, to make room for the process in front of it."""

    faults: Sequence[LastingFault]
    moved: bool


class OwnFaults:
    """Faults of all environments of this user and installation on one engine."""

    def __init__(self, environments: Environments, home: Home) -> None:
        self._environments = environments
        self._home = home
        self._breakages = environments.breakages

    def active(self, name: str) -> list[LastingFault]:
        """Those of one environment."""
        return self._breakages.faults(environment_id(name, self._home))

    # --- breaking --------------------------------------------------------------------------------------------

    def add(self, name: str, service: str, kind: Kind, directions: Sequence[str], numbers: Mapping[str, float],
            seconds: float | None, *, on_move: Callable[[], None] = lambda: None) -> Begun:
        """Begin a fault, one for each direction. ``on_move``: before the service is started anew.

        Raises ``EnvironmentFault``: ``not-started``, ``unsupported``, ``fault-there``, ``port-busy``.
        """
        environment = environment_id(name, self._home)
        with leases.lock(self._home, environment):
            nodes = self._environments.nodes(name, service)
            broken = self._breakages.read(environment) or Breakage(environment, name)
            self._refuse(nodes, kind, broken.of(service))
            moved = kind.link and broken.front(service) is None
            if moved:
                on_move()
                broken = self._put_front(broken, name, service, nodes[0])
            until = time.time() + seconds if seconds else 0.0
            made: list[LastingFault] = []
            for direction in directions if kind.link else ("",):
                fault = LastingFault(broken.next_id(), service, kind.name, direction, dict(numbers), until, os.getpid())
                broken = broken.with_fault(fault)
                made.append(fault)
            self._breakages.write(broken)
            self._do(broken, name, service, kind)
            done = [replace(fault, done=True) for fault in made]
            for fault in done:
                broken = broken.without(fault) if kind.name == "restart" else broken.with_fault(fault)
            self._breakages.write(self._breakages.wait(broken) if seconds else broken)
            return Begun(done, moved)

    def _do(self, broken: Breakage, name: str, service: str, kind: Kind) -> None:
        if kind.link:
            relay.ask(_there(broken, service))
            return
        self._environments.disturb(name, service, VERBS[kind.name])
        if kind.name == "restart":
            self._environments.resume(name, service)

    def _refuse(self, nodes: Sequence[Instance], kind: Kind, there: Sequence[LastingFault]) -> None:
        spec = nodes[0].spec
        other = next((one for one in there if not one.link), None)
        if other is not None:
            raise EnvironmentFault(f"{spec.service} has a fault already that must be healed first: {other.kind}",
                                   code="fault-there", hint=f"labs fault rm {other.id}")
        if spec.file:
            raise EnvironmentFault(f"{spec.service} is a file: there is no process to break and no connection",
                                   code="unsupported", hint="labs fault list")
        if kind.link and len(nodes) > 1:
            raise EnvironmentFault(f"{spec.service} has {len(nodes)} nodes, which know each other by their ports: "
                                   "its connections cannot be led elsewhere", code="unsupported",
                                   hint=f"labs fault add {spec.service} pause")
        if any(one.state is not State.RUNNING for one in nodes):
            raise EnvironmentFault(f"{spec.service} does not run", code="not-started",
                                   hint=f"labs start {spec.lab} {spec.service}")

    def _put_front(self, broken: Breakage, name: str, service: str, instance: Instance) -> Breakage:
        """The service moves to other ports, and a process listens where it did. Whoever connects meanwhile waits.

        Noted first, so that whatever happens the next command brings it home. Failed, it is brought home here.
        """
        listen = dict(instance.spec.ports)
        broken = broken.with_front(relay.planned(service, listen))
        self._breakages.write(broken)
        try:
            self._environments.make_way(name, service)
            broken = self._breakages.begin(broken, service, listen, {})
            spec = self._environments.move(name, service, listen)
        except EnvironmentFault:
            self._breakages.remove(broken, service)
            self._environments.bring_home(name, service)
            raise
        broken = broken.with_front(replace(_there(broken, service), upstream=dict(spec.ports), moving=False))
        self._breakages.write(broken)
        relay.ask(_there(broken, service))
        return broken

    # --- healing ---------------------------------------------------------------------------------------------

    def heal(self, name: str, ids: Sequence[str] | None = None, service: str | None = None) -> list[LastingFault]:
        """End these faults, or all of the service, or of the environment. ``UsageError("unknown-fault")``."""
        environment = environment_id(name, self._home)
        with leases.lock(self._home, environment):
            broken = self._breakages.read(environment)
            there = [] if broken is None else broken.of(service)
            for one in ids or ():
                if one not in {fault.id for fault in there}:
                    raise UsageError(f"{name} has no fault {one}", code="unknown-fault", hint="labs fault list")
            healed = [fault for fault in there if ids is None or fault.id in ids]
            if broken is not None:
                self._heal(broken, healed)
            return healed

    def _heal(self, broken: Breakage, faults: Sequence[LastingFault]) -> Breakage:
        """The service first, then the note: cut off between, the next command does it once more."""
        for service in dict.fromkeys(one.service for one in faults if not one.link):
            self._environments.resume(broken.name, service)
        healed = broken.without(*faults)
        if faults:
            healed = self._breakages.wait(healed) if broken.until else healed
            self._breakages.write(healed)
        for service in dict.fromkeys(one.service for one in faults if one.link):
            if (found := healed.front(service)) is not None and not found.moving:
                relay.ask(found)
        return healed

    # --- after somebody was killed ---------------------------------------------------------------------------

    def mend(self, *, on_healed: Callable[[str], None] = lambda _: None,
             on_trouble: Callable[[EnvironmentFault], None] = lambda _: None) -> None:
        """Put right what a killed command, process or service left, and end what has had its time. In all environments.

        Where nobody ever broke anything this looks into one folder.
        """
        for broken in self._breakages.all():
            try:
                with leases.lock(self._home, broken.environment, wait=0):
                    now = self._breakages.read(broken.environment)
                    if now is not None:
                        self._mend(now, on_healed)
            except EnvironmentBusy:
                continue  # whoever works there does it, or has just done it
            except EnvironmentFault as error:
                on_trouble(error)

    def _mend(self, broken: Breakage, on_healed: Callable[[str], None]) -> None:
        there = {one.spec.service: one for one in self._environments.instances(broken.name)}
        for stands in broken.relays:
            service = stands.service
            if service not in there:
                broken = self._breakages.remove(broken, service)
            elif stands.moving:
                on_healed(f"{service} is back where it was: a command that was to break it was killed")
                broken = self._unmove(broken, service)
            elif not relay.alive(stands):
                on_healed(f"the process in front of {service} had ended: the faults of its connections are over")
                broken = self._stand_again(broken, service, there[service])
        gone = [one for one in broken.faults if one.service not in there]
        cut = [one for one in broken.faults if one not in gone and not one.done]
        over = [one for one in broken.faults if one not in gone and one.done and one.over]
        ended = [one for one in broken.faults if one.done and one not in (*gone, *over)
                 and not one.link and there[one.service].state is not STATES[one.kind]]
        for one in (*cut, *over, *ended):
            on_healed(f"{one.service}: {one.kind} is over")
        self._settle(broken, cut)
        broken = self._heal(broken, [*cut, *over, *ended])
        if gone:
            self._breakages.write(broken := broken.without(*gone))
        for service in {one.service for one in broken.faults if one.link}:
            if there[service].state is State.EXITED and all(one.link for one in broken.of(service)):
                on_healed(f"{service} had ended: it is started again")
                self._environments.resume(broken.name, service)

    def _settle(self, broken: Breakage, cut: Sequence[LastingFault]) -> None:
        """What a killed command asked the engine for may come only now: brought back, and soon after once more."""
        services = dict.fromkeys(one.service for one in cut if not one.link)
        for service in services:
            self._environments.resume(broken.name, service)
        if services:
            time.sleep(SETTLE)

    def _unmove(self, broken: Breakage, service: str) -> Breakage:
        """The service first, then the note. What listens where it is to be ends before."""
        relay.end(_there(broken, service))
        self._environments.bring_home(broken.name, service)
        broken = broken.without_front(service)
        self._breakages.write(broken)
        return broken

    def _stand_again(self, broken: Breakage, service: str, instance: Instance) -> Breakage:
        """A new process in front of it, without faults; of a service that does not run: nothing, it starts at home."""
        old = _there(broken, service)
        broken = self._breakages.remove(broken, service)
        if instance.state in (State.EXITED, State.MISSING):
            return broken
        try:
            return self._breakages.begin(broken, service, old.listen, old.upstream)
        except EnvironmentFault:
            self._environments.bring_home(broken.name, service)
            return self._breakages.read(broken.environment) or broken.without_front(service)


def _there(broken: Breakage, service: str) -> Relay:
    found = broken.front(service)
    assert found is not None
    return found
