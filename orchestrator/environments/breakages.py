"""What is broken on purpose in environments, as it is noted, and the processes in front of their services."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from orchestrator.faults import record, relay
from orchestrator.faults.record import Breakage, LastingFault
from orchestrator.ownership import waiter
from orchestrator.system.home import Home


class Breakages:
    """Of all environments on one engine. Who changes something holds the environment's lock."""

    def __init__(self, home: Home, engine: str) -> None:
        self._folder = home.faults
        self._engine = hashlib.sha256(engine.encode()).hexdigest()[:8]

    def path(self, environment: str) -> Path:
        """The file of this environment."""
        return self._folder / f"{environment}.{self._engine}.json"

    def all(self) -> list[Breakage]:
        """Of every environment in which something is broken, or was."""
        found = (record.read(path) for path in sorted(self._folder.glob(f"*.{self._engine}.json")))
        return [one for one in found if one is not None]

    def read(self, environment: str) -> Breakage | None:
        """Of this environment; ``None``: nobody has broken anything."""
        return record.read(self.path(environment))

    def write(self, broken: Breakage) -> None:
        """From now on this is what is broken."""
        record.write(self.path(broken.environment), broken)

    def faults(self, environment: str) -> list[LastingFault]:
        """Those that are in effect."""
        broken = self.read(environment)
        return [] if broken is None else [one for one in broken.faults if one.done and not one.over]

    def stands(self, environment: str, service: str) -> bool:
        """Whether a process stands in front of this service, or is to."""
        broken = self.read(environment)
        found = broken.front(service) if broken is not None else None
        return found is not None and not found.moving

    def begin(self, broken: Breakage, service: str, listen: Mapping[str, int], upstream: Mapping[str, int]) -> Breakage:
        """Put a process in front of the service; see ``relay.begin``."""
        return relay.begin(self.path(broken.environment), broken, service, listen, upstream)

    def remove(self, broken: Breakage, service: str) -> Breakage:
        """The process in front of the service ends, then it is forgotten, with the faults of its connections."""
        found = broken.front(service)
        if found is not None:
            relay.end(found)
            broken = broken.without_front(service)
            self.write(broken)
        return broken

    def forget(self, environment: str, service: str | None = None) -> None:
        """Nothing of the service, or of the whole environment, is broken any more, and nothing stands in front of it.

        The services themselves are the caller's.
        """
        broken = self.read(environment)
        if broken is None:
            self.path(environment).unlink(missing_ok=True)  # a damaged one
            return
        for one in broken.relays:
            if service in (None, one.service):
                broken = self.remove(broken, one.service)
        self.write(self.wait(broken.without(*broken.of(service))))

    def wait(self, broken: Breakage) -> Breakage:
        """Somebody waits for the moment when the first fault's time is over, and for no other."""
        waiter.end(broken.waiter, broken.waiter_started)
        if not broken.until:
            return broken.waited_for(0, 0.0)
        self.write(broken)
        return broken.waited_for(*waiter.ensure(self.path(broken.environment), 0, 0.0))
