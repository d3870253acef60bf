"""What every engine promises of services that are not one process with one port: endpoints, nodes, files.

The services are those of other distributions, from ``tests/toys``.
"""

from __future__ import annotations

import dataclasses
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from support.bench import Bench, found
from support.wait import until

from orchestrator.engines.base import PortBusy
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec, State


def ask(spec: InstanceSpec, line: str, *, endpoint: str = "") -> str:
    """What this node of ``pair`` answers."""
    from toy_pair.wire import ask as asked

    login = spec.credentials
    answer: str = asked("127.0.0.1", spec.ports[endpoint], login.user, login.password, line, seconds=5)
    return answer


def pair(bench: Bench, *, keep_data: bool = True) -> tuple[InstanceSpec, InstanceSpec]:
    """Both nodes, running and ready."""
    first, second = bench.nodes("pair", keep_data=keep_data)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bench.up, (first, second)))
    return first, second


def one(bench: Bench, **wanted: bool) -> InstanceSpec:
    """The service with one node only: then it needs nobody."""
    return bench.spec("pair", **wanted)


# --- several endpoints ---------------------------------------------------------------------------------------------


def test_every_endpoint_has_its_port(bench: Bench) -> None:
    """Each endpoint answers at 127.0.0.1 on the port that the spec gives it, and only there."""
    spec = bench.up(one(bench))

    assert ask(spec, "SET a 1") == "OK 1"
    assert ask(spec, "NODES", endpoint="keeper") == "1"
    with pytest.raises(ConnectionError, match="no such word"):
        ask(spec, "NODES")


@pytest.mark.parametrize("endpoint", ["", "keeper"])
def test_the_port_that_is_taken_is_named(bench: Bench, endpoint: str) -> None:
    """`port-busy` says which of the ports it is; nothing runs, and with all ports free it starts."""
    spec = bench.created(one(bench))
    with closing(socket.create_server(("127.0.0.1", spec.ports[endpoint]))):
        with pytest.raises(PortBusy, match=str(spec.ports[endpoint])) as caught:
            bench.engine.start(spec.name)

        assert (caught.value.code, caught.value.port) == ("port-busy", spec.ports[endpoint])
        assert found(bench, spec).state is State.EXITED

    bench.start(spec)

    assert ask(spec, "GET a") == "-"


def test_an_endpoint_without_a_port_is_refused(bench: Bench) -> None:
    """An instance made by an older version knows fewer endpoints: it cannot be made again without asking for ports."""
    spec = dataclasses.replace(one(bench), more_ports={})

    with pytest.raises((EnvironmentFault, KeyError), match="keeper"):
        bench.created(spec)

    assert bench.listed() in ({}, {spec.name: "missing"})


def test_all_data_is_kept_wherever_it_is(bench: Bench) -> None:
    """Several volumes: all of them outlive the instance, and all of them go with its data."""
    spec = bench.up(one(bench))
    ask(spec, "SET a 1")
    bench.engine.remove(spec.name, data=False)

    assert bench.listed() == {spec.name: "missing"}

    bench.up(spec)
    assert ask(spec, "GET a") == "1"
    bench.engine.remove(spec.name, data=True)

    assert bench.listed() == {}
    bench.up(spec)
    assert ask(spec, "GET a") == "-"


# --- several nodes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_data", [True, False])
def test_nodes_find_each_other(bench: Bench, keep_data: bool) -> None:
    """Made side by side, each in any order: every node reaches every other one."""
    first, second = pair(bench, keep_data=keep_data)

    assert ask(first, "SET a 1") == "OK 2"
    assert ask(second, "SET b 2") == "OK 2"
    assert (ask(second, "GET a"), ask(first, "GET b")) == ("1", "2")
    assert bench.listed() == {first.name: "running", second.name: "running"}


@pytest.mark.parametrize("fault", ["stop", "kill", "pause"])
def test_each_node_is_stopped_killed_and_paused_by_itself(bench: Bench, fault: str) -> None:
    """The others go on, and find it again when it is back, at its old name and port."""
    first, second = pair(bench)

    getattr(bench.engine, fault)(second.name)

    assert ask(first, "SET a 1") == "OK 1"
    assert found(bench, first).state is State.RUNNING
    if fault == "pause":
        bench.engine.unpause(second.name)
    else:
        bench.start(second)

    assert until(lambda: ask(first, "SET b 2") == "OK 2")


