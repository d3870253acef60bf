"""What every engine promises: the sentences of ``orchestrator/engines/base.py``, each held against each engine."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from support.bench import Bench
from support.wait import until

from orchestrator.engines import folders, spec_json
from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Endpoint, Instance, InstanceSpec, State


def found(bench: Bench, spec: InstanceSpec) -> Instance:
    instance = bench.engine.inspect(spec.name)
    assert instance is not None
    return instance


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


# --- pause -----------------------------------------------------------------------------------------------------------


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


# --- remove ----------------------------------------------------------------------------------------------------------


def test_removed_without_its_data_it_is_missing(bench: Bench) -> None:
    """`remove` leaves the data: the instance is listed as `MISSING` with its spec, and a new one gets the data."""
    spec = bench.up()
    bench.write(spec, "still here")

    bench.engine.remove(spec.name, data=False)

    assert found(bench, spec) == Instance(spec, State.MISSING)
    assert bench.listed() == {spec.name: "missing"}

    bench.up(spec)

    assert bench.read(spec) == "still here"
    assert bench.listed() == {spec.name: "running"}


@pytest.mark.parametrize("service", ["mongodb", "postgres", "redis"])
def test_removed_with_its_data_nothing_is_left(bench: Bench, service: str) -> None:
    """`remove` with data, of a running instance: it is gone at once, and a new one of that name is empty."""
    spec = bench.up(bench.spec(service))
    if service == "redis":
        bench.write(spec, "gone")

    bench.engine.remove(spec.name, data=True)

    assert bench.engine.inspect(spec.name) is None
    assert bench.listed() == {}

    again = dataclasses.replace(spec, credentials=bench.recipe(service).credentials())
    bench.up(again)

    if service == "redis":
        assert bench.read(again) is None


def test_data_that_is_not_to_be_kept_goes_with_its_instance(bench: Bench) -> None:
    """Without `keep_data` even a plain `remove` leaves nothing."""
    spec = bench.up(bench.spec(keep_data=False))

    bench.engine.remove(spec.name, data=False)

    assert bench.engine.inspect(spec.name) is None
    assert bench.listed() == {}


def test_missing_data_can_be_removed(bench: Bench) -> None:
    """What is `MISSING` goes by `remove` with data."""
    spec = bench.created()
    bench.engine.remove(spec.name, data=False)

    bench.engine.remove(spec.name, data=True)

    assert bench.listed() == {}


def test_removing_nothing_is_harmless(bench: Bench) -> None:
    """`remove` of an unknown name, and of one that is gone: nothing happens."""
    spec = bench.created()
    for _ in range(2):
        bench.engine.remove(spec.name, data=True)
    bench.engine.remove("labs-nobody-knows-redis", data=True)

    assert bench.engine.inspect("labs-nobody-knows-redis") is None


def test_four_removals_at_once_all_succeed(bench: Bench) -> None:
    """Removals of one instance may race each other, as a sweep and a `clean` do: each returns when it is gone."""
    spec = bench.up()

    def remove(_: int) -> Instance | None:
        bench.engine.remove(spec.name, data=True)
        return bench.engine.inspect(spec.name)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(remove, range(4))) == [None] * 4


# --- list ------------------------------------------------------------------------------------------------------------


def test_a_list_has_only_what_was_asked_for(bench: Bench) -> None:
    """`list` is by owner; environment and lease narrow it. What belongs to others is never in it."""
    other = f"{bench.environment}-b"
    mine = bench.created()
    second = bench.created(bench.spec(environment=other, lease="lease-2"))
    theirs = bench.created(bench.spec(environment=f"{bench.environment}-c", installation=bench.foreign))

    assert bench.listed() == {mine.name: "exited", second.name: "exited"}
    assert bench.listed(environment=other) == {second.name: "exited"}
    assert bench.listed(lease="lease-1") == {mine.name: "exited"}
    assert bench.listed(environment=other, lease="lease-1") == {}
    assert bench.engine.list(user=f"not-{bench.user}", installation=bench.installation) == []
    assert [one.spec for one in bench.engine.list(user=bench.user, installation=bench.foreign)] == [theirs]


def test_a_recreated_instance_belongs_to_its_new_lease(bench: Bench) -> None:
    """Data made under an old lease, used by a new instance, is not listed under the old one: a sweep would take it."""
    old = bench.created()
    bench.engine.remove(old.name, data=False)
    new = bench.created(dataclasses.replace(old, owner=dataclasses.replace(old.owner, lease="lease-2")))

    assert bench.listed(lease="lease-1") == {}
    assert bench.listed(lease="lease-2") == {new.name: "exited"}


def test_an_unknown_name_is_nothing(bench: Bench) -> None:
    """`inspect` says `None`, `logs` are empty, and `start` says that there is nothing to start."""
    assert bench.engine.inspect("labs-nobody-knows-redis") is None
    assert bench.engine.logs("labs-nobody-knows-redis") == ""
    with pytest.raises(EnvironmentFault):
        bench.engine.start("labs-nobody-knows-redis")


# --- logs ------------------------------------------------------------------------------------------------------------


def test_logs_are_what_the_service_wrote(bench: Bench) -> None:
    """`logs` are oldest first; `tail` gives the last lines; they are there after the end, too."""
    spec = bench.up()
    log = until(lambda: bench.engine.logs(spec.name) if "eady to accept" in bench.engine.logs(spec.name) else "")
    last = bench.engine.logs(spec.name, tail=2)

    assert last.splitlines() == log.splitlines()[-2:]

    bench.engine.stop(spec.name)
    log = bench.engine.logs(spec.name)

    assert log.index("eady to accept") < log.index("bye bye")


def test_logs_of_this_start_are_told_apart(bench: Bench) -> None:
    """With `since_start` what earlier starts wrote is left out, whether it runs or has ended."""
    spec = bench.up()
    until(lambda: "eady to accept" in bench.engine.logs(spec.name, since_start=True))
    bench.engine.stop(spec.name)
    bench.engine.start(spec.name)
    until(lambda: "eady to accept" in bench.engine.logs(spec.name, since_start=True))

    this, everything = bench.engine.logs(spec.name, since_start=True), bench.engine.logs(spec.name)
    assert (this.count("eady to accept"), everything.count("eady to accept")) == (1, 2)
    assert "bye bye" not in this


def test_logs_can_be_followed(bench: Bench) -> None:
    """`follow` gives a program that shows the log and goes on, or nothing, and then the caller polls."""
    spec = bench.up()
    argv = bench.engine.follow(spec.name)
    if argv is None:
        assert "eady to accept" in until(lambda: bench.engine.logs(spec.name))
        return
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as follower:
        assert follower.stdout is not None
        try:
            assert any("eady to accept" in line for line in follower.stdout)
            assert follower.poll() is None
        finally:
            follower.kill()


# --- kept environments -----------------------------------------------------------------------------------------------


def test_the_mark_of_a_kept_environment(bench: Bench) -> None:
    """`keep` and `unkeep` may each come twice; a mark is its owner's alone and is no instance."""
    other = f"{bench.environment}-b"
    mine = {"user": bench.user, "installation": bench.installation}
    for environment in (bench.environment, bench.environment, other):
        bench.engine.keep(environment, **mine)

    assert bench.engine.kept(**mine) == {bench.environment, other}
    assert bench.engine.kept(user=bench.user, installation=bench.foreign) == frozenset()
    assert bench.listed() == {}

    bench.engine.unkeep(other, user=bench.user, installation=bench.foreign)
    assert bench.engine.kept(**mine) == {bench.environment, other}

    for _ in range(2):
        bench.engine.unkeep(bench.environment, **mine)
    assert bench.engine.kept(**mine) == {other}


# --- what an older version made --------------------------------------------------------------------------------------

FIRST = {"service", "name", "name_given", "lab", "owner", "credentials", "port", "keep_data", "config"}
"""What the first version's specs had. A spec that lacks all that came later must stay a spec."""


def test_what_an_older_version_made_is_still_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its objects say less of themselves: they are listed, started, stopped and removed all the same."""
    whole = spec_json.encode
    monkeypatch.setattr(spec_json, "encode", lambda spec: {
        name: value for name, value in whole(spec).items() if name in FIRST})
    monkeypatch.setattr(folders, "encode", spec_json.encode)
    spec = bench.up()
    bench.write(spec, "old")
    assert FIRST < whole(spec).keys()
    monkeypatch.undo()

    assert bench.engine.list(user=bench.user, installation=bench.installation) == [found(bench, spec)]
    assert found(bench, spec).spec == spec
    bench.engine.stop(spec.name)
    bench.start(spec)
    assert bench.read(spec) == "old"
    bench.engine.remove(spec.name, data=False)
    bench.up(spec)
    assert bench.read(spec) == "old"
    bench.engine.remove(spec.name, data=True)
    assert bench.listed() == {}


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
