"""While an attempt runs: is a service frozen that no check has frozen? Afterwards nothing would show it.

Asked is the engine, never the service: evidence counts what the service is asked.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable

from orchestrator.engines.base import Engine
from orchestrator.environments.specs import node_names
from orchestrator.errors import EnvironmentFault
from orchestrator.judge.postmortem import Unfit
from orchestrator.judge.seat import Seat
from orchestrator.model import State

LOOK_EVERY = 0.5
"""Seconds between looks. A shorter pause is not noticed; few servers notice it, either."""


class Vigil:
    """Looks, in a thread of its own, until ``stop``. ``ours`` says whether a check has frozen this service."""

    def __init__(self, engine: Engine, seats: Iterable[Seat], ours: Callable[[str], bool]) -> None:
        self._engine = engine
        self._seats = tuple(seats)
        self._ours = ours
        self._over = threading.Event()
        self.unfit: Unfit | None = None
        """The first service that was found frozen."""
        self._thread = threading.Thread(target=self._watch, name="labs-vigil", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The last look is over when this returns. Harmless twice."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while self.unfit is None and not self._over.wait(LOOK_EVERY):
            for seat in self._seats:
                if seat.awake and self._frozen(seat):
                    service = seat.spec.service
                    self.unfit = Unfit(service, "service-paused",
                                       f"{seat.recipe.title} was paused during the check, and not by labs")
                    seat.hurt = True
                    return

    def _frozen(self, seat: Seat) -> bool:
        service = seat.spec.service
        # Asked before and after: a check may begin or end its own fault in the middle.
        if self._ours(service):
            return False
        with contextlib.suppress(EnvironmentFault):
            nodes = [self._engine.inspect(name) for name in node_names(seat.spec)]
            return any(node is not None and node.state is State.PAUSED for node in nodes) and not self._ours(service)
        return False
