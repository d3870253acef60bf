"""``compose/<service>.yaml`` -> ``ContainerSpec``: what is understood, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import resources, services
from orchestrator.errors import EnvironmentFault
from orchestrator.model import ContainerSpec
from orchestrator.services.compose import read_container

NEEDED = """
    ports: ["127.0.0.1:${LABS_PORT:-7000}:70"]
    volumes: ["data:/data"]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 64
"""


def read(folder: Path, service: str, variables: dict[str, str] | None = None, *, above: str = "") -> ContainerSpec:
    file = folder / "thing.yaml"
    file.write_text(f"{above}services:\n  thing:\n    image: thing:1{NEEDED}{service}volumes:\n  data: {{}}\n")
    return read_container(file, variables or {})


def test_the_whole_subset(tmp_path: Path) -> None:
    """Every key that is supported arrives as the engine wants it: sizes in bytes, times in seconds."""
    spec = read(tmp_path, """
    entrypoint: [sh, -c, "echo $$HOME ${LABS_WHAT:-nothing}"]
    command: [serve, "--level", 3]
    environment: {A: text, B: 7, C: "${LABS_WHAT:-}"}
    ulimits: {nofile: 1024}
    shm_size: 128m
    stop_signal: SIGINT
    stop_grace_period: 1m30s
    healthcheck: {test: [CMD, "true"]}
""", {"LABS_WHAT": "it's ${here}"})

    assert spec == ContainerSpec(
        image="thing:1", command=("serve", "--level", "3"), entrypoint=("sh", "-c", "echo $HOME it's ${here}"),
        environment={"A": "text", "B": "7", "C": "it's ${here}"}, ports={"": 70}, volumes={"data": "/data"},
        memory=64 * 2**20, cpus=0.5, pids=64, shm_size=128 * 2**20, ulimits={"nofile": 1024}, stop_signal="SIGINT",
        stop_grace=90.0)


def test_what_is_not_said_is_the_images(tmp_path: Path) -> None:
    """Without command, entrypoint and stop signal the image's own are used."""
    spec = read(tmp_path, "\n")

    assert (spec.command, spec.entrypoint, spec.stop_signal, spec.stop_grace) == (None, None, None, 10.0)


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    """As in Compose: ``${NAME:-default}`` with NAME empty is the default."""
    text = '    environment: {A: "${LABS_A:-fallback}", B: "${LABS_B}"}\n'

    assert read(tmp_path, f"\n{text}", {"LABS_A": ""}).environment == {"A": "fallback", "B": ""}


@pytest.mark.parametrize(("lines", "expected"), [
    (["${LABS_THING_PORT:-70}:70"], {"": 70}),
    (["${LABS_THING_PORT:-70}:70", "${LABS_THING_MANAGEMENT_PORT:-71}:71"], {"": 70, "management": 71}),
    (["${LABS_THING_INTER_NODE_PORT:-71}:71", "${LABS_THING_PORT}:70"], {"inter_node": 71, "": 70}),
    (["${LABS_THING_PORT:-70}:${LABS_THING_PORT:-70}"], {"": 99}),
    (["9000:9000", "9001:9001"], {"": 9000, "9001": 9001}),
    (["${LABS_OTHER_MANAGEMENT_PORT:-71}:71"], {"": 71}),
])
def test_ports_have_names(tmp_path: Path, lines: list[str], expected: dict[str, int]) -> None:
    """By the variable of the published port; without one the first is the main endpoint, others go by their number."""
    ports = ", ".join(f'"127.0.0.1:{line}"' for line in lines)
    file = tmp_path / "thing.yaml"
    read(tmp_path, "\n")
    file.write_text(file.read_text().replace('"127.0.0.1:${LABS_PORT:-7000}:70"', ports))

    variables = {"LABS_THING_PORT": "99", "LABS_THING_MANAGEMENT_PORT": "100"}
    assert read_container(file, variables).ports == expected


def test_volumes_have_names(tmp_path: Path) -> None:
    """The one that is called as the service is the main one, in whatever order they stand."""
    read(tmp_path, "\n")
    file = tmp_path / "thing.yaml"
    file.write_text(file.read_text().replace('"data:/data"', '"log:/var/log/thing", "thing:/data"'))

    assert read_container(file, {}).volumes == {"log": "/var/log/thing", "": "/data"}


