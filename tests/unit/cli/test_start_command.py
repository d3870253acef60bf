"""What `labs start` says of the places where services are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.memory import MemoryEngine, MemoryRecipe

from orchestrator.cli.start_command import bring_up, without
from orchestrator.environments import specs
from orchestrator.environments.facade import Environments
from orchestrator.environments.toolbox import Toolbox
from orchestrator.model import Offer
from orchestrator.system import ports
from orchestrator.system.home import find_home

Start = Callable[[], str]


class Addressed(MemoryRecipe):
    """A service that has a URL."""

    urls = ("QUEUE_URL",)


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports that another program has; all others are free."""
    found: set[int] = set()
    monkeypatch.setattr(ports, "is_free", lambda port: port not in found)
    monkeypatch.setattr("orchestrator.environments.facade.is_taken", lambda port: port in found)
    assert specs.free_port is ports.free_port
    return found


@pytest.fixture
def start(tmp_path: Path, engine: Any, capsys: pytest.CaptureFixture[str], taken: set[int]) -> Start:
    """Start a queue with a second port, and hear its line."""
    home = find_home({"LABS_HOME": str(tmp_path)})
    recipes: dict[str, Any] = {"queue": Addressed("queue", 15672, more_ports={"management": 15690})}
    toolbox = Toolbox(home, engine, "", recipes, Environments(engine, home, recipes))

    def line() -> str:
        bring_up(toolbox, "play", "play", ["queue"])
        return next(line for line in capsys.readouterr().err.splitlines() if line.startswith("ready"))

    return line


def test_a_service_where_people_look_needs_no_word(start: Start) -> None:
    """On its well-known port, and whenever it is started again where it was."""
    assert start().endswith("127.0.0.1:15672")
    assert start().endswith("127.0.0.1:15672")


@pytest.mark.parametrize(("port", "where"), [(15672, "127.0.0.1:15673"), (15690, "127.0.0.1:15672")])
def test_a_well_known_port_that_is_taken_is_told_with_the_one_instead(
    start: Start, taken: set[int], port: int, where: str
) -> None:
    """In the line where the address stands, once: later the service is where it was."""
    taken.add(port)

    assert start().endswith(f"{where}  ({port} is taken by another program; lsof -i :{port} shows which)")
    assert start().endswith(where)


def test_a_service_that_was_moved_says_that_its_url_has_changed(start: Start, taken: set[int], engine: MemoryEngine) -> None:
    """It was stopped, and another program took its port: a URL that somebody exported is dead."""
    start()
    (name,) = engine.instances
    engine.stop(name)
    taken.add(15672)

    assert start().endswith("127.0.0.1:15673  (moved: 15672 is taken by another program; lsof -i :15672 shows which; "
                            "labs env shows the new QUEUE_URL)")


def test_what_cannot_run_here_is_left_out_and_said(tmp_path: Path, engine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Not where it is all there is: then that is the error. An image that can be fetched is no reason."""
    home = find_home({"LABS_HOME": str(tmp_path)})
    recipes: dict[str, Any] = {name: MemoryRecipe(name, 1) for name in ("queue", "store", "cache")}
    toolbox = Toolbox(home, engine, "", recipes, Environments(engine, home, recipes))
    unavailable = {
        "store": Offer("store", available=False, missing="no stored", reason="binary-missing", remedy="install stored"),
        "cache": Offer("cache", available=False, missing="no image", reason="image-missing"),
    }
    engine.offer = lambda recipe: unavailable.get(recipe.name, Offer(recipe.name, available=True))

    assert [one.service for one in without(toolbox, ["queue", "store", "cache"])] == ["store"]
    assert "Store is left out: no stored. What helps: install stored" in capsys.readouterr().err
    assert without(toolbox, ["store"]) == ()
    assert without(toolbox, ["queue"]) == []
