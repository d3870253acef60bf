"""What kept and warm judge spaces share: their instances, and a folder with files that the sweep must heed."""

from __future__ import annotations

import contextlib
from collections.abc import Container
from pathlib import Path

from orchestrator.engines.base import Engine
from orchestrator.model import Instance
from orchestrator.system.home import Home, installation_id, user_id


def instances(engine: Engine, home: Home, environment: str) -> list[Instance]:
    """What of the space is there now."""
    return list(engine.list(user=user_id(), installation=installation_id(home), environment=environment))


def remove(engine: Engine, home: Home, environment: str) -> list[str]:
    """Remove the space's instances; their names. Its file goes before: who dies between leaves it to the sweep."""
    names = [instance.spec.name for instance in instances(engine, home, environment)]
    for name in names:
        engine.remove(name, data=True)
    return names


def forget_others(folder: Path, spared: Container[str]) -> None:
    """Remove the files of all environments but these, torn ones, too."""
    for path in folder.glob("*.json"):
        if path.stem not in spared:
            with contextlib.suppress(OSError):  # a folder of that name is nobody's, and harms nobody
                path.unlink()
