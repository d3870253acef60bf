"""Faults of a learner's own environment, on both engines: what their clients see, and what a kill leaves."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from support.ports import usual_ports_taken
from support.wait import until

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.environments.facade import Environments, environment_id
from orchestrator.environments.faults import OwnFaults
from orchestrator.environments.specs import reached
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.faults import relay
from orchestrator.faults.record import LastingFault
from orchestrator.faults.toxics import kind_of, numbers_of
from orchestrator.model import State
from orchestrator.system.home import Home


class Play:
    """An environment with faults, as a learner has it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.home = Home(folder / "data", folder / "state", folder / "cache")
        self.environments = Environments(engine, self.home, services.Recipes())
        self.faults = OwnFaults(self.environments, self.home)
        self.name = f"faults-{secrets.token_hex(3)}"

    def start(self, *names: str) -> None:
        with usual_ports_taken():  # other tests want these while a service moves
            self.environments.start("databases", self.name, names)

    def add(self, service: str, kind: str, *directions: str, seconds: float | None = None, **numbers: float
            ) -> LastingFault | None:
        added = self.faults.add(self.name, service, kind_of(kind), directions or ("downstream",),
                                numbers_of(kind_of(kind), numbers), seconds)
        return added.faults[0] if added.faults else None

    def port(self, service: str) -> int:
        return reached(self.environments.instance(self.name, service).spec).port

    def front(self, service: str) -> relay.Relay:
        broken = self.environments.breakages.read(environment_id(self.name, self.home))
        found = broken.front(service) if broken is not None else None
        assert found is not None
        return found

    def redis(self) -> redis.Redis:
        url = self.environments.variables(self.name)["REDIS_URL"]
        return redis.Redis.from_url(url, socket_timeout=20, retry=None)  # type: ignore[no-any-return]

    def postgres(self) -> psycopg.Connection:
        return psycopg.connect(self.environments.variables(self.name)["DATABASE_URL"], autocommit=True)


@pytest.fixture
def play(engine: Engine, tmp_path: Path) -> Iterator[Play]:
    made = Play(engine, tmp_path)
    try:
        yield made
    finally:
        made.environments.clean([made.name])


def seconds_of(client: redis.Redis) -> float:
    began = time.monotonic()
    assert client.ping()
    return time.monotonic() - began


def test_postgres_becomes_slow_at_the_address_that_it_had(play: Play) -> None:
    """Its data, address and password are the same; later faults come and go on one connection."""
    play.start("postgres")
    port = play.port("postgres")
    with play.postgres() as one:
        one.execute("CREATE TABLE kept (id int)")

    play.add("postgres", "latency", "downstream", ms=150)

    assert play.port("postgres") == port
    with play.postgres() as one:
        began = time.monotonic()
        assert one.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert time.monotonic() - began >= 0.15
        pid = one.execute("SELECT pg_backend_pid()").fetchone()
        play.faults.heal(play.name)
        assert play.add("postgres", "latency", "upstream", ms=100)
        began = time.monotonic()
        assert one.execute("SELECT pg_backend_pid()").fetchone() == pid
        assert time.monotonic() - began >= 0.1
        play.add("postgres", "reset_peer")
        with pytest.raises(psycopg.OperationalError):
            one.execute("SELECT 1")
    play.faults.heal(play.name)
    with play.postgres() as one:
        one.execute("INSERT INTO kept VALUES (1)")

    process = play.front("postgres")
    play.environments.stop([play.name])
    assert not relay.alive(process)
    play.start("postgres")

    spec = play.environments.instance(play.name, "postgres").spec
    assert (spec.port, dict(spec.links)) == (port, {})
    with play.postgres() as one:
        assert one.execute("SELECT count(*) FROM kept").fetchone() == (1,)


