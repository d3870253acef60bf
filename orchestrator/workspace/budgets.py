"""How long a learner's server may take to be built and to start: as the lab says, or the workspace up to the caps."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import Problem, WorkspaceInvalid
from orchestrator.model import Lab, Workspace
from orchestrator.workspace.workspace_toml import FILE, line_of

OVER_CAP = "budget-over-cap"
"""The code of a workspace that asks for more than the lab allows."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds for something that a target does. ``key``: how ``workspace.toml`` calls it; ``most`` may stand there."""

    seconds: float
    most: float = 0.0
    key: str = "budget"


def start_budget(lab: Lab, workspace: Workspace) -> Budget:
    """From the start of the process to its first answer to ``GET /health``."""
    own, most = lab.server.start_budget, lab.server.start_budget_cap
    return Budget(workspace.start_budget or own, max(own, most), "start_budget")


def build_budget(lab: Lab, workspace: Workspace) -> Budget:
    """For all build commands together."""
    own, most = lab.server.build_budget, lab.server.build_budget_cap
    return Budget(workspace.build_budget or own, max(own, most), "build_budget")


def hold_budgets(lab: Lab, workspace: Workspace) -> None:
    """``WorkspaceInvalid`` (``budget-over-cap``) if the workspace gives itself more than the lab allows."""
    over = [one for one in (start_budget(lab, workspace), build_budget(lab, workspace)) if one.seconds > one.most]
    if over:
        problems = [Problem(FILE, line_of(workspace.folder, one.key), f"{one.key} is {one.seconds:g} seconds; the lab "
                            f"{lab.name} allows {one.most:g} at most") for one in over]
        fixed = " and ".join(f"{one.key} = {one.most:g}" for one in over)
        raise WorkspaceInvalid(f"{FILE} asks for more time than the lab allows", problems, code=OVER_CAP,
                               hint=f"set {fixed} in {FILE}, or less; waiting for a busy machine does not count")
