"""An engine and, beside it, a place for the services that are files: to everybody else it is one engine.

What an instance is decides who has it. Marks of kept environments are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.engines.base import Engine, EngineInfo
from orchestrator.engines.files import FileEngine
from orchestrator.model import Instance, InstanceSpec, Offer
from orchestrator.services.base import Recipe


class RoutedEngine:
    """See ``Engine``."""

    def __init__(self, engine: Engine, files: FileEngine) -> None:
        self._engine = engine
        self._files = files

    def _for(self, recipe: Recipe) -> Engine | FileEngine:
        return self._engine if recipe.port else self._files

    def _of(self, name: str) -> Engine | FileEngine:
        return self._files if self._files.holds(name) else self._engine

    def info(self) -> EngineInfo:
        """The engine's."""
        return self._engine.info()

    def offer(self, recipe: Recipe) -> Offer:
        """Of whoever would have it."""
        return self._for(recipe).offer(recipe)

    def fetch(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """By whoever would have it."""
        self._for(recipe).fetch(recipe, progress)

    def size(self, recipe: Recipe) -> int | None:
        """Of whoever would have it."""
        return self._for(recipe).size(recipe)

    def file(self, name: str, recipe: Recipe) -> str:
        """Of whoever would have it."""
        return self._for(recipe).file(name, recipe)

    def create(self, spec: InstanceSpec, recipe: Recipe) -> None:
        """By whoever it is for."""
        self._for(recipe).create(spec, recipe)

    def start(self, name: str) -> None:
        """By whoever has it."""
        self._of(name).start(name)

    def stop(self, name: str) -> None:
        """By whoever has it."""
        self._of(name).stop(name)

    def kill(self, name: str) -> None:
        """By whoever has it."""
        self._of(name).kill(name)

    def pause(self, name: str) -> None:
        """By whoever has it."""
        self._of(name).pause(name)

    def unpause(self, name: str) -> None:
        """By whoever has it."""
        self._of(name).unpause(name)

    def remove(self, name: str, *, data: bool) -> None:
        """By whoever has it."""
        self._of(name).remove(name, data=data)

    def inspect(self, name: str) -> Instance | None:
        """By whoever has it."""
        return self._of(name).inspect(name)

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> Sequence[Instance]:
        """The engine's, and the files."""
        return [*self._engine.list(user=user, installation=installation, environment=environment, lease=lease),
                *self._files.list(user=user, installation=installation, environment=environment, lease=lease)]

    def logs(self, name: str, *, tail: int | None = None, since_start: bool = False) -> str:
        """Of whoever has it."""
        return self._of(name).logs(name, tail=tail, since_start=since_start)

    def follow(self, name: str) -> Sequence[str] | None:
        """Of whoever has it."""
        return self._of(name).follow(name)

    def keep(self, environment: str, *, user: str, installation: str) -> None:
        """By the engine."""
        self._engine.keep(environment, user=user, installation=installation)

    def unkeep(self, environment: str, *, user: str, installation: str) -> None:
        """By the engine."""
        self._engine.unkeep(environment, user=user, installation=installation)

    def kept(self, *, user: str, installation: str) -> frozenset[str]:
        """The engine's."""
        return self._engine.kept(user=user, installation=installation)

    def close(self) -> None:
        """The engine's connections."""
        self._engine.close()