def test_the_services_own_faults_are_healed(play: Play) -> None:
    """Paused, killed, stopped, started anew: each is one fault that ends as it began; the data of redis' disk stays."""
    play.start("redis")
    assert seconds_of(play.redis()) < 20
    for kind, state in (("pause", State.PAUSED), ("kill", State.EXITED), ("stop", State.EXITED)):
        fault = play.add("redis", kind)
        assert play.environments.instance(play.name, "redis").state is state
        with pytest.raises(EnvironmentFault, match="must be healed first") as caught:
            play.add("redis", "latency", ms=5)
        assert caught.value.code == "fault-there"
        assert fault is not None
        play.faults.heal(play.name, [fault.id])
        assert seconds_of(play.redis()) < 20
    before = play.environments.instance(play.name, "redis").incarnation
    play.add("redis", "restart")
    assert play.environments.instance(play.name, "redis").incarnation != before
    assert play.faults.active(play.name) == []
    assert not list(play.home.faults.glob("*"))
    with pytest.raises(UsageError, match="has no fault 7"):
        play.faults.heal(play.name, ["7"])


def test_a_fault_ends_by_itself_when_its_time_is_over(play: Play) -> None:
    """Of a connection the process in front of it ends it; of a service the command that waits for it does."""
    play.start("redis")
    with contextlib.closing(play.redis()) as client:
        assert seconds_of(client) < 20
        play.add("redis", "timeout", seconds=1.0)
        began = time.monotonic()
        assert play.redis().ping()
        assert 0.2 < time.monotonic() - began < 10
    play.faults.mend()
    assert play.faults.active(play.name) == []
    play.add("redis", "pause", seconds=0.2)
    until(lambda: not play.faults.active(play.name))
    play.faults.mend()
    assert play.environments.instance(play.name, "redis").state is State.RUNNING


def test_a_killed_process_in_front_is_replaced_and_its_faults_are_over(play: Play) -> None:
    """By the next command, within a second of its start; who is stopped counts as killed."""
    play.start("redis")
    play.add("redis", "latency", ms=30_000)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        before = play.front("redis")
        os.kill(before.pid, number)
        until(lambda before=before: not relay.alive(before))  # type: ignore[misc]
        said: list[str] = []

        play.faults.mend(on_healed=said.append)

        assert seconds_of(play.redis()) < 20
        assert play.front("redis").pid != before.pid
        assert said
        assert play.faults.active(play.name) == []
        play.add("redis", "latency", ms=30_000)


def test_a_service_that_ends_under_a_fault_is_started_again(play: Play, engine: Engine) -> None:
    """The fault of its connections stays: that is what the learner asked for."""
    play.start("redis")
    fault = play.add("redis", "latency", ms=100)
    engine.kill(play.environments.instance(play.name, "redis").spec.name)

    play.faults.mend()

    assert seconds_of(play.redis()) >= 0.1
    assert play.faults.active(play.name) == [fault]


def test_what_deletes_ends_what_stands_in_front(play: Play) -> None:
    """After a reset the service is where it was, empty, and nothing else listens."""
    play.start("redis")
    port = play.port("redis")
    play.add("redis", "latency", ms=100)
    process = play.front("redis")

    play.environments.reset(play.name, "redis")

    assert not relay.alive(process)
    assert play.environments.instance(play.name, "redis").spec.port == port
    assert play.redis().dbsize() == 0
    play.add("redis", "latency", ms=100)
    process = play.front("redis")
    play.environments.clean([play.name])
    assert not relay.alive(process)
    assert not list(play.home.faults.glob("*"))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_without_our_notes_the_next_start_brings_it_home(play: Play) -> None:
    """All that is known of an environment travels with its services: the process ends by itself."""
    play.start("redis")
    port = play.port("redis")
    play.add("redis", "latency", ms=100)
    process = play.front("redis")
    for path in play.home.faults.glob("*"):
        path.unlink()
    until(lambda: not relay.alive(process))

    play.start("redis")

    spec = play.environments.instance(play.name, "redis").spec
    assert (spec.port, dict(spec.links)) == (port, {})
    assert seconds_of(play.redis()) < 20


def test_what_cannot_be_broken_says_so(play: Play) -> None:
    """Each with a code, and what to do instead."""
    for service, kind, code in (("redis", "pause", "not-started"), ("pair", "latency", "unsupported"),
                                ("note", "pause", "unsupported")):
        if service != "redis":
            play.environments.start("databases", play.name, [service])
        with pytest.raises(EnvironmentFault) as caught:
            play.add(service, kind, **({"ms": 5.0} if kind == "latency" else {}))
        assert caught.value.code == code
        assert caught.value.hint
