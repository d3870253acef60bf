"""How long `labs check` waits for the server of `labs run`: as the workspace says, and as the machine lets it work."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.attach import judge as judge_module
from orchestrator.attach.judge import Judge
from orchestrator.attach.target import AttachedTarget
from orchestrator.judge.request import RunRequest
from orchestrator.model import Lab, ServerContract, Workspace
from orchestrator.system.interrupt import NEVER
from orchestrator.system.ports import free_port
from orchestrator.targets.patience import Patience, Waiting
from orchestrator.targets.process import TargetInvalid

LAB = Lab("shop", "Shop", "", "shop", "1", Path(), (), ServerContract({}, 30, 60), (), ())
SPACE = SimpleNamespace(record=lambda: SimpleNamespace(stop=lambda: None), settle=lambda: None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When it came to judging."""
    times: list[float] = []
    monkeypatch.setattr(judge_module, "judge", lambda *_, **__: times.append(time.monotonic()))
    return times


def waits(tmp_path: Path, **budgets: float) -> None:
    venue: Any = SimpleNamespace(space=SPACE)
    request = RunRequest(LAB, Workspace(tmp_path, "shop", (), ("true",), **budgets), (), 1, tmp_path)
    listener: Any = None
    with Judge(venue, request, "", free_port()) as judge:
        judge((), 1, listener, NEVER)


def test_the_first_answer_is_waited_for_as_long_as_the_workspace_says(tmp_path: Path, asked: list[float]) -> None:
    """The lab's half minute is not waited for; then it is judged as it is."""
    began = time.monotonic()
    waits(tmp_path, start_budget=0.5)

    assert 0.5 <= asked[0] - began < 10


def test_a_busy_machine_is_waited_for(tmp_path: Path, asked: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same patience as for a server that `labs` starts itself."""
    answers = iter([Patience.WAIT] * 8 + [Patience.SLOW])
    monkeypatch.setattr(Waiting, "ask", lambda _: next(answers))
    began = time.monotonic()
    waits(tmp_path, start_budget=0.1)

    assert asked[0] - began > 8 * judge_module.LOOK_EVERY


def test_a_machine_too_busy_to_hear_a_server_does_not_blame_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Waiting, "ask", lambda _: Patience.STARVED)
    with pytest.raises(TargetInvalid, match="too busy to judge whether your server answers") as caught:
        AttachedTarget(free_port()).start()

    assert caught.value.ours
