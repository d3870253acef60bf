"""The services of a `labs run` that is under way, for commands in another terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.attach.host import places
from orchestrator.environments.toolbox import Toolbox
from orchestrator.model import Instance
from orchestrator.system.home import installation_id, user_id


@dataclass(frozen=True, slots=True)
class RunServices:
    """What a `labs run` on empty services has started by now, on this engine. ``workspace`` is its server's folder."""

    toolbox: Toolbox
    workspace: str
    instances: tuple[Instance, ...]


def run_services(toolbox: Toolbox, workspace: Path | None = None) -> Iterator[RunServices]:
    """Those of this workspace, or all there are, the newest first."""
    for place in places(toolbox.home, workspace):
        if environment := str(place.get("environment") or ""):
            found = tuple(toolbox.engine.list(user=user_id(), installation=installation_id(toolbox.home),
                                              environment=environment))
            if found:
                yield RunServices(toolbox, str(place.get("workspace")), found)
