"""What is started, on whichever engine: the commands that act on it need not be told where it was started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.environments.failed import newest_failed
from orchestrator.model import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.model import Instance
    from orchestrator.services.base import Recipe


@dataclass(frozen=True, slots=True)
class Started:
    """One toolbox for each engine that is looked at, the one that is chosen for new things first."""

    toolboxes: tuple[Toolbox, ...]

    @property
    def chosen(self) -> Toolbox:
        """Where something new would be started."""
        return self.toolboxes[0]

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        """The same on each engine."""
        return self.chosen.recipes

    def instances(self, name: str | None = None) -> list[Instance]:
        """Those of one environment, or of all, engine by engine."""
        return [one for toolbox in self.toolboxes for one in toolbox.environments.instances(name)]

    def names(self) -> list[str]:
        """Every environment once."""
        return list(dict.fromkeys(one.spec.name_given for one in self.instances()))

    def where(self, name: str, service: str | None = None) -> Toolbox:
        """The engine that has this environment, or this service of it; else the chosen one.

        Two engines may each have an environment of one name: then the one on which it runs is meant.
        """
        def rank(toolbox: Toolbox) -> int:
            found = [one for one in toolbox.environments.instances(name) if service in (None, one.spec.service)]
            return 2 if any(one.state is State.RUNNING for one in found) else 1 if found else 0

        return max(self.toolboxes, key=rank)

    def where_failed(self, workspace: Path) -> Toolbox:
        """The engine that keeps the space in which the last check of this folder failed; else the chosen one."""
        found = [(space.at, toolbox) for toolbox in self.toolboxes
                 if (space := newest_failed(toolbox, workspace)) is not None]
        return max(found, key=lambda one: one[0])[1] if found else self.chosen

    def each(self, names: Sequence[str]) -> Iterator[tuple[Toolbox, list[str]]]:
        """Each engine with those of these environments that it has."""
        for toolbox in self.toolboxes:
            here = {one.spec.name_given for one in toolbox.environments.instances()}
            yield toolbox, [name for name in names if name in here]
