"""Faults done to a service itself, by its engine: values with ``begin`` and ``heal``; healing twice is harmless."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.engines.base import Engine


@dataclass(frozen=True, slots=True)
class StopFault:
    """The service ends in good order, and is started again."""

    engine: Engine
    name: str
    ready: Callable[[], None]
    """Waits until the service answers again."""

    def begin(self) -> None:
        self.engine.stop(self.name)

    def heal(self) -> None:
        self.engine.start(self.name)
        self.ready()


@dataclass(frozen=True, slots=True)
class KillFault:
    """The service is killed (SIGKILL), and is started again on what it left on disk."""

    engine: Engine
    name: str
    ready: Callable[[], None]

    def begin(self) -> None:
        self.engine.kill(self.name)

    def heal(self) -> None:
        self.engine.start(self.name)
        self.ready()


@dataclass(frozen=True, slots=True)
class PauseFault:
    """The service freezes: connections stay open and nothing answers, until it goes on."""

    engine: Engine
    name: str
    ready: Callable[[], None]

    def begin(self) -> None:
        self.engine.pause(self.name)

    def heal(self) -> None:
        self.engine.unpause(self.name)
        self.ready()
