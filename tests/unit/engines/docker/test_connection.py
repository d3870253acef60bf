"""L15: an engine that is absent, stopped, hung, shut, too old, elsewhere or no engine: one cause, one command, 3 s."""

from __future__ import annotations

import errno
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.fake_docker import VERSION, dead_docker, environ_of, fake_docker, scripted, short_folder, silent_docker

from orchestrator.engines.docker import connection
from orchestrator.engines.docker.address import Address
from orchestrator.engines.docker.connection import INSTALL, connect, own_container, start_command, why_unreachable
from orchestrator.errors import EnvironmentFault

CONTAINER = 64 * "a"
"""The id of a container in which we are."""


@pytest.fixture(autouse=True)
def _in_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run in a container themselves."""
    monkeypatch.setattr(connection, "own_container", lambda: "")


def refused(environ: dict[str, str]) -> EnvironmentFault:
    began = time.monotonic()
    with pytest.raises(EnvironmentFault) as caught:
        connect(environ)

    assert time.monotonic() - began < 4.5, "an engine that does not answer is given up after 3 s"
    assert caught.value.code == "engine-unreachable"
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("components", "version"), [
    ([{"Name": "Engine"}], "20.10.24"), ([{"Name": "Podman Engine"}], "Podman 20.10.24"), (None, "20.10.24"),
])
def test_an_engine_that_answers(components: object, version: str) -> None:
    """Docker and Podman are told apart by their own word; one question is enough."""
    answer = scripted({"GET /version": (200, VERSION | {"Components": components})})
    with fake_docker(answer) as (path, asked), closing(connect(environ_of(path))) as found:
        assert (found.version, found.podman) == (version, version.startswith("Podman"))
        assert found.address == Address(f"unix://{path}", "LABS_DOCKER_HOST", chosen=True)
        assert asked == ["GET /version"]


def test_a_hung_engine() -> None:
    """A daemon that accepts and never answers is given up within 3 seconds."""
    with silent_docker() as path:
        fault = refused(environ_of(path))

    assert "does not answer within 3 s" in fault.message
    assert "restart" in str(fault.hint)


def test_a_stopped_engine() -> None:
    """A socket that nobody listens at: it is not running."""
    with dead_docker() as path:
        fault = refused(environ_of(path))

    assert "is not running" in fault.message


def test_an_absent_engine() -> None:
    """An address that a person chose and that is not there: undo the choice."""
    with short_folder() as folder:
        fault = refused(environ_of(folder / "none.sock"))

    assert "there is no Docker at" in fault.message
    assert fault.hint == "unset LABS_DOCKER_HOST"


def test_no_engine_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any socket the way to one is the installation, or the start of what is installed."""
    monkeypatch.setattr("orchestrator.engines.docker.connection.candidates",
                        lambda environ: (Address(f"unix://{tmp_path}/none.sock", "the default socket"),))
    monkeypatch.setattr("orchestrator.engines.docker.connection.start_command", lambda: INSTALL)
    assert refused({}).message == "no Docker engine is on this machine"

    monkeypatch.setattr("orchestrator.engines.docker.connection.start_command", lambda: "open -a Docker")
    fault = refused({})
    assert (fault.message, fault.hint) == ("Docker is installed, but it is not running", "open -a Docker")


def test_the_next_socket_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead socket that nobody chose does not hide an engine behind the next one."""
    with dead_docker() as dead, fake_docker(scripted({})) as (path, _):
        places = tuple(Address(f"unix://{place}", "a socket") for place in (dead, path))
        monkeypatch.setattr("orchestrator.engines.docker.connection.candidates", lambda environ: places)

        with closing(connect({})) as found:
            assert found.address == places[1]


def test_an_old_engine() -> None:
    """Before API 1.41 (Docker 20.10): too old, and which it is."""
    for version in ("1.40", "1.12"):
        with fake_docker(scripted({"GET /version": (200, VERSION | {"ApiVersion": version})})) as (path, _):
            fault = refused(environ_of(path))

        assert f"is too old: it speaks API {version}, and labs needs 1.41" in fault.message


@pytest.mark.parametrize("answer", [
    (200, "hello"), (200, []), (200, {}), (200, {"ApiVersion": "new"}), (200, {"ApiVersion": None}), (500, "oops"),
    (404, {"message": "not here"}),
])
def test_garbage(answer: tuple[int, object]) -> None:
    """Whatever answers at the socket and is no engine is said to be none, without a traceback."""
    with fake_docker(scripted({"GET /version": answer})) as (path, _):
        assert "is not a Docker engine" in refused(environ_of(path)).message


@pytest.mark.parametrize("url", ["ssh://me@192.0.2.1", "tcp://192.0.2.1:2375", "nonsense", "tcp://[broken"])
def test_an_engine_elsewhere(url: str) -> None:
    """A remote engine's loopback is not ours: said at once, nothing is asked of it."""
    fault = refused({"DOCKER_HOST": url})

    assert "is not on this machine" in fault.message
    assert fault.hint == "unset DOCKER_HOST"


