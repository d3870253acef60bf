"""Calls of the child at their edges; their daily life is in test_calls_in_runs.py."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from orchestrator.errors import EnvironmentFault
from orchestrator.judge.attempt import left_out
from orchestrator.judge.calls import HELD, Calls
from orchestrator.judge.child import CallFailed
from orchestrator.model import Verdict
from orchestrator.report.result import CheckResult
from orchestrator.targets.process import TargetInvalid


def test_what_labs_run_leaves_unjudged_hides_no_check_that_passed() -> None:
    """How many passed, how many need the server's life; nothing is claimed beside another verdict."""
    good = CheckResult("a", "A", Verdict.PASS, 0.0)
    held = CheckResult("b", "B", Verdict.UNJUDGED, 0.0, "unjudged", HELD)

    assert left_out([good, good, held]).startswith("2 of 3 checks passed. 1 check needs to end your server")
    assert "2 checks need" in left_out([good, held, held])
    assert left_out([good]) == ""
    assert left_out([good, held, CheckResult("c", "C", Verdict.UNJUDGED, 0.0, "unjudged", "no PostgreSQL")]) == ""


class Proxy:
    """Writes down what is asked of it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def note(service: str) -> int:
            self.said.append(f"{name} {service}")
            return 3

        return note


class Target:
    """Starts at once, or not before it is killed."""

    log_text = "last words"
    url = "http://127.0.0.1:1"

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs = hangs
        self.killed = threading.Event()
        self.closed = False
        self.graces: list[float] = []

    def start(self) -> None:
        if self.hangs:
            self.killed.wait(20)
            raise TargetInvalid("exited", "killed", "log")

    def stop(self, grace: float = 5.0) -> int:
        self.graces.append(grace)
        return 0

    def kill(self) -> None:
        self.killed.set()

    def close(self) -> None:
        self.closed = True

    def log(self, lines: int = 40) -> str:
        return self.log_text


class Space:
    """Knows ``notes`` and nothing else; fails to come back if told so."""

    def __init__(self) -> None:
        self.let_go = lambda: None

    def seat(self, service: str) -> Any:
        return self if service == "notes" else None

    def begun(self) -> frozenset[str]:
        return frozenset({"notes", "asleep"})


def make(target: Target | None = None, replica: Target | None = None) -> tuple[Calls, Proxy]:
    proxy = Proxy()
    parts: dict[str, Any] = {"space": Space(), "proxy": proxy, "engine": None}
    main: Any = target or Target()
    other: Any = replica or Target()
    return Calls(main, lambda *_: other, **parts), proxy


def failure_of(calls: Calls, call: str, **args: Any) -> dict[str, Any]:
    with pytest.raises(CallFailed) as caught:
        calls.answer(call, args)
    return caught.value.failure


def test_what_is_not_a_call_is_our_bug() -> None:
    """Unknown calls, faults, healings and replicas fail as bugs, never as the learner's fault."""
    calls, _ = make()

    assert failure_of(calls, "server.explode")["kind"] == "bug"
    assert failure_of(calls, "fault.begin", kind="flood", service="notes")["kind"] == "bug"
    assert failure_of(calls, "fault.heal", fault="fault-9")["kind"] == "bug"
    assert failure_of(calls, "replica.stop", replica="replica-9")["kind"] == "bug"


def test_a_service_that_is_not_there_is_unjudged() -> None:
    """A check that wants a fault on a service that this space has not cannot judge."""
    calls, _ = make()

    for call in ("fault.begin", "fault.cut", "fault.connections"):
        assert failure_of(calls, call, kind="down", service="kafka")["kind"] == "unjudged"


def test_the_same_fault_twice_is_refused() -> None:
    """Healing one of two equal faults would leave the other unexplained."""
    calls, _ = make()
    calls.answer("fault.begin", {"kind": "down", "service": "notes"})

    assert failure_of(calls, "fault.begin", kind="down", service="notes")["kind"] == "bug"
    calls.answer("fault.begin", {"kind": "hold", "service": "notes"})


def test_close_heals_the_last_fault_first_and_shuts_the_door() -> None:
    """Everything that was begun is undone, once; nothing begins afterwards."""
    calls, proxy = make()
    for kind in ("down", "hold"):
        calls.answer("fault.begin", {"kind": kind, "service": "notes"})

    calls.close()
    calls.close()

    assert proxy.said == ["down notes", "hold notes", "release notes", "up notes"]
    assert failure_of(calls, "fault.begin", kind="down", service="notes")["kind"] == "bug"
    assert failure_of(calls, "server.restart")["kind"] == "bug"


