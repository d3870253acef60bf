"""The fixtures of checks. What they are for and what they can do: ``docs/checks-api.md``."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from orchestrator.checks.channel import Channel
from orchestrator.checks.contract import Contract
from orchestrator.checks.edges import Edges
from orchestrator.checks.errors import Late
from orchestrator.checks.explore import Explore
from orchestrator.checks.fresh import Fresh
from orchestrator.checks.http import Limits
from orchestrator.checks.server import Handed, Server
from orchestrator.checks.showing import Telling
from orchestrator.checks.words import short

T = TypeVar("T")

CHANNEL = pytest.StashKey[Channel]()
CONTRACT = pytest.StashKey[Contract]()
HANDED = pytest.StashKey[Handed]()
FIRST = pytest.StashKey[dict[str, Any]]()
EVIDENCE = pytest.StashKey[list[str]]()
EXCHANGE = pytest.StashKey[dict[str, object]]()
"""On a check's item: the last exchange with the server."""


def check_id(item: pytest.Item) -> str:
    """``redis/hold/test_x``: the check's id in the protocol."""
    return f"{item.config.stash[FIRST]['milestone']}/{item.name}"


class Faults:
    """Faults on services. Each is healed when its block ends, however it ends."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @contextmanager
    def _fault(self, kind: str, service: str, nodes: Collection[int] = ()) -> Iterator[None]:
        chosen = {"nodes": sorted(nodes)} if nodes else {}
        fault = self._channel.call("fault.begin", kind=kind, service=service, **chosen)["fault"]
        try:
            yield
        finally:
            self._channel.call("fault.heal", fault=fault)

    def down(self, service: str) -> Any:
        """The link is gone: connections reset, new ones refused."""
        return self._fault("down", service)

    def shut(self, service: str) -> Any:
        """The link leads nowhere: connections reset, new ones accepted and ended before a word."""
        return self._fault("shut", service)

    def hold(self, service: str) -> Any:
        """Bytes on the link wait; nothing is closed."""
        return self._fault("hold", service)

    def stop(self, service: str, *, nodes: Collection[int] = ()) -> Any:
        """The service is stopped in good order, then started again. ``nodes``: only these of it, from 1."""
        return self._fault("stop", service, nodes)

    def pause(self, service: str, *, nodes: Collection[int] = ()) -> Any:
        """The service freezes, then goes on."""
        return self._fault("pause", service, nodes)

    def kill(self, service: str, *, nodes: Collection[int] = ()) -> Any:
        """The service is killed, then started again."""
        return self._fault("kill", service, nodes)

    def cut(self, service: str) -> int:
        """Reset the link's connections once; how many there were."""
        return int(self._channel.call("fault.cut", service=service)["count"])

    def connections(self, service: str) -> int:
        """Connections of the target that are open now."""
        return int(self._channel.call("fault.connections", service=service)["open"])

    def opened(self, service: str) -> int:
        """Connections that the target opened since the space is fresh."""
        return int(self._channel.call("fault.connections", service=service)["opened"])


class Wait:
    """Waiting in a check's own preparation; for judging there is ``expect.eventually``."""

    def until(self, function: Callable[[], T], *, deadline: float, every: float = 0.02, what: str) -> T:
        """Call until the answer is truthy; ``Late(what, last answer)`` after ``deadline`` seconds."""
        end = time.monotonic() + deadline
        while not (value := function()):
            if time.monotonic() >= end:
                raise Late(what, value)
            time.sleep(every)
        return value


class Services(dict[str, dict[str, Any]]):
    """Service -> what an administrator needs to reach it, around the proxy.

    One that sleeps, because the milestone does not list it, is woken when somebody asks for it. ``Unjudged`` for one
    that cannot be had here.
    """

    def __init__(self, awake: Mapping[str, dict[str, Any]], channel: Channel) -> None:
        super().__init__(awake)
        self._channel = channel

    def __missing__(self, name: str) -> dict[str, Any]:
        self[name] = dict(self._channel.call("service.admin", service=name))
        return self[name]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The learner's running server. What the check stopped or added is put right when it ends."""

    first, channel = request.config.stash[FIRST], request.config.stash[CHANNEL]

    def note(exchange: dict[str, object]) -> None:
        request.node.stash[EXCHANGE] = exchange
        channel.event("exchange", check=check_id(request.node), exchange=exchange)

    one = Server(first["target"]["url"], channel, limits=Limits(**first["limits"]),
                 contract=request.config.stash[CONTRACT], on_exchange=note,
                 handed=request.config.stash.setdefault(HANDED, Handed()))
    one.prepare()
    yield one
    one.restore()


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """Values from the run's seed."""
    return Fresh(int(request.config.stash[FIRST]["seed"]), check_id(request.node))


@pytest.fixture
def edges(request: pytest.FixtureRequest) -> Edges:
    """Both sides of every limit of openapi.yaml."""
    return Edges(request.config.stash[CONTRACT].document)


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """One line of what was seen that a fake could not show."""
    lines: list[str] = request.node.stash.setdefault(EVIDENCE, [])

    def add(line: str) -> None:
        lines.append(short(str(line)))

    return add


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Faults:
    """Faults on services and links."""
    return Faults(request.config.stash[CHANNEL])


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> Services:
    """Where each service is, and its credentials: for a lab's own evidence."""
    return _services(request)


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Iterator[Explore]:
    """Every moment between two steps of a request."""

    def reader(service: str) -> Any:
        try:
            return request.getfixturevalue(service)
        except pytest.FixtureLookupError:  # a service without evidence
            return None

    channel, wish, show = request.config.stash[CHANNEL], request.config.stash[FIRST].get("show"), None
    if wish is not None:
        show = Telling(lambda told: channel.event("explored", check=check_id(request.node), told=told),
                       step=int(wish["step"]), templates=request.config.stash[CONTRACT].templates)
    one = Explore(channel, reader, show)
    yield one
    one.end()


@pytest.fixture
def wait() -> Wait:
    """Waiting for conditions."""
    return Wait()


def reader_of(name: str, module: str) -> Any:
    """The fixture of a service's evidence. ``module`` has its class as ``reader``, and imports the service's driver."""

    @pytest.fixture(scope="session", name=name)
    def evidence_of_the_service(request: pytest.FixtureRequest) -> Iterator[Any]:
        one = importlib.import_module(module).reader(_services(request)[name])
        yield one
        one.close()

    return evidence_of_the_service


def role_of(role: str, service: str) -> Any:
    """The fixture of a role: the evidence of the service that plays it in this milestone."""

    @pytest.fixture(scope="session", name=role)
    def evidence_of_the_role(request: pytest.FixtureRequest) -> Any:
        return request.getfixturevalue(service)

    return evidence_of_the_role


def _services(request: pytest.FixtureRequest) -> Services:
    return Services(request.config.stash[FIRST]["services"], request.config.stash[CHANNEL])