@pytest.mark.parametrize("bad", ["tcp://127.0.0.1:port", "unix:///tmp/\0", "tcp://127.0.0.1:99999", "unix:///" + 200 * "x"])
def test_an_address_that_is_none(bad: str) -> None:
    """An address that cannot be read is one line, too."""
    refused({"DOCKER_HOST": bad})


def test_no_permission() -> None:
    """A socket that the user may not open: the group that helps. (Root may open all, so the error is made here.)"""
    error = ConnectionError("Connection aborted.", PermissionError(errno.EACCES, "Permission denied"))
    what, hint = why_unreachable(Address("unix:///var/run/docker.sock", "the default socket"), error, "start it")

    assert what == "you may not use Docker at unix:///var/run/docker.sock (the default socket)"
    assert hint.startswith("sudo usermod -aG docker")


@pytest.mark.parametrize(("platform", "programs", "command"), [
    ("linux", {"dockerd", "docker"}, "sudo systemctl start docker"),
    ("linux", {"podman"}, "systemctl --user start podman.socket"),
    ("linux", {"docker"}, "systemctl --user start docker-desktop"),
    ("linux", set(), INSTALL),
    ("darwin", {"colima", "docker"}, "colima start"),
    ("darwin", {"podman"}, "podman machine start"),
    ("darwin", set(), INSTALL),
])
def test_how_an_engine_is_started(tmp_path: Path, platform: str, programs: set[str], command: str) -> None:
    """The one command is the one of the platform and of what is installed."""
    assert start_command(platform, lambda name: name if name in programs else None, tmp_path) == command


def test_docker_desktop_is_opened(tmp_path: Path) -> None:
    """On a Mac with Docker Desktop that is what is started."""
    (tmp_path / "Docker.app").mkdir()

    assert start_command("darwin", lambda name: None, tmp_path) == "open -a Docker"


@pytest.mark.parametrize("settings", ["[]", '{"auths": {"registry": {"auth": "?"}}}', '{"proxies": []}'])
def test_settings_of_docker_that_the_library_cannot_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    """A broken ``config.json`` is named, with the command that puts it away; the engine is not called a stranger."""
    (tmp_path / "config.json").write_text(settings)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with fake_docker(scripted({})) as (path, _):
        fault = refused(environ_of(path))

    assert f"Docker's settings file {tmp_path}/config.json cannot be used" in fault.message
    assert fault.hint == f"mv {tmp_path}/config.json {tmp_path}/config.json.old"


@pytest.mark.parametrize("network", ["bridge", "default", "project_default", "container:b"])
def test_an_engine_beside_our_own_container(monkeypatch: pytest.MonkeyPatch, network: str) -> None:
    """A dev container with the host's socket: 127.0.0.1 is another machine's there. Said at once, not after a minute."""
    monkeypatch.setattr(connection, "own_container", lambda: CONTAINER)
    answers = {f"GET /containers/{CONTAINER}/json": (200, {"Id": CONTAINER, "HostConfig": {"NetworkMode": network}})}
    with fake_docker(scripted(answers)) as (path, _):
        fault = refused(environ_of(path))

    assert "is your host's, and labs is in a container" in fault.message
    assert "--network=host" in str(fault.hint)


@pytest.mark.parametrize("answer", [
    (404, {"message": "No such container"}), (200, {"HostConfig": {"NetworkMode": "host"}}), (200, {}), (500, "oops"),
])
def test_an_engine_whose_loopback_a_container_shares(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, object]) -> None:
    """One that runs in our container, or a container in its host's own network: both are taken."""
    monkeypatch.setattr(connection, "own_container", lambda: CONTAINER)
    with fake_docker(scripted({f"GET /containers/{CONTAINER}/json": answer})) as (path, _):
        connect(environ_of(path)).close()


@pytest.mark.parametrize(("line", "container"), [
    (f"613 600 254:1 /var/lib/docker/containers/{CONTAINER}/hostname /etc/hostname rw - ext4 /dev/vda1 rw", CONTAINER),
    (f"1 2 0:25 /containers/storage/overlay-containers/{CONTAINER}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw", CONTAINER),
    (f"54 29 0:50 / /var/lib/docker/containers/{CONTAINER}/mounts/shm rw - tmpfs shm rw", ""),
    ("29 1 254:1 / / rw - ext4 /dev/vda1 rw", ""), ("", ""),
])
def test_which_container_we_are_in(tmp_path: Path, line: str, container: str) -> None:
    """By the files that Docker and Podman mount into each; the engine's own machine has the folders, and is in none."""
    (tmp_path / "mountinfo").write_text(f"1 0 8:1 / /proc rw - proc proc rw\n{line}\n")

    assert own_container(tmp_path / "mountinfo") == container
    assert own_container(tmp_path / "none") == ""
