"""Two requests of an exploration, one of which is held: here without a server, each answer as it is needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from orchestrator.checks.errors import TargetWrong
from orchestrator.checks.explore import LONG, Explore
from orchestrator.checks.server import NoAnswer
from orchestrator.checks.showing import Telling

STEP = {"number": 1, "service": "redis", "text": "INCR k", "kind": "INCR", "nth": 1, "connection": 1}


@dataclass
class Said:
    status: int


class Supervisor:
    """Answers as if each request had one step. ``wait``: a request, silent until the first one goes on."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.silent = threading.Event()

    def wait(self) -> None:
        self.silent.set()
        self.released.wait(5)

    def call(self, name: str, **args: Any) -> object:
        if name == "explore.arm":
            self.released.clear()
            self.silent.clear()
        elif name == "explore.release":
            self.released.set()
        return {"explore.acted": {"step": STEP, "before": None}, "explore.settle": [STEP],
                "explore.still": 9.0 if self.silent.is_set() else 0.0}.get(name)


def test_a_second_request_is_over_before_the_next_step_is_tried() -> None:
    """Even when the first one has failed: else it would go through in the middle of the next run."""
    supervisor, failed = Supervisor(), threading.Event()
    asked: list[object] = []
    over: list[object] = []
    found: list[dict[str, Any]] = []

    def first(case: object) -> Said:
        asked.append(case)
        if len(asked) <= 2:  # alone, to count its steps
            return Said(200)
        supervisor.released.wait(5)
        failed.set()
        raise TargetWrong("not-json", "the answer")

    def second(case: object) -> Said:
        supervisor.wait()
        failed.wait(5)
        threading.Event().wait(0.1)
        over.append(case)
        return Said(200)

    def tell(told: dict[str, Any]) -> None:
        found.append({**told, "over": len(over)})

    explore = Explore(supervisor, lambda _: None, Telling(tell))  # type: ignore[arg-type]
    explore.interleave(first, second, lambda *_: None)

    assert [one["over"] for one in found] == [1]
    assert [row["broken"]["reason"] for row in found[0]["rows"]] == ["not-json"]


def test_an_error_of_a_second_request_that_waited_long_says_nothing() -> None:
    """Its wait was of our making, also when the first one had its answer long before."""
    supervisor = Supervisor()
    seen: list[object] = []

    def second(_: object) -> Said:
        supervisor.wait()
        threading.Event().wait(LONG + 0.1)
        return Said(503)

    explore = Explore(supervisor, lambda _: None)  # type: ignore[arg-type]
    explore.interleave(lambda _: Said(200), second, lambda _, *answers: seen.extend(answers))

    assert isinstance(seen[1], NoAnswer)


def test_a_second_process_that_is_slow_once_is_not_one_that_waits() -> None:
    """Its first request of all takes long and asks nobody; what waits, waits again."""
    supervisor = Supervisor()
    slow: list[object] = []

    def second(case: object) -> Said:
        slow.append(case)
        if len(slow) == 1:
            supervisor.wait()
        return Said(200)

    def waits(_: object) -> Said:
        supervisor.wait()
        return Said(200)

    explore = Explore(supervisor, lambda _: None)  # type: ignore[arg-type]
    tried = [explore.interleave(lambda _: Said(200), one, lambda *_: None) for one in (second, waits)]

    assert [(one.tried, one.waited, one.unreached) for one in tried] == [(1, 0, 0), (1, 1, 0)]


def test_a_step_that_was_not_met_is_none_when_the_check_looks() -> None:
    """What a server does by itself may meet it later, and nobody would let that go on: so nothing is wished for then."""

    class NeverMet(Supervisor):
        wished = False

        def call(self, name: str, **args: Any) -> object:
            if name == "explore.arm":
                self.wished = bool(args.get("do"))
            return None if name == "explore.acted" else super().call(name, **args)

    supervisor = NeverMet()
    seen: list[bool] = []

    explore = Explore(supervisor, lambda _: None)  # type: ignore[arg-type]
    explored = explore.interleave(lambda _: Said(200), lambda _: Said(200), lambda *_: seen.append(supervisor.wished))
    explore.cut(lambda _: Said(200), lambda *_: seen.append(supervisor.wished))

    assert (explored.unreached, set(seen)) == (1, {False})


def test_a_second_request_may_take_its_time() -> None:
    """With ``stand`` a run counts in which the first one stood for longer than usual, and silence is no wait."""
    supervisor = Supervisor()

    def second(_: object) -> Said:
        supervisor.silent.set()
        threading.Event().wait(LONG + 0.1)
        return Said(200)

    explore = Explore(supervisor, lambda _: None)  # type: ignore[arg-type]
    tried = [explore.interleave(lambda _: Said(200), second, lambda *_: None, stand=stand) for stand in (LONG, 10.0)]

    assert [(one.waited, one.unreached) for one in tried] == [(1, 0), (0, 0)]
