"""Building images: what is decided without Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import resources, services
from orchestrator.cli.images_command import buildable
from orchestrator.engines.docker.images import authorities, client_with_buildkit, debian_mirror
from orchestrator.engines.docker.local import content_key, local_name, stand_ins, ways_to_get
from orchestrator.errors import EnvironmentFault, UsageError


def client(folder: Path, version: str, *, buildx: bool) -> str:
    """A ``docker`` on PATH that says this version, with or without the plugin that builds."""
    folder.mkdir(parents=True)
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\ncase "$1" in version) echo {version}; exit 1;; buildx) exit {0 if buildx else 1};; esac\n')
    program.chmod(0o755)
    return str(program)


def test_the_first_client_that_can_build_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new client without its plugin cannot build; an old one has BuildKit inside. Both point at the engine."""
    without = client(tmp_path / "a", "28.2.2", buildx=False)
    old = client(tmp_path / "b", "20.10.24+dfsg1", buildx=False)
    new = client(tmp_path / "c", "28.2.2", buildx=True)
    for order, expected in (([without, old, new], old), ([without, new, old], new)):
        monkeypatch.setenv("PATH", ":".join([*(str(Path(program).parent) for program in order), "/usr/bin", "/bin"]))

        assert client_with_buildkit("unix:///here.sock") == (expected, "-H", "unix:///here.sock")


def test_no_client_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a client that can build: what to install."""
    monkeypatch.setattr("orchestrator.engines.docker.images._clients", lambda: iter(()))

    with pytest.raises(EnvironmentFault, match="no docker client") as caught:
        client_with_buildkit("unix:///here.sock")

    assert (caught.value.code, bool(caught.value.hint)) == ("client-missing", True)


def test_a_build_trusts_whom_this_machine_was_told_to_trust(tmp_path: Path) -> None:
    """As a secret, which no layer keeps; nothing where nothing was said, or the file is gone."""
    bundle = tmp_path / "authorities.pem"
    bundle.write_text("...")

    assert authorities({"PIP_CERT": str(tmp_path / "gone"), "SSL_CERT_FILE": str(bundle)}) == [
        "--secret", f"id=ca,src={bundle}"]
    assert authorities({}) == []


def test_the_key_changes_with_any_content(tmp_path: Path) -> None:
    """A changed, added or renamed file is another key; the same content is the same key, wherever it is."""
    for folder in ("one", "two"):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "Dockerfile").write_text("FROM x")
        (tmp_path / folder / "sub" / "run.sh").write_text("true")
    first = content_key(tmp_path / "one")
    assert content_key(tmp_path / "two") == first

    (tmp_path / "two" / "sub" / "run.sh").rename(tmp_path / "two" / "sub" / "go.sh")
    assert content_key(tmp_path / "two") != first
    (tmp_path / "one" / "Dockerfile").write_text("FROM y")
    assert content_key(tmp_path / "one") != first


@pytest.mark.parametrize(("name", "text"), [
    ("sources.list.d/debian.sources", "Types: deb\n# URIs: http://old\nURIs: https://mirror.test/debian\nSuites: trixie\n"),
    ("sources.list", "deb cdrom:[Debian]/ trixie main\n# deb http://no\ndeb https://mirror.test/debian trixie main\n"),
    ("sources.list", "deb [arch=amd64 signed-by=/k.gpg] https://mirror.test/debian trixie main\n"),
])
def test_the_machines_own_archive_is_used(tmp_path: Path, name: str, text: str) -> None:
    """The base comes from where this machine's packages come from, in both of apt's forms."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(text)

    assert debian_mirror(tmp_path) == "https://mirror.test/debian"


def test_no_archive_is_one_line(tmp_path: Path) -> None:
    """A machine that is no Debian is told so."""
    with pytest.raises(EnvironmentFault, match="names no archive"):
        debian_mirror(tmp_path)


IMAGES = sorted(path.parent for path in resources.images_folder().glob("*/Dockerfile"))


@pytest.mark.parametrize("folder", IMAGES, ids=lambda folder: folder.name)
def test_a_dockerfile_asks_no_registry(folder: Path) -> None:
    """A syntax line would; the only base is the one that we can make ourselves. Package lists are shared."""
    text = (folder / "Dockerfile").read_text()
    lines = text.splitlines()

    assert not any(line.lower().replace(" ", "").startswith("#syntax=") for line in lines)
    stages = {"debian:trixie-slim"}
    for line in lines:
        if line.startswith("FROM "):
            _, source, *rest = line.split()
            assert source in stages
            stages |= set(rest[1:])
    shared = "--mount=type=cache,id=backend-labs-apt,target=/var/lib/apt/lists,sharing=locked"
    assert text.count("apt-get update") == text.count(shared)


def test_every_image_is_of_a_service() -> None:
    """A folder is named as its service is; PostgreSQL and Redis have one."""
    assert {"postgres", "redis"} <= {folder.name for folder in IMAGES} <= set(services.names())


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of our own for PostgreSQL and Redis, in a folder that can be changed."""
    for name in ("postgres", "redis"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "Dockerfile").write_text("FROM debian:trixie-slim")
    monkeypatch.setattr(resources, "images_folder", lambda: tmp_path / "images")
    return tmp_path / "images"


def test_a_change_to_one_service_renames_one_image(folders: Path) -> None:
    """What another image is built from, or what lies beside the folders, is no part of a name."""
    before = [local_name(services.recipe(name)) for name in ("postgres", "redis")]
    (folders / "redis" / "run.sh").write_text("true")
    (folders / "README.md").write_text("about them")
    after = [local_name(services.recipe(name)) for name in ("postgres", "redis")]

    assert after[0] == before[0]
    assert after[1] != before[1]
    assert str(after[1]).startswith("backend-labs/redis:")


def test_a_service_without_a_folder_cannot_be_built(folders: Path) -> None:
    """It can be pulled, and nobody is told to build it."""
    recipe = services.recipe("redis")
    assert "labs images build redis" in ways_to_get(recipe)
    assert buildable(()) == ["postgres", "redis"]

    (folders / "redis" / "Dockerfile").unlink()

    assert (local_name(services.recipe("redis")), ways_to_get(recipe)) == (None, "labs pull {lab} redis")
    assert buildable(()) == ["postgres"]
    with pytest.raises(UsageError, match="no image of its own for Redis"):
        buildable(("redis",))


def test_what_no_registry_has_is_built() -> None:
    """Nobody is sent to pull it."""
    assert ways_to_get(services.recipe("galera")) == "labs images build galera"


def test_a_labs_own_service_of_the_same_name_is_another_one() -> None:
    """Our image never stands in for one that a lab's Compose file names, and cannot be built for it."""
    own = type(services.recipe("redis"))()

    assert stand_ins(own, "redis:8", Path("/none")) == []
    assert ways_to_get(own) == "labs pull {lab} redis"


def test_what_was_built_for_another_home_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The present content's image needs no table; an older one that the table names comes after it."""
    table = tmp_path / "table.json"
    table.write_text('{"redis:8": "backend-labs/redis:old", "redis:8.2": "mine"}')
    recipe = services.recipe("redis")

    assert stand_ins(recipe, "redis:8", tmp_path / "none.json") == [local_name(services.recipe("redis"))]
    assert stand_ins(recipe, "redis:8", table) == [local_name(services.recipe("redis")), "backend-labs/redis:old"]
    # Asked for by LABS_IMAGE_REDIS: that one, or what a person has named for it.
    assert stand_ins(recipe, "redis:8.2", table) == ["mine"]
    assert stand_ins(recipe, "redis@sha256:1", table) == []
