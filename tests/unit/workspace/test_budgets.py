"""Whose budget counts, and how much a workspace may give itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceInvalid
from orchestrator.model import Lab, ServerContract
from orchestrator.workspace.budgets import build_budget, hold_budgets, start_budget
from orchestrator.workspace.workspace_toml import read_workspace

RIGHT = 'format = 1\nlab = "shop"\nrun = ["./server"]\n'


def lab(**server: float) -> Lab:
    contract = ServerContract({}, **{"start_budget": 20, "build_budget": 300, **server})  # type: ignore[arg-type]
    return Lab("shop", "Shop", "", "shop", "1", Path(), (), contract, (), ())


def seconds(folder: Path, text: str, lab: Lab) -> tuple[float, float]:
    (folder / "workspace.toml").write_text(RIGHT + text)
    workspace = read_workspace(folder)
    hold_budgets(lab, workspace)
    return start_budget(lab, workspace).seconds, build_budget(lab, workspace).seconds


@pytest.mark.parametrize(("text", "expected"), [
    ("", (20, 300)),
    ("start_budget = 60\n", (60, 300)),
    ("start_budget = 2.5\nbuild_budget = 600\n", (2.5, 600)),
    ("start_budget = 120\nbuild_budget = 1800\n", (120, 1800)),
])
def test_a_workspace_may_have_its_own_budgets_up_to_the_cap(tmp_path: Path, text: str,
                                                            expected: tuple[float, float]) -> None:
    """Without them it has the lab's."""
    assert seconds(tmp_path, text, lab()) == expected


def test_the_labs_own_budget_is_always_allowed(tmp_path: Path) -> None:
    """A lab may give more than its cap, which is about workspaces."""
    generous = lab(start_budget=200)

    assert seconds(tmp_path, "", generous)[0] == 200
    assert seconds(tmp_path, "start_budget = 200\n", generous)[0] == 200
    assert start_budget(generous, read_workspace(tmp_path)).most == 200


def test_more_than_the_cap_is_refused_with_the_most_that_is_allowed(tmp_path: Path) -> None:
    """Both at once, each with its line, a code of their own and what to write."""
    with pytest.raises(WorkspaceInvalid) as caught:
        seconds(tmp_path, "start_budget = 90\nbuild_budget = 1e6\n", lab(start_budget_cap=60))

    error = caught.value
    assert (error.code, error.exit_code) == ("budget-over-cap", 2)
    assert error.details == ("workspace.toml:4: start_budget is 90 seconds; the lab shop allows 60 at most",
                             "workspace.toml:5: build_budget is 1e+06 seconds; the lab shop allows 1800 at most")
    assert "set start_budget = 60 and build_budget = 1800 in workspace.toml" in (error.hint or "")