def test_a_node_that_is_made_again_belongs_to_the_others(bench: Bench) -> None:
    """Removed and created anew, also when it was the first one: the group stays a group."""
    first, second = pair(bench)
    bench.engine.remove(first.name, data=True)

    assert bench.engine.inspect(first.name) is None
    assert bench.listed() == {second.name: "running"}
    assert ask(second, "SET a 1") == "OK 1"

    bench.up(first)

    assert until(lambda: ask(second, "SET b 2") == "OK 2")
    assert ask(first, "GET b") == "2"


def test_two_environments_have_nodes_of_their_own(bench: Bench) -> None:
    """Nodes of the same names in two environments are not each other's."""
    pairs = [pair(bench), [bench.up(spec) for spec in bench.nodes("pair", environment=f"{bench.environment}-b")]]
    for number, (first, second) in enumerate(pairs):
        assert ask(first, f"SET a {number}") == "OK 2"
        assert ask(second, "GET a") == str(number)


def test_nothing_is_left_of_a_group(bench: Bench) -> None:
    """Removed side by side, with data: nothing is listed, and a new group begins empty."""
    for _ in range(2):
        first, second = pair(bench)
        assert ask(first, "GET a") == "-"
        ask(first, "SET a 1")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda spec: bench.engine.remove(spec.name, data=True), (first, second)))

        assert bench.listed() == {}


# --- a file ----------------------------------------------------------------------------------------------------------


def run(spec: InstanceSpec, statement: str) -> list[tuple[object, ...]]:
    from toy_note.service import run as ran

    answer: list[tuple[object, ...]] = ran(spec.endpoint, statement)
    return answer


@pytest.fixture
def note(bench: Bench) -> InstanceSpec:
    """A service that is a file, started, with something in it."""
    spec = bench.up(bench.spec("note"))
    run(spec, "CREATE TABLE a (b)")
    run(spec, "INSERT INTO a VALUES (7)")
    return spec


def test_a_file_is_offered_on_every_engine(bench: Bench) -> None:
    """It needs neither image nor program."""
    offer = bench.engine.offer(bench.recipe("note"))

    assert (offer.available, offer.missing, bench.engine.size(bench.recipe("note"))) == (True, "", 0)
    assert bench.listed() == {}


def test_a_file_has_a_folder_of_its_own(bench: Bench, note: InstanceSpec) -> None:
    """`file` says where it will be before it is there; no other instance's is beside it."""
    other = bench.spec("note", environment=f"{bench.environment}-b")

    assert note.file == bench.engine.file(note.name, bench.recipe("note"))
    assert Path(note.file).name == "note.sqlite3"
    assert Path(note.file).is_file()
    assert Path(other.file).parent != Path(note.file).parent
    assert not Path(other.file).parent.exists()


def test_a_file_lives_like_any_instance(bench: Bench) -> None:
    """Created, started, stopped, started, removed: the states are those of a process, each start another incarnation."""
    spec = bench.created(bench.spec("note"))
    assert found(bench, spec) == Instance(spec, State.EXITED)
    with pytest.raises(EnvironmentFault, match="already"):
        bench.created(spec)

    bench.start(spec)
    first = found(bench, spec)
    bench.engine.start(spec.name)
    assert found(bench, spec) == first
    assert (first.state, first.exit_code) == (State.RUNNING, None)

    for _ in range(2):
        bench.engine.stop(spec.name)
        assert found(bench, spec).state is State.EXITED
    bench.start(spec)
    assert found(bench, spec).incarnation not in ("", first.incarnation)
    assert bench.listed(environment=bench.environment) == {spec.name: "running"}
    assert bench.listed(lease="other") == {}
    assert (bench.engine.logs(spec.name), bench.engine.follow(spec.name)) == ("", None)


