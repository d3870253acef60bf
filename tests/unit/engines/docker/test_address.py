"""Where the Docker API may be: what people chose, the current context, the well-known sockets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator.engines.docker.address import Address, candidates


def context(home: Path, name: str, host: str, *, current: bool = True) -> None:
    docker = home / ".docker"
    meta = docker / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    (docker / "config.json").write_text(json.dumps({"currentContext": name if current else "default"}))


def test_what_a_person_chose_stands_alone(tmp_path: Path) -> None:
    """LABS_DOCKER_HOST before DOCKER_HOST before the context; nothing else is tried behind a choice."""
    context(tmp_path, "colima", "unix:///colima.sock")
    environ = {"LABS_DOCKER_HOST": "unix:///a.sock", "DOCKER_HOST": "unix:///b.sock"}

    assert candidates(environ, tmp_path) == (Address("unix:///a.sock", "LABS_DOCKER_HOST", chosen=True),)
    environ["LABS_DOCKER_HOST"] = ""
    assert candidates(environ, tmp_path) == (Address("unix:///b.sock", "DOCKER_HOST", chosen=True),)
    assert candidates({}, tmp_path) == (Address("unix:///colima.sock", "the docker context colima", chosen=True),)


def test_the_context_may_be_named_by_a_variable(tmp_path: Path) -> None:
    """DOCKER_CONTEXT wins over the file, DOCKER_CONFIG says where the files are; ``default`` means the sockets."""
    context(tmp_path, "desktop-linux", "unix:///desktop.sock", current=False)
    other = {"DOCKER_CONTEXT": "desktop-linux", "DOCKER_CONFIG": str(tmp_path / ".docker")}

    assert candidates(other, Path("/nowhere")) == (
        Address("unix:///desktop.sock", "the docker context desktop-linux", chosen=True),)
    assert candidates({"DOCKER_CONTEXT": "default"}, tmp_path)[0].url == "unix:///var/run/docker.sock"
    assert candidates({}, tmp_path)[0].url == "unix:///var/run/docker.sock"


@pytest.mark.parametrize("config", ["", "[]", "{", '{"currentContext": 7}', '{"currentContext": "lost"}'])
def test_a_broken_configuration_of_docker_is_passed_over(tmp_path: Path, config: str) -> None:
    """Docker's own files may be anything: then the well-known sockets are tried."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(config)

    assert candidates({}, tmp_path)[0].origin == "the default socket"


def test_the_well_known_sockets(tmp_path: Path) -> None:
    """Docker, rootless Docker, Docker Desktop, Colima and Podman are found without any setting."""
    found = candidates({"XDG_RUNTIME_DIR": "/run/user/7", "TMPDIR": "/t"}, tmp_path)

    assert [address.url.removeprefix("unix://").replace(str(tmp_path), "~") for address in found] == [
        "/var/run/docker.sock", "/run/user/7/docker.sock", "~/.docker/run/docker.sock", "~/.docker/desktop/docker.sock",
        "~/.colima/default/docker.sock", "/run/user/7/podman/podman.sock", "/t/podman/podman-machine-default-api.sock",
        "~/.local/share/containers/podman/machine/podman.sock", "/run/podman/podman.sock",
    ]
    assert not any(address.chosen for address in found)


@pytest.mark.parametrize(("url", "local"), [
    ("unix:///var/run/docker.sock", True), ("tcp://127.0.0.1:2375", True), ("tcp://localhost:2375", True),
    ("tcp://[::1]:2375", True), ("npipe:////./pipe/docker_engine", True),
    ("ssh://me@host", False), ("tcp://192.0.2.1:2375", False), ("tcp://[broken", False), ("nonsense", False),
])
def test_whose_loopback_it_is(url: str, local: bool) -> None:
    """Only an engine on this machine publishes ports on this machine's loopback."""
    assert Address(url, "DOCKER_HOST").local is local
