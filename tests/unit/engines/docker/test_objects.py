"""What is asked of Docker and what its answers mean, without Docker."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from support.embedded import spec_of as make_spec
from support.fake_docker import environ_of, fake_docker, scripted, silent_docker

from orchestrator import resources, services
from orchestrator.engines.base import PortBusy
from orchestrator.engines.docker import connection as docker_connection
from orchestrator.engines.docker.address import Address
from orchestrator.engines.docker.connection import Connection
from orchestrator.engines.docker.engine import DockerEngine
from orchestrator.engines.docker.local import local_name
from orchestrator.engines.docker.objects import (
    NEVER,
    create_request,
    fault_of,
    instance_of,
    labels_of,
    same_owner,
    spec_of,
)
from orchestrator.errors import EnvironmentFault
from orchestrator.model import ContainerSpec, Instance, InstanceSpec, State

CONTAINER = ContainerSpec(
    image="thing:1", command=("serve",), entrypoint=None, environment={"A": "1"}, ports={"": 70}, volumes={"": "/data"},
    memory=64 * 2**20, cpus=0.5, pids=64, shm_size=2**20, ulimits={"nofile": 1024}, stop_signal="SIGINT", stop_grace=7)


def request(spec: InstanceSpec | None = None, container: ContainerSpec = CONTAINER, *, keep_data: bool = True,
            podman: bool = False, network: str | None = None) -> dict[str, Any]:
    from docker import APIClient

    with closing(APIClient("unix:///nowhere.sock", version="1.41")) as api:
        spec = spec or make_spec("redis", port=6000, keep_data=keep_data)
        found: dict[str, Any] = create_request(api, container, "local:1", spec, podman=podman, network=network)
    return found


def found(state: dict[str, Any], labels: dict[str, str] | None) -> dict[str, Any]:
    return {"Id": "0123456789abcdef", "Config": {"Labels": labels},
            "State": {"StartedAt": "2026-01-01T00:00:00.5Z", "ExitCode": 0} | state}


def test_a_create_request_has_every_limit_and_only_the_loopback() -> None:
    """Memory, CPU, processes, files, shared memory; the port at 127.0.0.1 alone; nothing privileged."""
    made = request()
    host = made["HostConfig"]

    assert host["PortBindings"] == {"70/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6000"}]}
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"], host["ShmSize"]) == (2**26, 500_000_000, 64, 2**20)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 1024}]
    assert not host.get("Privileged")
    assert "Binds" not in host
    assert (made["StopSignal"], made["StopTimeout"], made["Image"], made["Cmd"]) == ("SIGINT", 7, "local:1", ["serve"])
    assert made["Labels"] == labels_of(make_spec("redis", port=6000))


def test_only_data_that_is_kept_has_a_volume_of_its_own() -> None:
    """Kept data is in a named volume; other data goes with the container."""
    (mount,) = request()["HostConfig"]["Mounts"]

    assert (mount["Source"], mount["Target"], mount["Type"]) == ("labs-env-1-redis-data", "/data", "volume")
    assert "Mounts" not in request(keep_data=False)["HostConfig"]


def test_every_endpoint_and_volume_is_asked_for() -> None:
    """Each port on its own of the spec, each volume under its own name."""
    spec = dataclasses.replace(make_spec("redis", port=6000), more_ports={"keeper": 6001})
    several = dataclasses.replace(CONTAINER, ports={"keeper": 71, "": 70}, volumes={"": "/data", "log": "/log"})
    host = request(spec, several)["HostConfig"]

    assert host["PortBindings"] == {"70/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6000"}],
                                    "71/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6001"}]}
    assert [(mount["Source"], mount["Target"]) for mount in host["Mounts"]] == [
        ("labs-env-1-redis-data", "/data"), ("labs-env-1-redis-data-log", "/log")]


@pytest.mark.parametrize("ports", [{}, {"keeper": 6001}])
def test_endpoints_that_do_not_agree_are_refused(ports: dict[str, int]) -> None:
    """A port that the file publishes and the service does not know, or the other way round: both are named."""
    spec = dataclasses.replace(make_spec("redis", port=6000), more_ports=ports)
    container = dataclasses.replace(CONTAINER, ports={"": 70, **({} if ports else {"keeper": 71})})

    with pytest.raises(EnvironmentFault, match="keeper, the main one") as caught:
        request(spec, container)
    assert caught.value.code == "compose-unsupported"


def test_a_node_has_its_name_in_its_groups_network() -> None:
    """As host name and as the alias that the others look for."""
    spec = dataclasses.replace(make_spec("redis", port=6000), node=2, node_ports=(6003, 6000))
    made = request(spec, network="0123abcd")

    assert (made["Hostname"], made["HostConfig"]["NetworkMode"]) == ("node-2", "0123abcd")
    assert made["NetworkingConfig"]["EndpointsConfig"]["0123abcd"]["Aliases"] == ["node-2"]
    assert not request().get("Hostname")


def test_podman_is_not_asked_for_what_it_lacks() -> None:
    """Docker's log files are capped; Podman has other log drivers and is left its own."""
    assert request()["HostConfig"]["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "2"}
    assert "LogConfig" not in request(podman=True)["HostConfig"]


@pytest.mark.parametrize(("state", "seen"), [
    ({"Running": True}, (State.RUNNING, None, False)),
    ({"Running": True, "Paused": True}, (State.PAUSED, None, False)),
    ({"Running": False, "ExitCode": 3}, (State.EXITED, 3, False)),
    ({"Running": False, "ExitCode": 137, "OOMKilled": True}, (State.EXITED, 137, True)),
    ({"Status": "removing", "Dead": True, "ExitCode": 1}, (State.EXITED, 1, False)),
])
def test_states(state: dict[str, Any], seen: tuple[State, int | None, bool]) -> None:
    """Running, paused, ended with its code, ended for want of memory."""
    spec = make_spec("redis")

    assert instance_of(found(state, labels_of(spec))) == Instance(spec, *seen, "0123456789ab:2026-01-01T00:00:00.5Z")


@pytest.mark.parametrize("started", [NEVER, "", None, "0001-01-01T00:00:00+00:00"])
def test_what_never_started_has_no_exit_code(started: str | None) -> None:
    """Docker says exit code 0 of a container that never ran, and 128 of one whose port was taken."""
    spec = make_spec("redis")

    assert instance_of(found({"StartedAt": started, "ExitCode": 128}, labels_of(spec))) == Instance(spec, State.EXITED)


@pytest.mark.parametrize("labels", [None, {}, {"dev.backend-labs.spec": "{"}, {"dev.backend-labs.spec": "[]"}])
def test_what_is_not_ours_is_nothing(labels: dict[str, str] | None) -> None:
    """Objects without our labels, or with broken ones, are not instances."""
    assert spec_of(labels) is None
    assert instance_of(found({"Running": True}, labels)) is None


def test_a_volume_belongs_to_its_user_installation_and_name() -> None:
    """Data of another user, installation or instance is never taken over."""
    mine = labels_of(make_spec("redis"))

    assert same_owner(mine | {"dev.backend-labs.lease": "older"}, mine)
    for key in ("user", "installation", "name"):
        assert not same_owner(mine | {f"dev.backend-labs.{key}": "other"}, mine)
    assert not same_owner(mine | {"dev.backend-labs.kept": "env-1"}, mine)
    assert not same_owner(None, mine)


@pytest.mark.parametrize(("status", "text", "code"), [
    (500, "driver failed programming external connectivity: Bind for 127.0.0.1:5432 failed: port is already allocated",
     "port-busy"),
    (500, "Error starting userland proxy: listen tcp4 127.0.0.1:5432: bind: address already in use", "port-busy"),
    (500, "Ports are not available: exposing port TCP 127.0.0.1:5432", "port-busy"),
    (500, "rootlessport listen tcp 127.0.0.1:5432: bind: address already in use", "port-busy"),
    (500, "mkdir /var/lib/docker/overlay2/x: no space left on device", "disk-full"),
    (500, "write /x: disk quota exceeded", "disk-full"),
    (404, "No such image: redis:8", "image-missing"),
    (404, "redis:8: image not known", "image-missing"),
    (409, 'Conflict. The container name "/x" is already in use by container "y"', "exists"),
    (409, "removal of container x is already in progress", "engine-failed"),
    (500, "something else", "engine-failed"),
])
def test_refusals_by_their_cause(status: int, text: str, code: str) -> None:
    """Docker's and Podman's words for the same cause have the same code, and always a next command."""
    class Refusal:
        status_code, explanation = status, text

    fault = fault_of("redis could not be started", Refusal())

    assert (fault.code, bool(fault.hint)) == (code, True)
    assert fault.message.startswith("redis could not be started: ")


@pytest.mark.parametrize(("text", "port"), [
    ("driver failed on endpoint labs-x (4f5e:0): Bind for 127.0.0.1:5432 failed: port is already allocated", 5432),
    ("listen tcp4 127.0.0.1:15672: bind: address already in use", 15672),
    ("listen tcp [::1]:80: bind: address already in use", 80),
    ("port is already allocated", 0),
])
def test_a_taken_port_is_named(text: str, port: int) -> None:
    """A service may have several: whoever chooses another one must know which."""
    class Refusal:
        status_code, explanation = 500, text

    fault = fault_of("redis could not be started", Refusal())

    assert isinstance(fault, PortBusy)
    assert (fault.port, str(port) in fault.message) == (port, port > 0)


def test_an_engine_that_hangs_later_hangs_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A daemon that stops answering in the middle is `engine-unreachable` after the time for that kind of call."""
    from docker import APIClient

    with silent_docker() as path:
        url = f"unix://{path}"
        look, change = (APIClient(url, version="1.41", timeout=0.2) for _ in range(2))
        engine = DockerEngine(Connection(Address(url, "test"), look, change, "20.10.24", podman=False), tmp_path / "t")
        with closing(engine):
            for call in (lambda: engine.inspect("labs-x-redis"), lambda: engine.list(user="1", installation="i"),
                         lambda: engine.remove("labs-x-redis", data=True), lambda: engine.offer(services.recipe("redis")),
                         lambda: engine.kept(user="1", installation="i")):
                began = time.monotonic()
                with pytest.raises(EnvironmentFault) as caught:
                    call()

                assert (caught.value.code, time.monotonic() - began < 2) == ("engine-unreachable", True)
    assert docker_connection.LOOK_SECONDS <= 15
    assert docker_connection.CHANGE_SECONDS <= 90


def test_an_absent_image_is_said_and_never_pulled(tmp_path: Path) -> None:
    """`offer` and `create` of an absent image ask for nothing but a look."""
    recipe = services.recipe("redis")
    with fake_docker(scripted({})) as (path, asked):
        with closing(DockerEngine.connect(tmp_path / "table.json", environ=environ_of(path))) as engine:
            offer = engine.offer(recipe)
            with pytest.raises(EnvironmentFault) as caught:
                engine.create(make_spec("redis"), recipe)

    assert (offer.available, offer.reason) == (False, "image-missing")
    assert offer.remedy
    assert (caught.value.code, caught.value.hint) == ("image-missing", "labs pull databases redis")
    assert {line.split()[0] for line in asked} == {"GET"}


def test_the_image_built_here_stands_in_for_upstreams(tmp_path: Path) -> None:
    """Upstream's image if it is here; else the one that the table names for it; a broken table is no table."""
    recipe = services.recipe("redis")
    local = (200, {"Id": "sha256:1"})
    table = tmp_path / "table.json"
    table.write_text('{"redis:8": "backend-labs/redis:1"}')
    only_local = {"GET /images/backend-labs/redis:1/json": local}
    for answers, expected in ((only_local, "backend-labs/redis:1"),
                              (only_local | {"GET /images/redis:8/json": local}, "redis:8")):
        with fake_docker(scripted(answers)) as (path, _):
            with closing(DockerEngine.connect(table, environ=environ_of(path))) as engine:
                assert engine.offer(recipe).expected == expected
                table_text = table.read_text()
                table.write_text("[")
                assert engine.offer(recipe).available is (expected == "redis:8")
                table.write_text(table_text)


def test_a_failed_pull_is_one_line(tmp_path: Path) -> None:
    """Offline, refused, rate-limited: what the engine said, and how to do without a registry."""
    refusal = {"POST /images/create": (500, {"message": "Get https://registry: dial tcp: no such host"})}
    with fake_docker(scripted(refusal)) as (path, asked):
        with closing(DockerEngine.connect(tmp_path / "table.json", environ=environ_of(path))) as engine:
            with pytest.raises(EnvironmentFault, match="no such host") as caught:
                engine.fetch(services.recipe("redis"), lambda line: None)

    assert (caught.value.code, caught.value.hint) == ("pull-failed", "labs images build redis")
    assert "POST /images/create" in asked


def test_an_image_that_was_built_for_another_home_is_found(tmp_path: Path) -> None:
    """Without any table: `start` runs what `labs images list` says is built."""
    built = local_name(services.recipe("redis"))
    with fake_docker(scripted({f"GET /images/{built}/json": (200, {"Id": "sha256:1"})})) as (path, _):
        with closing(DockerEngine.connect(tmp_path / "none.json", environ=environ_of(path))) as engine:
            assert engine.offer(services.recipe("redis")).expected == built


def test_a_failed_pull_of_what_cannot_be_built_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service without an image of ours: nobody is told to build it."""
    monkeypatch.setattr(resources, "images_folder", lambda: tmp_path)
    with fake_docker(scripted({"POST /images/create": (500, {"message": "no such host"})})) as (path, _):
        with closing(DockerEngine.connect(tmp_path / "table.json", environ=environ_of(path))) as engine:
            assert "build" not in engine.offer(services.recipe("redis")).remedy
            with pytest.raises(EnvironmentFault) as caught:
                engine.fetch(services.recipe("redis"), lambda line: None)

    assert caught.value.hint == "labs doctor"


@pytest.mark.parametrize("store", ['"credsStore": "nowhere"', '"credHelpers": {"https://index.docker.io/v1/": "nowhere"}'])
@pytest.mark.filterwarnings("error")
def test_a_pull_goes_on_where_the_program_that_keeps_logins_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    """Public images need no login: none is sent, and the person is told. (Docker Desktop leaves such settings behind.)"""
    (tmp_path / "config.json").write_text(f"{{{store}}}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    said: list[str] = []
    with fake_docker(scripted({"POST /images/create": (200, {"status": "Pull complete"})})) as (path, asked):
        with closing(DockerEngine.connect(tmp_path / "table.json", environ=environ_of(path))) as engine:
            engine.fetch(services.recipe("redis"), said.append)

    assert "POST /images/create" in asked
    assert [line for line in said if "login" in line] == [
        "pulling without a login: docker-credential-nowhere not installed or not available in PATH"]


@pytest.mark.parametrize("refusal", [
    "NanoCPUs can not be set, as your kernel does not support CPU cfs period/quota or the cgroup is not mounted",
    "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
    "range of CPUs is from 0.01 to 1.00, as there are only 1 CPUs available",
])
def test_an_engine_that_cannot_limit_cpu_time_is_asked_again_without(tmp_path: Path, refusal: str) -> None:
    """Once: what is refused then, and every other refusal, is said."""
    recipe = services.recipe("redis")
    answers = {f"GET /images/{local_name(recipe)}/json": (200, {"Id": "sha256:1"})}
    for last in ((201, {"Id": "1"}), (400, {"message": refusal})):
        replies = iter([(400, {"message": refusal}), last])

        def answer(method: str, path: str, replies: Iterator[Any] = replies) -> Any:
            return next(replies) if path == "/containers/create" else scripted(answers)(method, path)

        with fake_docker(answer) as (path, asked):
            with closing(DockerEngine.connect(tmp_path / "none.json", environ=environ_of(path))) as engine:
                spec = make_spec("redis", port=6000, keep_data=False)
                with pytest.raises(EnvironmentFault) if last[0] == 400 else nullcontext():
                    engine.create(spec, recipe)

        assert asked.count("POST /containers/create") == 2
