"""A run of checks: owns the venue, the target, the faults and the clock, and makes the report.

The build and the start of the services happen side by side; then milestone by milestone, or several at a time, each
judge at a venue of its own. Only an ``error`` is tried again, once, on a fresh space. Whatever happens, everything that
the run started has ended when ``run`` returns.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from orchestrator import __version__
from orchestrator.engines.base import Engine
from orchestrator.errors import LabsError
from orchestrator.judge.attempt import Listener
from orchestrator.judge.forking import ForkServer
from orchestrator.judge.lane import Course, Keep, Lane
from orchestrator.judge.request import RunRequest
from orchestrator.judge.venue import Venue
from orchestrator.judge.warmth import Warmth
from orchestrator.model import Milestone, Owner
from orchestrator.report.result import ATTACHED, LOCAL, Report
from orchestrator.services.base import Recipe
from orchestrator.system.interrupt import NEVER, Cancel, Cancelled
from orchestrator.system.private import keep_memory_private
from orchestrator.system.together import Together

END_BUDGET = 40.0
"""Seconds in which judges in threads must have left, with all that they started."""


def run(
    request: RunRequest,
    *,
    engine: Engine,
    engine_reason: str,
    recipes: Mapping[str, Recipe],
    owner: Owner,
    folder: Path,
    listener: Listener,
    keep: Keep | None = None,
    judges: int = 1,
    warmth: Warmth | None = None,
    forks: ForkServer | None = None,
) -> Report:
    """One run at venues of its own, of which nothing is left afterwards but what goes on running in ``warmth``.

    Arguments as of ``Venue`` and ``judge``.

    ``judges``: so many milestones at a time; those beside the first leave where their services do not fit into memory.
    """
    with Venue(request.lab, engine=engine, recipes=recipes, owner=owner, folder=folder,
               warmth=warmth, forks=forks) as venue:
        if judges == 1:
            return judge(request, venue, engine_reason=engine_reason, listener=listener, last=True, keep=keep)
        return _report(Course(request, listener, keep, judges), venue, engine_reason,
                       lambda course: _side_by_side(course, venue, judges))


def judge(
    request: RunRequest, venue: Venue, *, engine_reason: str, listener: Listener, last: bool = False,
    keep: Keep | None = None, cancel: Cancel = NEVER,
) -> Report:
    """Judge the milestones of the request, in their order. With ``last`` the venue is left before it returns.

    ``keep`` is told of the first milestone that failed and of the environment of its space, which then stays.
    ``KeyboardInterrupt`` ends the run: the report says so and what is known by then. So does ``cancel``, and it leaves
    the venue ready for the next run.
    """

    def work(course: Course) -> None:
        in_order = False
        try:
            Lane(course, venue, cancel).work()
            in_order = True
        finally:
            if last:
                venue.close(in_order=in_order)

    return _report(Course(request, listener, keep), venue, engine_reason, work)


def _side_by_side(course: Course, first: Venue, judges: int) -> None:
    """Judges at venues of their own, each in a thread, until all is judged; then their venues are left.

    Whoever is interrupted, or has a fault that is not a verdict, ends it for all.
    """
    cancel = Cancel()

    def work(number: int) -> None:
        try:
            if number > 1:  # what the first one needs is never taken by another
                course.wait_opened(cancel)
            with first if number == 1 else first.another(number) as venue:
                Lane(course, venue, cancel, helper=number > 1).work()
        except Cancelled:
            pass  # whoever asked for it says why
        except BaseException:
            cancel.ask()
            raise
        finally:
            course.opened.set()

    working = Together(work, range(1, judges + 1))
    try:
        working.start()
        working.wait()
    finally:
        cancel.ask()
        working.settle(END_BUDGET)


def _report(course: Course, venue: Venue, engine_reason: str, work: Callable[[Course], None]) -> Report:
    """Do it, and what came of it."""
    request = course.request
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    interrupted = False
    try:
        keep_memory_private()  # before anything of the learner's runs
        work(course)
    except KeyboardInterrupt:
        interrupted = True
    info = venue.engine.info()
    return Report(
        lab=request.lab.name,
        lab_version=request.lab.version,
        lab_commit=request.lab_commit,
        labs_version=__version__,
        seed=request.seed,
        started_at=started_at,
        seconds=time.monotonic() - began,
        engine=f"{info.name} {info.version}",
        engine_reason=engine_reason,
        isolation=LOCAL if request.attached is None else ATTACHED,
        products=venue.products,
        milestones=course.all_results(),
        interrupted=interrupted,
    )


def prepare(venue: Venue, milestone: Milestone) -> None:
    """Make ready what a run of this milestone needs first: an empty space, a child that has loaded its checks.

    Only between runs at this venue. If it cannot be done, or another run comes, nothing is lost but its work.
    """
    if not venue.begun or venue.opened() is not None:
        return
    venue.ahead.prepare(milestone, venue.child(milestone))
    with contextlib.suppress(LabsError, OSError):
        venue.space.prepare()
