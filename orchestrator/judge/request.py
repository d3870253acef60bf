"""What a run is to judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.judge.showing import Showing
from orchestrator.model import Lab, Workspace
from orchestrator.workspace.budgets import hold_budgets
from orchestrator.workspace.select import PlannedMilestone

if TYPE_CHECKING:
    from orchestrator.attach.target import AttachedTarget


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to judge. ``cache`` keeps builds between runs; ``lab_commit`` goes into the report.

    ``attached``: a server that runs at the venue already and goes on afterwards, instead of the workspace's.
    ``showing``: only the checks that explore, and what they find is noted there.
    """

    lab: Lab
    workspace: Workspace
    milestones: tuple[PlannedMilestone, ...]
    seed: int
    cache: Path
    lab_commit: str = ""
    attached: AttachedTarget | None = None
    shuffle: bool = False
    """Checks in an order that the seed draws: a proof looks whether their order matters."""
    showing: Showing | None = None
    only: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Milestone -> ids of the checks that are wanted of it; one that is not named here has all of them judged."""

    def __post_init__(self) -> None:
        """``WorkspaceInvalid`` if the workspace gives itself more time than the lab allows."""
        hold_budgets(self.lab, self.workspace)
