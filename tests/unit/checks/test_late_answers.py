"""An answer that does not come: the server's fault, unless the machine let it do nothing."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.child import run_checks

from orchestrator.model import Verdict

SOURCE = '''
def test_one(server):
    """One request."""
    server.get("/", deadline=0.3)

def test_many(server):
    """Three at once, of which none may be missing."""
    from orchestrator.checks import Call
    server.parallel([Call("GET", "/")] * 3, deadline=0.3, unanswered="keep")
'''


class Machine:
    """It had the server wait so long for a processor."""

    def __init__(self, lost: float) -> None:
        self.lost = lost

    def answer(self, call: str, args: Mapping[str, float]) -> object:
        assert (call, args) == ("machine.lost", {"seconds": 0.3})
        return self.lost


@pytest.mark.parametrize(("lost", "one", "many"), [
    (0.0, (Verdict.TIMEOUT, "too-slow"), (Verdict.PASS, "")),
    (0.1, (Verdict.TIMEOUT, "too-slow"), (Verdict.PASS, "")),
    (0.25, (Verdict.ERROR, "machine-too-slow"), (Verdict.ERROR, "machine-too-slow")),
])
def test_a_late_answer(tmp_path: Path, lost: float, one: tuple[Verdict, str], many: tuple[Verdict, str]) -> None:
    """Most of the time in a queue for a processor is an excuse; a little of it is none."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = run_checks(tmp_path, SOURCE, url=f"http://127.0.0.1:{silent.getsockname()[1]}", answerer=Machine(lost))

    assert (run["test_one"].verdict, run["test_one"].reason) == one
    assert (run["test_many"].verdict, run["test_many"].reason) == many
