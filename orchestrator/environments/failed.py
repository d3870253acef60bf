"""The space in which the last check of a workspace failed, as commands use it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.environments.life import Life
from orchestrator.errors import EnvironmentBusy, EnvironmentFault, UsageError
from orchestrator.ownership import kept_spaces, leases
from orchestrator.system.home import installation_id, user_id

if TYPE_CHECKING:
    from orchestrator.environments.session import Session
    from orchestrator.model import Instance
    from orchestrator.ownership.kept_spaces import KeptSpace


def newest_failed(session: Session, workspace: Path) -> KeptSpace | None:
    """The newest kept space of the workspace on this engine."""
    key = session.engine.info().key
    return next((one for one in reversed(kept_spaces.find(session.home, workspace)) if one.engine == key), None)


@contextlib.contextmanager
def failed_space(session: Session, workspace: Path) -> Iterator[tuple[KeptSpace, dict[str, Instance]]]:
    """The newest kept space of the workspace, its services running, ours alone while the block runs.

    Service -> instance, of several nodes the first. ``UsageError`` where there is no such space; ``EnvironmentFault``
    if a service cannot run again.
    """
    space = newest_failed(session, workspace)
    if space is None:
        raise UsageError("no failed milestone is kept for this folder", code="no-failed-space",
                         hint="labs check   (what fails is kept until the next check)")
    with leases.lock(session.home, space.environment, wait=0):
        found = kept_spaces.instances(session.engine, session.home, space)
        if not found:
            raise EnvironmentFault("the services of the failed milestone are gone", code="no-failed-space",
                                   hint=f"labs check {space.milestone}")
        Life(session.engine, session.recipes, user=user_id(), installation=installation_id(session.home)).resume(found)
        again = kept_spaces.instances(session.engine, session.home, space)
        yield space, {one.spec.service: one for one in again if one.spec.node == 1}


def remove_kept(session: Session) -> list[str]:
    """Remove all kept spaces on this engine that nobody works in; names of what went."""
    key = session.engine.info().key
    removed: list[str] = []
    for space in kept_spaces.spaces(session.home).values():
        if space.engine == key:
            with contextlib.suppress(EnvironmentBusy), leases.lock(session.home, space.environment, wait=0):
                removed += kept_spaces.remove(session.engine, session.home, space)
    return removed
