"""Which engine: as asked, else Docker if it answers, else plain processes, and the reason is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.engines import choose as module
from orchestrator.engines.base import EngineInfo
from orchestrator.engines.choose import choose
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.system.home import Home


class FakeDocker:
    def info(self) -> EngineInfo:
        return EngineInfo("docker", "28.1", "unix:///run/docker.sock", "docker:1")


def answering(_: Home) -> Any:
    return FakeDocker()


def silent(_: Home) -> Any:
    raise EnvironmentFault("Docker does not answer at unix:///run/docker.sock", code="engine-unreachable",
                           hint="start Docker")


def forbidden(_: Home) -> Any:
    pytest.fail("Docker was asked")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data", tmp_path / "state", tmp_path / "cache")


@pytest.mark.parametrize("requested", [None, "", "docker"])
def test_docker_is_first_if_it_answers(requested: str | None, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded engine is at hand for sweeping; the reason says why this one."""
    monkeypatch.setattr(module, "docker_engine", answering)
    choice = choose(requested, home=home)

    assert isinstance(choice.engine, FakeDocker)
    assert [engine.info().name for engine in choice.others] == ["embedded"]
    assert choice.reason == ("as asked" if requested else "it answers at unix:///run/docker.sock")


def test_plain_processes_are_next_and_the_reason_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learner without Docker learns so in one line, and goes on."""
    monkeypatch.setattr(module, "docker_engine", silent)
    choice = choose(None, home=home)

    assert choice.engine.info().name == "embedded"
    assert choice.reason == (
        "Docker does not answer at unix:///run/docker.sock: services run as plain processes")


def test_asked_for_embedded_docker_is_not_touched(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even connected to: a hung Docker would cost three seconds."""
    monkeypatch.setattr(module, "docker_engine", forbidden)

    assert choose("embedded", home=home).engine.info().name == "embedded"


def test_asked_for_docker_that_does_not_answer_is_an_error(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never replaced silently; the hint names the way out."""
    monkeypatch.setattr(module, "docker_engine", silent)
    with pytest.raises(EnvironmentFault) as caught:
        choose("docker", home=home)

    assert caught.value.code == "engine-unreachable"
    assert caught.value.hint == "start Docker, or run the services as plain processes: --engine embedded"


def test_another_engine_is_a_usage_error(home: Home) -> None:
    """LABS_ENGINE may hold anything."""
    with pytest.raises(UsageError, match="'podman'"):
        choose("podman", home=home)


def test_choosing_makes_no_files(home: Home, tmp_path: Path) -> None:
    """A read-only home is no obstacle to `labs status`."""
    choose("embedded", home=home)

    assert list(tmp_path.iterdir()) == []
