"""Judge spaces that outlive their run, so that a learner can look into a failure: the last one of each workspace.

A file in the home says which environment belongs to which workspace; while it is there and the workspace, too, the
sweep leaves the space alone. The next check of the workspace takes the file away, and with it the space, unless
somebody works in it just then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from orchestrator.engines.base import Engine
from orchestrator.ownership import judge_spaces
from orchestrator.system.files import read_json, write_json
from orchestrator.system.home import Home
from orchestrator.system.shapes import fields_of


@dataclass(frozen=True, slots=True)
class KeptSpace:
    """One kept judge space. ``port`` is the one on which the target was asked; ``milestone`` is what failed there.

    ``at`` is the time of its making, in seconds since 1970.
    """

    environment: str
    engine: str
    workspace: str
    lab: str
    milestone: str
    reason: str
    seed: int
    port: int
    at: float
    recipes: Mapping[str, str] = field(default_factory=dict)
    """Service -> what decides how it runs."""
    incarnations: Mapping[str, str] = field(default_factory=dict)
    """Service -> which run of it this is: by these the next check knows them again."""

    @property
    def folder(self) -> Path:
        return Path(self.workspace)

    @property
    def story(self) -> str:
        """What it is, for people."""
        return f"what {self.milestone} left when it failed, in {self.workspace}"


def remember(home: Home, space: KeptSpace) -> None:
    """From now on the sweep leaves it alone. Raises ``EnvironmentFault`` where the home cannot be written."""
    write_json(_path(home, space.environment), {"v": 1, **asdict(space)}, durable=True)


def find(home: Home, workspace: Path) -> list[KeptSpace]:
    """The spaces that are kept for this workspace, the newest last."""
    found = [space for space in spaces(home).values() if space.folder.resolve() == workspace.resolve()]
    return sorted(found, key=lambda space: space.at)


def spaces(home: Home) -> dict[str, KeptSpace]:
    """Environment -> kept space; those whose workspace is gone are none."""
    found = (_read(path) for path in sorted(home.kept_spaces.glob("*.json")))
    return {space.environment: space for space in found if space is not None and space.folder.is_dir()}


def forget_gone(home: Home) -> None:
    """Remove the files of workspaces that are gone, and torn ones."""
    judge_spaces.forget_others(home.kept_spaces, spaces(home))


def forget(home: Home, environment: str) -> None:
    """It is no kept space any more. Harmless if it was none."""
    _path(home, environment).unlink(missing_ok=True)


def remove(engine: Engine, home: Home, space: KeptSpace) -> list[str]:
    """Forget the space and remove its instances; their names."""
    forget(home, space.environment)
    return judge_spaces.remove(engine, home, space.environment)


def _path(home: Home, environment: str) -> Path:
    return home.kept_spaces / f"{environment}.json"


def _read(path: Path) -> KeptSpace | None:
    try:
        return KeptSpace(**fields_of(KeptSpace, read_json(path)))
    except ValueError:
        return None
