"""What every engine promises: the sentences of ``orchestrator/engines/base.py``, each held against each engine.

Those about pauses, removal, lists and logs have files of their own.
"""

from __future__ import annotations

import dataclasses
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from support.bench import Bench, found

from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Endpoint, Instance, State

# --- which engine, and what it can run ---------------------------------------------------------------------------


def test_an_engine_says_which_it_is_at_once(engine: Engine) -> None:
    """`info` answers within three seconds, and its key names kind and place."""
    began = time.monotonic()
    info = engine.info()

    assert time.monotonic() - began < 3
    assert info.version
    assert info.key.startswith(f"{info.name}:")
    assert info == engine.info()


@pytest.mark.parametrize("service", ["mongodb", "postgres", "redis"])
def test_an_offer_makes_nothing(bench: Bench, service: str) -> None:
    """`offer` says what would run, and starts, pulls and builds nothing."""
    offer = bench.engine.offer(bench.recipe(service))

    assert (offer.service, offer.available, offer.missing, offer.reason) == (service, True, "", "")
    assert offer.expected
    assert bench.listed() == {}


def test_what_is_here_is_not_fetched(bench: Bench) -> None:
    """`fetch` of something that can run already says nothing and does nothing."""
    said: list[str] = []
    bench.engine.fetch(bench.recipe(), said.append)

    assert said == []


# --- create --------------------------------------------------------------------------------------------------------


def test_a_created_instance_does_not_run_and_says_whose_it_is(bench: Bench) -> None:
    """`create` makes it, not running; the engine gives back the whole spec, quotes, accents and all."""
    spec = bench.spec()
    spec = dataclasses.replace(spec, credentials=dataclasses.replace(spec.credentials, password="p'\"\\$ {é}"))
    # No name of ours is in the service's settings when the password has a quote: it is never started.
    bench.created(spec)

    assert found(bench, spec) == Instance(spec, State.EXITED)
    assert bench.engine.list(user=bench.user, installation=bench.installation) == [Instance(spec, State.EXITED)]


def test_a_name_is_given_once(bench: Bench) -> None:
    """A second `create` of the same name is refused as `exists`, and the first is as it was."""
    spec = bench.up()
    before = found(bench, spec)

    with pytest.raises(EnvironmentFault) as caught:
        bench.created(spec)

    assert caught.value.code == "exists"
    assert found(bench, spec) == before


# --- start, stop, kill -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["mongodb", "postgres", "redis"])
def test_a_started_service_answers_on_its_port(bench: Bench, service: str) -> None:
    """After `start` the real product answers at 127.0.0.1 on the port and with the credentials of the spec."""
    spec = bench.up(bench.spec(service))
    recipe = bench.recipe(service)

    assert found(bench, spec).state is State.RUNNING
    assert found(bench, spec).exit_code is None
    assert recipe.product(Endpoint(spec.port), spec.credentials).version
    assert str(spec.port) in next(iter(recipe.environment(Endpoint(spec.port), spec.credentials).values()))


def test_only_this_machine_is_served(bench: Bench) -> None:
    """A service is reached on the loopback and on no other address of this machine."""
    spec = bench.up()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address would be used
        own = probe.getsockname()[0]

    assert not own.startswith("127.")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((own, spec.port), timeout=2)


def test_starting_what_runs_changes_nothing(bench: Bench) -> None:
    """`start` of a running instance: nothing happens, it is the same incarnation."""
    spec = bench.up()
    before = found(bench, spec)

    bench.engine.start(spec.name)

    assert found(bench, spec) == before


def test_a_taken_port_is_said_and_the_instance_stays(bench: Bench) -> None:
    """`start` on a taken port is `port-busy`; the instance stays created and starts once the port is free."""
    spec = bench.created()
    with closing(socket.create_server(("127.0.0.1", spec.port))):
        with pytest.raises(EnvironmentFault) as caught:
            bench.engine.start(spec.name)

        assert caught.value.code == "port-busy"
        assert caught.value.hint
        assert found(bench, spec).state is State.EXITED

    bench.start(spec)

    assert bench.answers(spec)


def test_two_services_cannot_share_a_port(bench: Bench) -> None:
    """A port taken by another instance is `port-busy`, too, and the other instance goes on."""
    first = bench.up()
    second = bench.created(bench.spec(environment=f"{bench.environment}-b", port=first.port))

    with pytest.raises(EnvironmentFault) as caught:
        bench.engine.start(second.name)

    assert caught.value.code == "port-busy"
    assert bench.answers(first)


@pytest.mark.parametrize("service", ["mongodb", "postgres", "redis"])
def test_a_stop_is_orderly(bench: Bench, service: str) -> None:
    """`stop` ends it by its stop signal: exit code 0, the port is free, and a second `stop` does nothing."""
    spec = bench.up(bench.spec(service))

    bench.engine.stop(spec.name)
    stopped = found(bench, spec)
    bench.engine.stop(spec.name)

    assert (stopped.state, stopped.exit_code, stopped.oom) == (State.EXITED, 0, False)
    assert found(bench, spec) == stopped
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", spec.port), timeout=2)


@pytest.mark.parametrize("keep_data", [True, False])
def test_data_outlives_stop_and_start(bench: Bench, keep_data: bool) -> None:
    """What was written is there after `stop` and `start`; every start is another incarnation."""
    spec = bench.up(bench.spec(keep_data=keep_data))
    first = found(bench, spec).incarnation
    bench.write(spec, "kept")

    bench.engine.stop(spec.name)
    bench.start(spec)

    assert bench.read(spec) == "kept"
    assert first
    assert found(bench, spec).incarnation not in ("", first)


@pytest.mark.parametrize("service", ["mongodb", "postgres", "redis"])
def test_a_killed_service_starts_again(bench: Bench, service: str) -> None:
    """`kill` is SIGKILL at once: its exit code says so; started again it recovers, as another incarnation."""
    spec = bench.up(bench.spec(service))
    first = found(bench, spec).incarnation

    bench.engine.kill(spec.name)
    dead = found(bench, spec)

    assert (dead.state, dead.oom) == (State.EXITED, False)
    assert dead.exit_code in (137, -9)
    assert not bench.answers(spec, patience=0.0)

    bench.start(spec)

    assert found(bench, spec).incarnation != first
    assert bench.answers(spec)


def test_a_kill_leaves_what_was_on_disk(bench: Bench) -> None:
    """Data that the service had synced is there after `kill` and `start`."""
    spec = bench.up()
    bench.write(spec, "on disk")

    bench.engine.kill(spec.name)
    bench.start(spec)

    assert bench.read(spec) == "on disk"


# --- several at once, several clients --------------------------------------------------------------------------------


def test_services_start_side_by_side(bench: Bench) -> None:
    """One engine object serves many threads at once."""
    specs = [bench.spec(environment=f"{bench.environment}-{number}", keep_data=False) for number in range(6)]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(bench.up, specs))

    assert bench.listed() == {spec.name: "running" for spec in specs}


def test_instances_outlive_the_engine_object(bench: Bench) -> None:
    """`close` lets go of connections; the services go on."""
    spec = bench.up()

    bench.engine.close()

    assert bench.answers(spec)


def test_a_password_is_not_in_what_people_see(bench: Bench) -> None:
    """An instance printed, in a message or a log line, shows no password."""
    spec = bench.created()
    seen = repr(bench.engine.list(user=bench.user, installation=bench.installation))

    assert spec.credentials.password not in seen
    assert spec.credentials.admin_password not in seen
