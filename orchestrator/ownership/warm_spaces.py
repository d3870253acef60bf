"""Judge spaces whose services go on running between commands, so that the next check need not start them.

A file in the home says which environment it is and until when it stays. As long as it is young, or a command works in
it, the sweep leaves it alone; afterwards any sweep takes it, and a waiter (``ownership/waiter.py``) sees to it that one
comes. Whoever works in it holds the environment's lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentBusy
from orchestrator.ownership import judge_spaces, leases
from orchestrator.system.files import read_json, write_json
from orchestrator.system.home import Home
from orchestrator.system.shapes import fields_of

IDLE = 600.0
"""Seconds that services stay after the last command that used them."""


@dataclass(frozen=True, slots=True)
class WarmSpace:
    """One space. ``recipes``: service -> what decides how it runs; ``incarnations``: service -> which run of it it is.

    ``until``: seconds since 1970. ``waiter`` and ``waiter_started`` are the process that waits for that moment.
    """

    environment: str
    engine: str
    lab: str
    until: float
    recipes: Mapping[str, str]
    incarnations: Mapping[str, str]
    waiter: int = 0
    waiter_started: float = 0.0

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.until - time.time())


def remember(home: Home, space: WarmSpace) -> None:
    """From now on the sweep leaves it alone until its time is over. Raises ``EnvironmentFault``: an unwritable home."""
    write_json(path_of(home, space.environment), {"v": 1, **asdict(space)})


def forget(home: Home, environment: str) -> None:
    """From now on the sweep takes its instances. Harmless twice."""
    path_of(home, environment).unlink(missing_ok=True)


def spaces(home: Home) -> list[WarmSpace]:
    """All of them, the one that was used last first, over or not; torn files are none."""
    found = [space for path in home.warm_spaces.glob("*.json") if (space := read(path)) is not None]
    return sorted(found, key=lambda space: -space.until)


def of(home: Home, environment: str) -> WarmSpace | None:
    """The space of this environment, if it is one."""
    return read(path_of(home, environment))


def spared(home: Home) -> set[str]:
    """Environments that no sweep may touch: those that are young, and those in which a command works."""
    return {space.environment for space in spaces(home) if space.seconds_left or in_use(home, space)}


def in_use(home: Home, space: WarmSpace) -> bool:
    """Whether a command works in it just now."""
    try:
        with leases.lock(home, space.environment, wait=0):
            return False
    except EnvironmentBusy:
        return True


def forget_over(home: Home) -> None:
    """Remove the files of spaces whose time is over, and torn ones; their instances are nobody's then."""
    judge_spaces.forget_others(home.warm_spaces, spared(home))


def remove(engine: Engine, home: Home, environment: str) -> list[str]:
    """Forget the space and remove its instances; their names. Only while its lock is held."""
    forget(home, environment)
    return judge_spaces.remove(engine, home, environment)


def path_of(home: Home, environment: str) -> Path:
    return home.warm_spaces / f"{environment}.json"


def read(path: Path) -> WarmSpace | None:
    try:
        return WarmSpace(**fields_of(WarmSpace, read_json(path)))
    except ValueError:
        return None
