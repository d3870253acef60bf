"""What every engine promises of a service that is paused, and of its end."""

from __future__ import annotations

import dataclasses
import socket
from contextlib import closing

import pytest
from support.bench import Bench, found

from orchestrator.errors import EnvironmentFault
from orchestrator.model import State


def test_a_paused_service_holds_connections_and_answers_nothing(bench: Bench) -> None:
    """`pause` freezes it: an open connection stays open and silent, and gets its answer after `unpause`."""
    spec = bench.up()
    before = found(bench, spec)
    with closing(socket.create_connection(("127.0.0.1", spec.port), timeout=5)) as connection:
        connection.sendall(b"PING\r\n")
        first = connection.recv(100)

        bench.engine.pause(spec.name)
        paused = found(bench, spec)
        connection.sendall(b"PING\r\n")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(100)

        bench.engine.unpause(spec.name)
        connection.settimeout(5)
        try:
            after = connection.recv(100)
        except TimeoutError:
            pytest.fail(f"resumed, nothing came on the open connection; the engine says {found(bench, spec).state}, "
                        f"a new connection is {'answered' if bench.answers(spec) else 'not answered, either'}")

    assert after == first
    assert paused == dataclasses.replace(before, state=State.PAUSED)
    assert found(bench, spec) == before


def test_pausing_twice_and_resuming_twice_is_harmless(bench: Bench) -> None:
    """What is paused stays paused; `unpause` of what is not paused does nothing, running or ended."""
    spec = bench.up()

    bench.engine.unpause(spec.name)
    assert bench.answers(spec)
    bench.engine.pause(spec.name)
    bench.engine.pause(spec.name)
    assert found(bench, spec).state is State.PAUSED
    bench.engine.unpause(spec.name)
    bench.engine.unpause(spec.name)
    assert bench.answers(spec)
    bench.engine.stop(spec.name)
    bench.engine.unpause(spec.name)
    assert found(bench, spec).state is State.EXITED


def test_what_does_not_run_cannot_be_paused(bench: Bench) -> None:
    """`pause` of an ended instance is an error, so that a fault never seems to be there when it is not."""
    spec = bench.created()

    with pytest.raises(EnvironmentFault):
        bench.engine.pause(spec.name)


@pytest.mark.parametrize("end", ["stop", "kill", "remove"])
def test_a_paused_service_can_be_ended(bench: Bench, end: str) -> None:
    """Stop, kill and remove work on a paused instance and leave nothing frozen behind."""
    spec = bench.up()
    bench.engine.pause(spec.name)

    if end == "remove":
        bench.engine.remove(spec.name, data=True)
        assert bench.engine.inspect(spec.name) is None
        return
    getattr(bench.engine, end)(spec.name)
    assert found(bench, spec).state is State.EXITED
    bench.start(spec)
    assert bench.answers(spec)
