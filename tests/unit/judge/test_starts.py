"""A server that is slow to start: its budget, not the milestone's; and a machine that is too busy blames nobody."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from orchestrator.errors import WorkspaceInvalid
from orchestrator.judge.request import RunRequest
from orchestrator.judge.starts import MOST, Starts
from orchestrator.model import Verdict, Workspace
from orchestrator.targets import build, process
from orchestrator.targets.patience import Patience

RESTARTS = "@check\ndef test_restart():\n    for _ in range(2): call('server.restart')\n"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_beyond_a_quick_start_is_given_in_addition() -> None:
    """Of a start that is under way, too; of two at the same time once; never without end."""
    clock = Clock()
    starts = Starts(clock)
    with starts.one():
        clock.now += 0.9
    assert starts.slow() == 0
    with starts.one():
        clock.now += 3
        assert starts.slow() == 2
        with starts.one():
            clock.now += 3
        clock.now += 3
    assert starts.slow() == 8
    clock.now += 100
    assert starts.slow() == 8
    with starts.one():
        clock.now += 10_000
    assert starts.slow() == MOST


def slow_server(world: Any, seconds: float) -> None:
    path = world.folder / "workspace" / "server.py"
    path.write_text(f"import time\ntime.sleep({seconds})\n" + path.read_text())


def test_a_slow_start_does_not_use_up_the_milestones_time(world: Any) -> None:
    """Two restarts of 2.5 s in a milestone of 4 s: each has the server's own budget."""
    slow_server(world, 2.5)
    world.milestone("notes/one", RESTARTS, budget=4.0)

    assert world.one().verdict is Verdict.PASS


def test_a_server_too_slow_to_start_is_told_how_to_have_more(world: Any) -> None:
    """The budget, what the machine did, and the one next step."""
    slow_server(world, 60)
    world.start_budget = 0.5
    world.milestone("notes/one", RESTARTS)
    result = world.one()

    assert (result.verdict, result.reason) == (Verdict.INVALID, "never-bound")
    assert "within its start_budget of 0.5 s; " in result.message
    assert result.advice == "set start_budget = 1 in workspace.toml (at most 120), then labs check"


def test_a_workspace_that_asks_for_too_much_is_not_judged(world: Any, tmp_path: Any) -> None:
    """Before anything is started."""
    workspace = Workspace(tmp_path, "shop", (), ("true",), start_budget=121)

    with pytest.raises(WorkspaceInvalid, match="more time than the lab allows"):
        RunRequest(world.lab(), workspace, (), 1, tmp_path)


def test_a_workspaces_own_budget_counts(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's half second is not enough for this server."""
    slow_server(world, 1.5)
    world.start_budget = 0.5
    world.milestone("notes/one", "@check\ndef test_nothing(): pass\n")
    monkeypatch.setattr(RunRequest, "__post_init__", lambda self: object.__setattr__(
        self, "workspace", Workspace(self.workspace.folder, "shop", (), self.workspace.run, start_budget=30)))

    assert world.one().verdict is Verdict.PASS


@pytest.mark.parametrize("when", ["at first", "again"])
def test_a_machine_that_is_too_busy_to_start_a_server_is_an_error(
    world: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Never a verdict against the server, at its first start or at a check's."""
    starts = iter([Patience.WAIT, Patience.STARVED] * 4 if when == "again" else [Patience.STARVED] * 8)

    class Busy(process.Waiting):
        def follow(self, root: int, *, anew: bool = True) -> None:
            super().follow(root, anew=anew)
            self.state = next(starts)

        def ask(self) -> Patience:
            return self.state

    monkeypatch.setattr(process, "Waiting", Busy)
    slow_server(world, 0.5)
    world.milestone("notes/one", RESTARTS)
    result = world.one()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.ERROR, "machine-too-slow", 2)
    assert "too busy to judge whether your server starts" in result.message + "".join(
        check.what for check in result.checks)


def test_a_machine_that_is_too_busy_to_build_is_an_error(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.Waiting, "ask", lambda _: Patience.STARVED)
    world.build = ((sys.executable, "-c", "import time; time.sleep(60)"),)
    world.milestone("notes/one", RESTARTS)
    result = world.one()

    assert (result.verdict, result.reason) == (Verdict.ERROR, "machine-too-slow")
    assert result.advice.startswith("labs check")