def test_a_stopped_file_cannot_be_opened_and_comes_back(bench: Bench, note: InstanceSpec) -> None:
    """`stop` takes it out of its place, so that a server feels it; `start` brings it back with all that is in it."""
    bench.engine.stop(note.name)

    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        run(note, "SELECT b FROM a")
    bench.start(note)
    assert run(note, "SELECT b FROM a") == [(7,)]


def test_what_is_made_in_a_stopped_files_place_is_not_the_file(bench: Bench, note: InstanceSpec) -> None:
    """A server that makes a new one where the stopped one was does not replace it."""
    bench.engine.stop(note.name)
    Path(note.file).parent.mkdir()
    run(note, "CREATE TABLE other (b)")

    assert found(bench, note).state is State.EXITED
    bench.start(note)

    assert run(note, "SELECT b FROM a") == [(7,)]


def test_who_has_the_file_open_goes_on(bench: Bench, note: InstanceSpec) -> None:
    """`stop` closes nobody's file: what is written through it is there after `start`."""
    beside = Path(note.file).with_name("beside")
    with beside.open("w") as file:
        bench.engine.stop(note.name)
        file.write("written while it was stopped")

    assert not beside.exists()
    bench.start(note)
    assert beside.read_text() == "written while it was stopped"


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_file_is_neither_killed_nor_paused(bench: Bench, note: InstanceSpec, fault: str) -> None:
    """Nothing runs: it is refused, so that a check never believes that the fault is there."""
    before = found(bench, note)

    with pytest.raises(EnvironmentFault, match="is a file") as caught:
        getattr(bench.engine, fault)(note.name)

    assert (caught.value.code, bool(caught.value.hint)) == ("unsupported", True)
    bench.engine.unpause(note.name)
    assert found(bench, note) == before
    bench.engine.stop(note.name)
    bench.engine.kill(note.name)
    assert found(bench, note).state is State.EXITED


def test_a_files_data_stays_or_goes_as_any_data(bench: Bench, note: InstanceSpec) -> None:
    """Removed without its data it is missing and can be made again; with it, or without `keep_data`, nothing is left."""
    bench.engine.remove(note.name, data=False)
    assert found(bench, note) == Instance(note, State.MISSING)
    assert not Path(note.file).exists()

    bench.up(note)
    assert run(note, "SELECT b FROM a") == [(7,)]
    for _ in range(2):
        bench.engine.remove(note.name, data=True)
    assert bench.listed() == {}

    passing = bench.up(bench.spec("note", keep_data=False))
    bench.engine.remove(passing.name, data=False)
    assert bench.engine.inspect(passing.name) is None
    assert not Path(passing.file).parent.parent.exists()


def test_a_foreign_file_is_left_alone(bench: Bench, note: InstanceSpec) -> None:
    """Another installation's is neither listed nor taken over."""
    theirs = dataclasses.replace(note, owner=dataclasses.replace(note.owner, installation=bench.foreign))
    bench.engine.remove(note.name, data=False)

    with pytest.raises(EnvironmentFault) as caught:
        bench.created(theirs)

    assert caught.value.code == "exists"
    assert bench.engine.list(user=bench.user, installation=bench.foreign) == []


def test_files_and_processes_are_one_environment(bench: Bench, note: InstanceSpec) -> None:
    """One list, one mark: an environment may have both."""
    redis = bench.created()
    owner = {"user": bench.user, "installation": bench.installation}
    bench.engine.keep(bench.environment, **owner)

    assert bench.listed(environment=bench.environment) == {redis.name: "exited", note.name: "running"}
    assert bench.engine.kept(**owner) == {bench.environment}


def test_sqlite_is_such_a_file(bench: Bench) -> None:
    """The service of ours: its path is known before there is a file, which neither start nor probe makes."""
    spec = bench.up(bench.spec("sqlite"))
    recipe = bench.recipe("sqlite")
    path = Path(spec.file)

    assert recipe.environment(spec.endpoint, spec.credentials) == {"SQLITE_PATH": str(path)}
    assert (path.is_absolute(), path.name, list(path.parent.iterdir())) == (True, "app.sqlite3", [])

    path.write_text("kept")
    bench.engine.stop(spec.name)
    assert not bench.answers(spec, 0.1)
    bench.start(spec)
    assert path.read_text() == "kept"
