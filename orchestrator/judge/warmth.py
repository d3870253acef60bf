"""Services that outlive a run: those that an earlier one left for this one, and those that this one leaves.

A service is taken over only if it still is the very run of it that was left, started as it would be started today; then
it is emptied as for every attempt, where whatever the learner's role could have changed makes it be made anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from orchestrator.engines.base import Engine
from orchestrator.environments import warm
from orchestrator.errors import EnvironmentBusy, LabsError
from orchestrator.judge.postmortem import observe
from orchestrator.judge.seat import Marks, made_as, words_of
from orchestrator.judge.turns import MOST_JUDGES
from orchestrator.model import Instance, Owner, State
from orchestrator.ownership import judge_spaces, kept_spaces, leases, waiter, warm_spaces
from orchestrator.ownership.kept_spaces import KeptSpace
from orchestrator.ownership.warm_spaces import IDLE, WarmSpace
from orchestrator.services.base import Recipe
from orchestrator.system.home import Home


@dataclass(frozen=True, slots=True)
class Taken:
    """A space that is ours now; ``lock`` is let go of when we have left it."""

    environment: str
    instances: tuple[Instance, ...]
    lock: ExitStack

    @property
    def owner(self) -> Owner:
        """What stands on its instances, and on those that are made beside them."""
        return self.instances[0].spec.owner


class Warmth:
    """What a run, with all its judges, may take and leave. ``failed``: kept spaces that only wait for the next run."""

    def __init__(self, home: Home, engine: Engine, lab: str, failed: Sequence[KeptSpace] = ()) -> None:
        self._home = home
        self._engine = engine
        self._lab = lab
        self._failed = list(failed)
        self._choosing = threading.Lock()

    def take(self, recipes: Mapping[str, Recipe]) -> Taken | None:
        """A space with services that run, or ``None``. What is found unsound on the way is removed."""
        with self._choosing:
            for space in self._candidates():
                lock = ExitStack()
                try:
                    lock.enter_context(leases.lock(self._home, space.environment, wait=0))
                except EnvironmentBusy:
                    continue
                found = self._as_left(space, recipes)
                if found:
                    # Should we be killed, it is idle from now on.
                    self._remember(dataclasses.replace(space, until=time.time() + IDLE))
                    kept_spaces.forget(self._home, space.environment)
                    return Taken(space.environment, found, lock)
                self._drop(space.environment)
                lock.close()
        return None

    def leave(self, environment: str, marks: Mapping[str, Marks], taken: Taken | None) -> None:
        """These services of the environment go on running for the next command."""
        self._remember(WarmSpace(environment, self._engine.info().key, self._lab, time.time() + IDLE,
                                 {name: one.recipe for name, one in marks.items()},
                                 {name: one.incarnation for name, one in marks.items()}))
        if taken is not None:
            taken.lock.close()
        self._trim()

    def not_taken(self) -> list[KeptSpace]:
        """Failed spaces that nobody has looked at."""
        return list(self._failed)

    def give_up(self, taken: Taken) -> None:
        """The space is somebody else's, or gone."""
        warm.end_waiter(self._home, taken.environment)
        warm_spaces.forget(self._home, taken.environment)
        taken.lock.close()

    def make_room(self) -> bool:
        """End what nobody works in; whether anything was."""
        return bool(warm.end_all(self._home, self._engine))

    def _candidates(self) -> Iterator[WarmSpace]:
        """Failed ones first: they would be removed otherwise."""
        while self._failed:
            one = self._failed.pop()
            if one.lab == self._lab and one.incarnations:
                yield WarmSpace(one.environment, one.engine, one.lab, 0.0, one.recipes, one.incarnations)
        yield from warm.all_warm(self._home, self._engine, self._lab)

    def _as_left(self, space: WarmSpace, recipes: Mapping[str, Recipe]) -> tuple[Instance, ...]:
        """All its instances, if each still is what it was; else nothing. Files cannot be known again, so they go."""
        every = judge_spaces.instances(self._engine, self._home, space.environment)
        found = [one for one in every if not one.spec.file]
        first = {one.spec.service: one.spec for one in found if one.spec.node == 1}
        if not found or first.keys() != space.incarnations.keys():
            return ()
        if any(one.state is not State.RUNNING for one in found):
            return ()
        for name, spec in first.items():
            recipe = recipes.get(name)
            if recipe is None or made_as(self._engine, recipe) != space.recipes.get(name):
                return ()
            try:
                if words_of(observe(self._engine, recipe, spec)) != space.incarnations[name]:
                    return ()
            except Exception:  # whatever it is, it is not the service that was left
                return ()
        for one in every:
            if one.spec.file:
                self._engine.remove(one.spec.name, data=True)
        return tuple(found)

    def _remember(self, space: WarmSpace) -> None:
        before = warm_spaces.of(self._home, space.environment)
        known = (before.waiter, before.waiter_started) if before is not None else (0, 0.0)
        warm_spaces.remember(self._home, dataclasses.replace(space, waiter=known[0], waiter_started=known[1]))
        now = waiter.ensure(warm_spaces.path_of(self._home, space.environment), *known)
        if now != known:
            warm_spaces.remember(self._home, dataclasses.replace(space, waiter=now[0], waiter_started=now[1]))

    def _drop(self, environment: str) -> None:
        warm.end_waiter(self._home, environment)
        kept_spaces.forget(self._home, environment)
        with contextlib.suppress(LabsError):  # it is nobody's any more: the next sweep takes it
            warm_spaces.remove(self._engine, self._home, environment)

    def _trim(self) -> None:
        """So many spaces of one lab stay as milestones are judged at a time."""
        for space in warm.all_warm(self._home, self._engine, self._lab)[MOST_JUDGES:]:
            warm.end(self._home, self._engine, space)
