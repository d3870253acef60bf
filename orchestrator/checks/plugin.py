"""The child's pytest plugin: runs the checks of one milestone and tells the supervisor what happened, nothing else.

It says hello when the imports are done, so that the supervisor can start it ahead of time, and then waits to be told
which target and services there are.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.checks import expect, fixtures
from orchestrator.checks.channel import Channel
from orchestrator.checks.errors import (
    Failed,
    Judged,
    MachineSlow,
    SchemaWrong,
    ServiceLost,
    TargetTimeout,
    TargetWrong,
    Unjudged,
)
from orchestrator.checks.fixtures import CHANNEL, EVIDENCE, EXCHANGE, FIRST
from orchestrator.checks.protocol import Message

PR_SET_DUMPABLE = 4

KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (MachineSlow, "machine"),
    (ServiceLost, "lost"),
    (Unjudged, "unjudged"),
    (SchemaWrong, "schema"),
    (TargetWrong, "wrong"),
    (TargetTimeout, "timeout"),
    (Failed, "failed"),
    (AssertionError, "failed"),
    (pytest.fail.Exception, "failed"),
)
"""The type alone says whose fault it was. What is not listed is our bug."""

GRAVITY = ("bug", "lost", "machine", "unjudged", "schema", "wrong", "failed", "timeout")
"""Of several failures at once, the first of these speaks: while something of ours is broken, nobody else is blamed."""


def pytest_configure(config: pytest.Config) -> None:
    """Hello, then wait for the first message."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            # Other processes of the same user cannot read the passwords out of this one's memory.
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    channel = Channel.inherited()
    first = channel.greet()
    config.stash[CHANNEL] = channel
    config.stash[FIRST] = first
    if "control" in first:
        expect.set_control(int(first["control"]["port"]))
    config.pluginmanager.register(fixtures, "labs-fixtures")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Checks are plain functions: what must run is read from the file itself, so nothing may multiply them."""
    for item in items:
        if getattr(item, "callspec", None) is not None:
            raise pytest.UsageError(f"{item.name}: checks cannot be parametrised; write a loop or a second check")
    config.stash[CHANNEL].event("collected", checks=[_id(item) for item in items])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """A check begins and, whatever happens in it, finishes."""
    channel = item.config.stash[CHANNEL]
    title = (getattr(getattr(item, "function", None), "__doc__", None) or item.name).strip().splitlines()[0]
    channel.event("started", check=_id(item), title=title)
    result = yield
    channel.event("finished", check=_id(item), evidence=item.stash.get(EVIDENCE, []),
                  exchange=item.stash.get(EXCHANGE, None))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One phase of a check is over."""
    report = yield
    values: dict[str, Any] = {}
    if report.outcome == "failed" and call.excinfo is not None:
        values["failure"] = _failure(item, call.excinfo)
    outcome = "skipped" if hasattr(report, "wasxfail") else report.outcome
    item.config.stash[CHANNEL].event("phase", check=_id(item), phase=report.when, outcome=outcome,
                                     seconds=round(call.duration, 4), **values)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The last word: how many checks were run."""
    session.config.stash[CHANNEL].event("bye", count=session.testscollected)


def _id(item: pytest.Item) -> str:
    return f"{item.config.stash[FIRST]['milestone']}/{item.name}"


def _failure(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]) -> Message:
    error = _gravest(excinfo.value)
    kind = kind_of(error)
    failure: Message = {"kind": kind, "where": _where(item, error), "exchange": item.stash.get(EXCHANGE, None)}
    if isinstance(error, Judged):
        failure |= {"reason": error.reason, "what": error.what, "expected": error.expected, "seen": error.seen}
        failure["exchange"] = error.exchange or failure["exchange"]
    elif isinstance(error, Unjudged):
        failure |= {"reason": "unjudged", "what": error.what, "expected": error.remedy, "seen": ""}
    elif isinstance(error, MachineSlow | ServiceLost):
        failure |= {"reason": kind, "what": str(error), "expected": "", "seen": ""}
    else:
        reason = "assertion" if kind == "failed" else "bug"
        text = str(error) or type(error).__name__
        name = "" if kind == "failed" else f"{type(error).__name__}: "
        failure |= {"reason": reason, "what": expect.short(name + text), "expected": "", "seen": ""}
    return failure


def kind_of(error: BaseException) -> str:
    """The protocol's kind of failure for an exception."""
    return next((kind for type_, kind in KINDS if isinstance(error, type_)), "bug")


def _gravest(error: BaseException) -> BaseException:
    """Of a group, from threads or tasks, the member that speaks for all."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    members = [_gravest(member) for member in error.exceptions]
    return min(members, key=lambda member: GRAVITY.index(kind_of(member)))


def _where(item: pytest.Item, error: BaseException) -> str:
    """``checks/test_redis_hold.py:31``: the last line of the lab's own checks on the way to the failure."""
    root = item.config.rootpath
    found = ""
    trace = error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(root):
            found = f"{path.relative_to(root)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
