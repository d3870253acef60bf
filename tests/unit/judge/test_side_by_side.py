"""Two judges at a time: sooner, and with the same verdicts; at the end nothing is left of either."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytest

from orchestrator.machine import memory
from orchestrator.model import Verdict
from orchestrator.system.ports import free_port

MEETS = """
    @check
    def test_meets():
        import pathlib
        here = pathlib.Path(%r)
        (here / %r).touch()
        end = time.monotonic() + 15
        while not (here / %r).exists():
            if time.monotonic() > end: raise Failure("failed", "alone", "nobody else is judged")
            time.sleep(0.01)
"""


def meets(world: Any, mine: str, other: str) -> str:
    """A check that passes only while the other one runs."""
    return MEETS % (str(world.folder), mine, other)


def environments(world: Any) -> set[str]:
    return {spec.owner.environment for spec in world.engine.made}


def test_two_milestones_are_judged_at_the_same_time(world: Any) -> None:
    """Each on services of its own. The report has them in the plan's order."""
    world.milestone("notes/one", meets(world, "one", "two"))
    world.milestone("notes/two", meets(world, "two", "one"))

    report = world.judge(judges=2)

    assert [(one.id, one.verdict) for one in report.milestones] == [
        ("notes/one", Verdict.PASS), ("notes/two", Verdict.PASS)], report.milestones
    assert len(environments(world)) == 2
    assert sorted(one.id for one in world.heard.milestones) == ["notes/one", "notes/two"]
    assert report.products.keys() == {"notes"}


def test_a_server_that_stands_in_its_own_way_is_not_blamed(world: Any) -> None:
    """It takes a port beside the one it is given, so a second one cannot start: judged alone it passes."""
    server = world.folder / "workspace" / "server.py"
    second = f"import socket\nown = socket.create_server(('127.0.0.1', {free_port()}))\n"
    server.write_text(second + server.read_text())
    slow = world.RIGHT.replace('note("put hello")', 'note("put hello"); time.sleep(0.5)')
    for name in ("one", "two", "three"):
        world.milestone(f"notes/{name}", slow)

    report = world.judge(judges=2)

    assert [one.verdict for one in report.milestones] == [Verdict.PASS] * 3, report.milestones
    assert len(world.heard.milestones) == 3


def test_what_is_wrong_beside_others_is_wrong_alone(world: Any) -> None:
    """A wrong server stays one: told once, and its space is kept as it was when it was judged alone."""
    kept: list[tuple[str, str]] = []
    world.keep = lambda result, environment, marks: kept.append((result.id, environment))
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", '@check\ndef test_words(): raise Failure("failed", "not-stored", "the words")\n')
    world.milestone("notes/three", world.RIGHT, needs=["notes/two"])

    report = world.judge(judges=2)

    assert [(one.verdict, one.reason) for one in report.milestones] == [
        (Verdict.PASS, ""), (Verdict.FAIL, "not-stored"), (Verdict.BLOCKED, "needs")]
    assert [one.id for one in world.heard.milestones].count("notes/two") == 1
    ((name, environment),) = kept
    assert name == "notes/two"
    assert [spec.owner.environment for spec in _left(world)] == [environment]
    for spec in _left(world):
        world.engine.remove(spec.name, data=True)


def _left(world: Any) -> list[Any]:
    return [entry.spec for entry in world.engine.entries.values()]


def test_where_there_is_room_for_one_only_one_judges_all(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that the memory is short: it is enough."""
    monkeypatch.setattr(memory, "free_memory", lambda address="": 500 if world.engine.made else 1500)
    for name in ("one", "two", "three"):
        world.milestone(f"notes/{name}", world.RIGHT)

    report = world.judge(judges=2)

    assert [one.verdict for one in report.milestones] == [Verdict.PASS] * 3, report.milestones
    assert len(environments(world)) == 1


def test_a_build_that_fails_is_tried_once(world: Any) -> None:
    """And makes every milestone invalid."""
    world.build = (("sh", "-c", "echo built >> ../builds; exit 1"),)
    for name in ("one", "two", "three"):
        world.milestone(f"notes/{name}", world.RIGHT)

    report = world.judge(judges=2)

    assert [one.verdict for one in report.milestones] == [Verdict.INVALID] * 3
    assert (world.folder / "builds").read_text() == "built\n"


@pytest.mark.usefixtures("as_in_the_command")
def test_ctrl_c_ends_both(world: Any) -> None:
    """In seconds; what was known stays."""
    world.milestone("notes/first", world.RIGHT)
    for name in ("one", "two"):
        world.milestone(f"notes/{name}", "@check\ndef test_sleeps(): time.sleep(60)\n", needs=["notes/first"])
    began: list[float] = []
    checking: set[str] = set()

    def interrupt(milestone: str, phase: str) -> None:
        if phase == "checks" and milestone != "notes/first":
            checking.add(milestone)
            if len(checking) == 2 and not began:
                began.append(time.monotonic())
                ident = threading.main_thread().ident
                assert ident is not None
                signal.pthread_kill(ident, signal.SIGINT)

    world.heard.on_phase_do = interrupt

    report = world.judge(judges=2)

    assert time.monotonic() - began[0] < 7
    assert report.interrupted
    assert [(one.verdict, one.reason) for one in report.milestones] == [
        (Verdict.PASS, ""), (Verdict.ERROR, "interrupted"), (Verdict.ERROR, "interrupted")]


def test_an_error_of_ours_ends_both(world: Any) -> None:
    """It goes through, and nothing is left."""
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", "@check\ndef test_sleeps(): time.sleep(60)\n")

    def broken(milestone: str, phase: str) -> None:
        if (milestone, phase) == ("notes/one", "checks"):
            raise RuntimeError("ours")

    world.heard.on_phase_do = broken
    began = time.monotonic()

    with pytest.raises(RuntimeError, match="ours"):
        world.judge(judges=2)

    assert time.monotonic() - began < 15
    assert world.engine.entries == {}
