"""Building images: what is decided without Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import resources
from orchestrator.engines.docker.images import client_with_buildkit, content_key, debian_mirror
from orchestrator.errors import EnvironmentFault


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


def test_the_dockerfile_asks_no_registry() -> None:
    """A syntax line would; the only base is the one that we can make ourselves."""
    lines = (resources.images_folder() / "Dockerfile").read_text().splitlines()

    assert not any(line.lower().replace(" ", "").startswith("#syntax=") for line in lines)
    stages = {"base"}
    for line in lines:
        if line.startswith("FROM "):
            _, source, _, name = line.split()
            assert source == "debian:trixie-slim" or source in stages
            stages.add(name)
    assert {"postgres", "redis"} <= stages
