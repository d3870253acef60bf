"""The child's pytest plugin: runs the checks of one milestone and tells the supervisor what happened, nothing else.

It says hello when everything is imported, the checks' files and the evidence readers, too, so that the supervisor can
start it ahead of time; then it waits to be told which target and services there are.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import random
from collections.abc import Generator, Mapping
from types import ModuleType
from typing import Any

import pytest

from orchestrator.checks import expect, fixtures, lab_fixtures
from orchestrator.checks.channel import JUDGED, Channel
from orchestrator.checks.contract import Contract
from orchestrator.checks.failures import failure_of
from orchestrator.checks.fixtures import CHANNEL, CONTRACT, EVIDENCE, EXCHANGE, FIRST, reader_of, role_of
from orchestrator.checks.protocol import READERS_VARIABLE, ROLES_VARIABLE
from orchestrator.checks.routes import read_openapi
from orchestrator.checks.seal import seal

READERS = pytest.StashKey[Mapping[str, str]]()
ROLES = pytest.StashKey[Mapping[str, str]]()
BLAMES = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """The channel, before anything of the lab is loaded."""
    seal()
    config.stash[CHANNEL] = Channel.inherited()
    config.pluginmanager.register(fixtures, "labs-fixtures")
    readers = config.stash[READERS] = dict(json.loads(os.environ.get(READERS_VARIABLE, "{}")))
    plugin = ModuleType("labs_readers")  # a module, so that pytest takes its fixtures for functions, not for methods
    vars(plugin).update({name: reader_of(name, module) for name, module in readers.items()})
    roles = config.stash[ROLES] = dict(json.loads(os.environ.get(ROLES_VARIABLE, "{}")))
    vars(plugin).update({role: role_of(role, service) for role, service in roles.items()})
    config.pluginmanager.register(plugin, "labs-readers")
    # pytest reads ``[`` and ``::`` in an argument as the choice of a test. Seen from the lab's folder, whatever the
    # folder is called, the file's name has none.
    invocation = config.invocation_params
    config.args = [os.path.relpath(argument, config.rootpath) for argument in config.args]
    config.invocation_params = pytest.Config.InvocationParams(
        args=invocation.args, plugins=invocation.plugins, dir=config.rootpath
    )
    lab_fixtures.load(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Hello when the checks are loaded; the first message; then which checks there are."""
    for item in items:
        # What must run is read from the file's syntax tree: nothing may multiply a check.
        if getattr(item, "callspec", None) is not None:
            raise pytest.UsageError(f"{item.name}: checks cannot be parametrised; write a loop or a second check")
    wanted = {name for item in items for name in getattr(item, "fixturenames", ())}
    readers, roles = config.stash[READERS], config.stash[ROLES]
    for name in {roles.get(name, name) for name in wanted} & readers.keys():
        importlib.import_module(readers[name])
    config.stash[CONTRACT] = Contract(read_openapi(config.rootpath))
    channel = config.stash[CHANNEL]
    first = config.stash[FIRST] = channel.greet()
    if first.get("shuffle"):
        # A proof: the order of a lab's checks must not matter. The same seed gives the same order.
        random.Random(f"order/{first['seed']}").shuffle(items)  # noqa: S311 - repeatable is the point
    expect.set_control(int(first["control"]["port"]))
    if first.get("only") is not None:
        items[:] = [item for item in items if _id(item) in first["only"]]
    channel.event("collected", checks=[_id(item) for item in items])
    if any("explore" in getattr(item, "fixturenames", ()) for item in items):
        # Now, before the server is asked anything: what it prepares from here on is known when a step runs it.
        channel.call("explore.listen")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """A check begins and, whatever happens in it, finishes."""
    channel = item.config.stash[CHANNEL]
    title = (inspect.getdoc(getattr(item, "function", None)) or item.name).splitlines()[0]
    channel.event("started", check=_id(item), title=title)
    result = yield
    if item.stash.get(BLAMES, False):
        with contextlib.suppress(Exception):  # logs are a help, never a reason to fail
            channel.call("check.failed")
    channel.event("finished", check=_id(item), evidence=item.stash.get(EVIDENCE, []),
                  exchange=item.stash.get(EXCHANGE, None))
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One phase of a check is over."""
    report = yield
    values: dict[str, Any] = {}
    if report.outcome == "failed" and call.excinfo is not None:
        exchange = item.stash.get(EXCHANGE, None)
        values["failure"] = failure = failure_of(call.excinfo.value, item.config.rootpath, exchange)
        item.stash[BLAMES] = failure["kind"] in JUDGED
    outcome = "skipped" if hasattr(report, "wasxfail") else report.outcome
    item.config.stash[CHANNEL].event("phase", check=_id(item), phase=report.when, outcome=outcome,
                                     seconds=round(call.duration, 4), **values)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The last word: how many checks were run. None if they could not even be loaded."""
    channel = session.config.stash[CHANNEL]
    if channel.greeted:
        channel.event("bye", count=session.testscollected)


def _id(item: pytest.Item) -> str:
    return fixtures.check_id(item)
