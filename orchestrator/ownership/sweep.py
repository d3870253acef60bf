"""Removing what dead commands left behind. Every command does this first; it costs one listing when nothing is dead."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence

from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance
from orchestrator.ownership import kept_spaces, leases, warm_spaces
from orchestrator.system.home import Home, installation_id, user_id
from orchestrator.system.strays import end_strays

SETTLE = 0.5
"""Seconds between two listings: a create request of a killed client can still take effect after the first."""


def sweep(
    home: Home, engines: Mapping[str, Engine], *, on_trouble: Callable[[EnvironmentFault], None] = lambda _: None
) -> tuple[str, ...]:
    """Remove what the dead leases of this user and installation own on these engines (by key); names of what went.

    Kept environments and kept judge spaces are never touched, foreign objects neither; warm ones when their time is
    over. A lease on an engine that is not among ``engines`` waits for a command that uses that engine. ``on_trouble``
    hears of what could not be removed.
    """
    user, installation = user_id(), installation_id(home)
    removed: list[str] = []
    with leases.take_dead(home) as dead:
        for lease_id, lease in dead:
            if lease is not None and lease.engine not in engines:
                continue
            # A server that `labs run` had started; it carries the lease's id.
            end_strays(lease_id)
            concerned = list(engines.values()) if lease is None else [engines[lease.engine]]
            try:
                removed += _remove_all(home, concerned, user, installation, lease_id)
            except EnvironmentFault as error:
                # No reason for this command to fail: the lease stays, and the next command tries again.
                on_trouble(error)
                continue
            shutil.rmtree(home.runs / lease_id, ignore_errors=True)
            leases.forget(home, lease_id)
        for engine in engines.values():
            try:
                removed += _remove_orphans(home, engine, user, installation)
            except EnvironmentFault as error:
                on_trouble(error)
    return tuple(removed)


def _remove_all(home: Home, engines: Sequence[Engine], user: str, installation: str, lease: str) -> list[str]:
    """Until two listings, a moment apart, are empty; names of what went."""
    removed: list[str] = []
    while True:
        found = [name for engine in engines for name in _remove_lease(home, engine, user, installation, lease)]
        removed += found
        time.sleep(SETTLE)
        if not found and not any(_leftovers(home, engine, user, installation, lease) for engine in engines):
            return removed


def _leftovers(home: Home, engine: Engine, user: str, installation: str, lease: str) -> list[Instance]:
    kept = engine.kept(user=user, installation=installation) | _spared(home)
    return [instance for instance in engine.list(user=user, installation=installation, lease=lease)
            if instance.spec.owner.environment not in kept]


def _spared(home: Home) -> set[str]:
    """Environments of judge spaces that are not to be touched now."""
    return warm_spaces.spared(home) | kept_spaces.spaces(home).keys()


def _remove_lease(home: Home, engine: Engine, user: str, installation: str, lease: str) -> list[str]:
    names = []
    for instance in _leftovers(home, engine, user, installation, lease):
        engine.remove(instance.spec.name, data=True)
        names.append(instance.spec.name)
    return names


def _remove_orphans(home: Home, engine: Engine, user: str, installation: str) -> list[str]:
    """Judge spaces whose lease file was lost and whose maker is dead, and scratch folders without a lease.

    Only judge spaces: an environment without lease and mark may hold a learner's data (somebody pruned the mark), so
    it stays until ``labs clean``.
    """
    names = []
    kept_spaces.forget_gone(home)
    warm_spaces.forget_over(home)
    kept = _spared(home)
    for instance in engine.list(user=user, installation=installation):
        owner = instance.spec.owner
        if owner.environment in kept:
            continue
        if owner.purpose == "judge" and not leases.exists(home, owner.lease) and not leases.owner_alive(home, owner):
            engine.remove(instance.spec.name, data=True)
            names.append(instance.spec.name)
    with contextlib.suppress(OSError):
        for run in home.runs.iterdir():
            if not leases.exists(home, run.name):
                shutil.rmtree(run, ignore_errors=True)
    return names