def test_close_ends_replicas() -> None:
    """A replica that the check left running is gone."""
    replica = Target()
    calls, _ = make(replica=replica)
    calls.answer("server.replica", {})

    calls.close()

    assert replica.closed


def test_a_replica_can_start_while_the_check_goes_on() -> None:
    """Its address is known at once; who waits for it hears why it did not start; a stop never comes before its start."""
    slow = Target(hangs=True)
    calls, _ = make(replica=slow)
    one = calls.answer("server.replica", {"wait": False})
    waiting = threading.Thread(target=lambda: failures.append(failure_of(calls, "replica.ready")["reason"]))
    failures: list[str] = []
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    slow.kill()
    waiting.join(10)
    calls.answer("replica.stop", {"replica": one["replica"]})  # type: ignore[index]

    assert len(failures) == 1
    assert slow.closed


def test_a_replica_s_links_end_with_it() -> None:
    """Stopped by the check or left to the end: nobody listens for it any more."""
    calls, proxy = make()
    first = calls.answer("server.replica", {})
    calls.answer("server.replica", {})
    calls.answer("replica.stop", {"replica": first["replica"]})  # type: ignore[index]
    assert proxy.said == ["drop replica-1"]

    calls.close()

    assert proxy.said == ["drop replica-1", "drop replica-2"]


def test_a_server_that_is_not_ours_is_not_killed() -> None:
    """A check that kills an attached server at a step cannot judge."""
    calls = Calls(Target(), lambda *_: Target(), space=Space(), proxy=Proxy(), engine=None,  # type: ignore[arg-type]
                  attached=True)

    assert failure_of(calls, "explore.crash")["kind"] == "unjudged"


def test_close_does_not_wait_for_a_server_that_does_not_start() -> None:
    """A restart that hangs is given up at the end, instead of eating its whole budget."""
    calls, _ = make(Target(hangs=True))
    failures: list[dict[str, Any]] = []
    worker = threading.Thread(target=lambda: failures.append(failure_of(calls, "server.start")), daemon=True)
    worker.start()
    began = time.monotonic()

    calls.close()
    worker.join(5)

    assert time.monotonic() - began < 3
    assert [failure["reason"] for failure in failures] == ["restart-exited"]


def test_a_server_that_should_run_is_told_from_one_that_a_check_stopped() -> None:
    """Only a server that ended by itself is reported to have died."""
    calls, _ = make()

    assert calls.target_wanted
    calls.answer("server.stop", {})
    assert not calls.target_wanted
    calls.answer("server.start", {})
    assert calls.target_wanted


@pytest.mark.parametrize(("asked", "given"), [(2, 2.0), (-1, 0.0), (10_000, 60.0), ("x", 5.0), (True, 5.0), (None, 5.0)])
def test_a_grace_is_within_reason(asked: Any, given: float) -> None:
    """What a check asks for is a number of seconds that a run can wait."""
    target = Target()
    calls, _ = make(target)

    calls.answer("server.stop", {"grace": asked})

    assert target.graces == [given]


def test_a_fault_of_the_environment_is_a_lost_service() -> None:
    """The engine or a service failed us in a call: the check hears ``lost``, with the code."""
    calls, proxy = make()

    def broken(service: str) -> int:
        raise EnvironmentFault("no port", code="port-busy")

    proxy.cut = broken  # type: ignore[method-assign]

    failure = failure_of(calls, "fault.cut", service="notes")
    assert (failure["kind"], failure["reason"]) == ("lost", "port-busy")


@pytest.mark.parametrize(("call", "order"), [
    ("server.kill", ["kill", "let go", "start"]),
    ("server.restart", ["stop", "let go", "start"]),
    ("server.stop", ["stop", "let go"]),
])
def test_what_an_ended_server_had_under_way_is_over_before_the_next_one_starts(
        monkeypatch: pytest.MonkeyPatch, call: str, order: list[str]) -> None:
    """A service that would keep it is told to let go."""
    target = Target()
    said: list[str] = []
    for name in ("start", "stop", "kill"):
        monkeypatch.setattr(target, name, lambda *_, name=name, **__: said.append(name))
    calls, _ = make(target)
    monkeypatch.setattr(calls._space, "let_go", lambda: said.append("let go"))

    calls.answer(call, {})

    assert said == order
