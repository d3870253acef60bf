"""What passes the proxy and is no step of a request: seen by a connection's watch alone, without any socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from orchestrator.faults import steps as module
from orchestrator.faults.steps import Steps
from orchestrator.services.base import Heard


class Ear:
    """Reads lines. ``bye`` asks nothing."""

    def __init__(self, _new: bool) -> None:
        self._rest = b""

    def hear(self, data: bytes) -> Heard:
        *lines, self._rest = (self._rest + data).split(b"\n")
        text = b"; ".join(lines).decode()
        return Heard(text, text.partition(" ")[0], not self._rest, text != "bye")


class Pair:
    """What the watch sends on later."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def ask(self, data: bytes) -> None:
        self.sent.append(data)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def steps(clock: Clock) -> Iterator[Steps]:
    """As the proxy makes them; its loop does not run, so that no patience ends."""
    loop = asyncio.new_event_loop()
    steps = Steps(loop, lambda do: do(), {"shop": Ear})
    steps.arm("")
    yield steps
    loop.close()


def test_what_asks_nothing_arrives_in_its_order(steps: Steps) -> None:
    """Its beginning is kept for a moment, since it could be that of a step."""
    pair = Pair()
    watch = steps.watch(pair, "shop", "", new=True)  # type: ignore[arg-type]

    assert [watch.asked(b"by"), watch.asked(b"e\n"), watch.asked(b"bye\n")] == [False, False, True]
    assert pair.sent == [b"bye\n"]
    assert steps.taken() == ()


def test_what_is_nobody_s_request_moves_nothing(steps: Steps, clock: Clock) -> None:
    """A driver's heartbeat would else look like a second request that goes on, and not like one that waits."""
    serving, chatting, learned = (
        steps.watch(Pair(), "shop", "", new=True) for _ in range(3))  # type: ignore[arg-type]
    learned.background.add("ping")
    serving.asked(b"set 1\n")
    clock.now += 5
    for watch, line in ((chatting, b"bye\n"), (learned, b"ping\n")):
        assert watch.asked(line)
        assert watch.answered(b"ok\n")

    assert (steps.still(), [step.text for step in steps.taken()]) == (5, ["set 1"])
    serving.answered(b"ok\n")
    assert steps.still() == 0
    clock.now += 3
    learned.asked(b"set 2\n")
    assert (steps.still(), len(steps.taken())) == (0, 2)
