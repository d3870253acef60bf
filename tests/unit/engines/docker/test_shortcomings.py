"""What `labs doctor` tells of a Docker that answers and lacks something."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_docker import environ_of, fake_docker, scripted

from orchestrator.engines.docker.shortcomings import shortcomings

NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere.sock"}


@pytest.mark.parametrize("settings", ['{"credsStore": "desktop"}', '{"credHelpers": {"ghcr.io": "desktop"}}'])
def test_a_missing_program_that_keeps_logins_is_told(tmp_path: Path, settings: str) -> None:
    """Named with the file that names it; said no more as soon as it is there."""
    (tmp_path / "config.json").write_text(settings)
    environ = NO_ENGINE | {"DOCKER_CONFIG": str(tmp_path), "PATH": str(tmp_path)}
    ((what, remedy),) = shortcomings(environ, Path("/nowhere"))

    assert f"{tmp_path}/config.json names docker-credential-desktop, which is not on this machine" in what
    assert remedy.startswith("install docker-credential-desktop, or remove the lines")

    (tmp_path / "docker-credential-desktop").write_text("#!/bin/sh\n")
    (tmp_path / "docker-credential-desktop").chmod(0o755)
    assert list(shortcomings(environ, Path("/nowhere"))) == []


@pytest.mark.parametrize("settings", ["{}", "[]", '{"credsStore": 7, "credHelpers": []}', '{"credsStore": ""}'])
def test_settings_that_name_no_program_lack_none(tmp_path: Path, settings: str) -> None:
    """Whatever the file holds."""
    (tmp_path / "config.json").write_text(settings)

    assert list(shortcomings(NO_ENGINE | {"DOCKER_CONFIG": str(tmp_path)}, tmp_path)) == []


@pytest.mark.parametrize(("info", "told"), [
    ((200, {"CpuCfsQuota": False}), True), ((200, {"CpuCfsQuota": True}), False), ((200, {}), False),
    ((500, {"message": "no"}), False),
])
def test_an_engine_without_cpu_quota_is_told(tmp_path: Path, info: tuple[int, object], told: bool) -> None:
    """A Raspberry Pi's or a NAS's: services run there without that limit."""
    with fake_docker(scripted({"GET /info": info})) as (path, _):
        found = list(shortcomings(environ_of(path), tmp_path))

    assert ["it cannot limit CPU time" in what for what, _ in found] == ([True] if told else [])
