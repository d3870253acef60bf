"""Services that checks have left running for the next one, as commands use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentBusy
from orchestrator.ownership import leases, waiter, warm_spaces

if TYPE_CHECKING:
    from orchestrator.engines.base import Engine
    from orchestrator.ownership.warm_spaces import WarmSpace
    from orchestrator.system.home import Home


def may_stay(environ: Mapping[str, str]) -> bool:
    """Whether services may outlive the command that started them: not in CI (``CI`` is set), where nothing stays."""
    return not environ.get("CI")


def all_warm(home: Home, engine: Engine, lab: str = "") -> list[WarmSpace]:
    """The warm spaces on this engine, of this lab or of all, the one that was used last first."""
    key = engine.info().key
    return [one for one in warm_spaces.spaces(home) if one.engine == key and lab in ("", one.lab)]


def idle(home: Home, engine: Engine) -> list[WarmSpace]:
    """Those that only wait: no command works in them just now."""
    return [one for one in all_warm(home, engine) if one.seconds_left and not warm_spaces.in_use(home, one)]


def end_all(home: Home, engine: Engine) -> list[str]:
    """Remove all warm spaces on this engine that nobody works in; names of what went."""
    return [name for space in all_warm(home, engine) for name in end(home, engine, space)]


def end(home: Home, engine: Engine, space: WarmSpace) -> list[str]:
    """Remove the space, unless a command works in it; names of what went."""
    try:
        with leases.lock(home, space.environment, wait=0):
            end_waiter(home, space.environment)
            return warm_spaces.remove(engine, home, space.environment)
    except EnvironmentBusy:
        return []


def end_waiter(home: Home, environment: str) -> None:
    """Nobody needs to wait for the end of this space any more."""
    space = warm_spaces.of(home, environment)
    if space is not None:
        waiter.end(space.waiter, space.waiter_started)
