"""What is broken on purpose in one environment, as a file: replaced as a whole, and written before anything is done.

Who writes it holds the environment's lock. What is not ``done`` while nobody holds that lock was cut off in the middle.
The process in front of a service reads the file, too, and ends when it is not named in it any more.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.faults.toxics import DIRECTIONS, KINDS, Toxic
from orchestrator.system.files import read_json, write_json
from orchestrator.system.shapes import fields_of


@dataclass(frozen=True, slots=True)
class LastingFault:
    """One fault. ``until``: seconds since 1970, 0 for as long as nobody heals it; ``pid``: the command that made it."""

    id: str
    service: str
    kind: str
    direction: str
    numbers: Mapping[str, float] = field(hash=False)
    until: float
    pid: int
    done: bool = False

    @property
    def link(self) -> bool:
        """It is done to connections."""
        return KINDS[self.kind].link

    @property
    def over(self) -> bool:
        """Its time has come."""
        return 0 < self.until <= time.time()

    @property
    def seconds_left(self) -> float | None:
        return max(0.0, self.until - time.time()) if self.until else None

    @property
    def toxic(self) -> Toxic:
        """As a link understands it."""
        return Toxic(self.id, self.kind, next(one for one in DIRECTIONS if one == self.direction), self.numbers)


@dataclass(frozen=True, slots=True)
class Relay:
    """The process in front of one service: where it listens, where it leads (nowhere yet: who comes waits).

    ``control`` is the port on which it is told to look at the file. ``moving``: the service is on its way to where it
    leads; whoever finds that takes it back.
    """

    id: str
    service: str
    listen: Mapping[str, int] = field(hash=False)
    upstream: Mapping[str, int] = field(hash=False)
    control: int
    pid: int = 0
    started: float = 0.0
    moving: bool = True


@dataclass(frozen=True, slots=True)
class Breakage:
    """All of an environment on one engine. ``name`` is what a person calls it; ``waiter`` waits for ``until``."""

    environment: str
    name: str
    faults: Sequence[LastingFault] = ()
    relays: Sequence[Relay] = ()
    waiter: int = 0
    waiter_started: float = 0.0

    @property
    def until(self) -> float:
        """When the first fault's time is over; 0 if none has one."""
        return min((one.until for one in self.faults if one.until), default=0.0)

    def front(self, service: str) -> Relay | None:
        """The process in front of this service."""
        return next((one for one in self.relays if one.service == service), None)

    def of(self, service: str | None) -> list[LastingFault]:
        """The faults of this service, or all."""
        return [one for one in self.faults if service in (None, one.service)]

    def with_fault(self, fault: LastingFault) -> Breakage:
        """This one added, or in place of the one with its id."""
        return dataclasses.replace(self, faults=(*(one for one in self.faults if one.id != fault.id), fault))

    def with_front(self, relay: Relay) -> Breakage:
        """The same for the process in front of a service."""
        others = (one for one in self.relays if one.service != relay.service)
        return dataclasses.replace(self, relays=(*others, relay))

    def without(self, *faults: LastingFault) -> Breakage:
        """These are healed."""
        gone = {one.id for one in faults}
        return dataclasses.replace(self, faults=tuple(one for one in self.faults if one.id not in gone))

    def without_front(self, service: str) -> Breakage:
        """Nothing stands in front of the service, and so none of its connections has a fault."""
        return dataclasses.replace(
            self, relays=tuple(one for one in self.relays if one.service != service),
            faults=tuple(one for one in self.faults if one.service != service or not one.link))

    def waited_for(self, pid: int, started: float) -> Breakage:
        """This process waits for ``until``."""
        return dataclasses.replace(self, waiter=pid, waiter_started=started)

    def next_id(self) -> str:
        """For a new fault: the smallest number that is free."""
        taken = {one.id for one in self.faults}
        return next(str(number) for number in range(1, len(taken) + 2) if str(number) not in taken)


def write(path: Path, broken: Breakage) -> None:
    """Put it on the disk; nothing left in it: the file goes. Raises ``EnvironmentFault``."""
    if broken.faults or broken.relays:
        write_json(path, {"v": 1, "until": broken.until or 4e9, **dataclasses.asdict(broken)}, durable=True)
    else:
        path.unlink(missing_ok=True)


def read(path: Path) -> Breakage | None:
    """What the file says; ``None`` if there is none, or it is damaged: then nothing is known to be broken."""
    try:
        values = read_json(path)
        plain = fields_of(Breakage, values)
        return Breakage(**{**plain, "faults": tuple(map(_fault, _list(values, "faults"))),
                         "relays": tuple(Relay(**fields_of(Relay, one)) for one in _list(values, "relays"))})
    except ValueError:
        return None


def _list(values: Any, name: str) -> list[Any]:
    found = values.get(name)
    return found if isinstance(found, list) else []


def _fault(values: object) -> LastingFault:
    found = LastingFault(**fields_of(LastingFault, values))
    if (found.kind not in KINDS or found.direction not in ("", *DIRECTIONS) or found.link != bool(found.direction)
            or found.numbers.keys() != KINDS[found.kind].numbers.keys()):
        raise ValueError(f"fault {found.id}: unknown")
    return found