@pytest.mark.parametrize(("size", "expected"), [("1g", 2**30), ("512k", 2**19), ("70b", 70), ("4096", 4096), ("2MB", 2**21)])
def test_sizes(tmp_path: Path, size: str, expected: int) -> None:
    """Sizes are as Compose reads them: units of 1024."""
    assert read(tmp_path, f"\n    shm_size: {size}\n").shm_size == expected


@pytest.mark.parametrize(("service", "said"), [
    ("    privileged: true", "'privileged'"),
    ("    restart: always", "'restart'"),
    ("    command: serve --all", "list of words"),
    ("    command: [serve, on]", "True must be a text"),
    ("    command: [serve, 1.10]", "1.1 must be a text"),
    ("    environment: [A=1]", "must be a table"),
    ("    environment: {A: }", "None must be a text"),
    ('    environment: {A: "$HOME"}', "'$HOME': of variables only"),
    ('    environment: {A: "${HOME:?must}"}', "of variables only"),
    ('    environment: {A: "${A:-${B}}"}', "of variables only"),
    ("    shm_size: 1 elephant", "is not a size"),
    ("    stop_grace_period: soon", "is not a duration"),
    ("    ulimits: {nofile: {soft: 1, hard: 2}}", "table of numbers"),
])
def test_what_could_mean_something_else_is_refused_by_name(tmp_path: Path, service: str, said: str) -> None:
    """A key or form outside the subset is an error that names it, never silently left out."""
    with pytest.raises(EnvironmentFault) as caught:
        read(tmp_path, f"\n{service}\n")

    assert caught.value.code == "compose-unsupported"
    assert "thing.yaml" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(("change", "said"), [
    (("127.0.0.1:", ""), "127.0.0.1:PORT:PORT"),
    (("127.0.0.1:", "0.0.0.0:"), "127.0.0.1:PORT:PORT"),
    (('70"]', '70", "127.0.0.1:1:2", "127.0.0.1:3:2"]'), "two ports are 2"),
    (("LABS_PORT", "LABS_THING_KEEPER_PORT"), "127.0.0.1:${LABS_THING_PORT:-7000}:7000"),
    (('["127.0.0.1:${LABS_PORT:-7000}:70"]', "[]"), "lists that are not empty"),
    (('"data:/data"', '"data:/data", "data:/other"'), "data is there twice"),
    (("data:/data", "/etc:/data"), "NAME:/PATH"),
    (("mem_limit", "x-limit"), "'x-limit'"),
    (("    mem_limit: 64m\n", ""), "'mem_limit' of the service is missing"),
    (("services:", "services: [a]\nother:"), "table of services"),
    (("services:\n", "services:\n  second: {image: b}\n"), "exactly one service"),
    (("volumes:\n  data", "networks:\n  data"), "'networks'"),
    (("services:", "services: {"), "thing.yaml"),
])
def test_files_that_are_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """Open to the network, a folder of the host, without limits, more than one service, no YAML: said, never run."""
    read(tmp_path, "\n")
    file = tmp_path / "thing.yaml"
    file.write_text(file.read_text().replace(*change))

    with pytest.raises(EnvironmentFault, match="thing") as caught:
        read_container(file, {})

    assert said in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is the same kind of error, no traceback."""
    with pytest.raises(EnvironmentFault, match="No such file"):
        read_container(tmp_path / "absent.yaml", {})


@pytest.mark.parametrize("name", [name for name in services.names() if services.recipe(name).compose])
def test_our_own_files_are_understood(name: str) -> None:
    """Every recipe's file is within the subset, has limits, and takes another image from its variable."""
    recipe = services.recipe(name)
    spec = read_container(resources.compose_folder() / recipe.compose, {f"LABS_IMAGE_{name.upper()}": "mine:1"})

    assert spec.image == "mine:1"
    assert spec.ports == {"": recipe.port, **recipe.more_ports}
    assert 0 < spec.memory <= 2**30
    assert 0 < spec.cpus <= 2
    assert 0 < spec.pids <= 512
    assert spec.ulimits.get("nofile", 0) <= 4096


def test_aliases_that_never_end_are_refused_at_once() -> None:
    """Ten to the tenth values in a few lines: they are counted, not written out."""
    from orchestrator.services.compose import parse_container

    bomb = "x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"x{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 10)}]\n" for number in range(1, 10))
    with pytest.raises(EnvironmentFault, match="aliases"):
        parse_container(bomb + "services: {a: {image: b}}\n", {}, where="compose.yaml")
