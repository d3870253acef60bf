"""MongoDB's drivers talk by themselves; explorations of what a server asks of other services do not notice it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymongo import MongoClient, monitoring
from redis import Redis as RedisClient
from support.services import Service
from support.wait import until

from orchestrator import services
from orchestrator.faults.proxy import Proxy
from orchestrator.model import Endpoint
from orchestrator.services.base import Overhearing


class Heartbeats(monitoring.ServerHeartbeatListener):
    """Counts the looks at the server that were answered."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.ServerHeartbeatStartedEvent) -> None:
        pass

    def succeeded(self, event: monitoring.ServerHeartbeatSucceededEvent) -> None:
        self.count += 1

    def failed(self, event: monitoring.ServerHeartbeatFailedEvent) -> None:
        raise AssertionError(event)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def link(proxy: Proxy, service: Service, variable: str) -> str:
    """The service's address for a server, through the proxy."""
    endpoint: Endpoint = proxy.open(service.recipe.name, service.endpoint)
    return service.recipe.environment(endpoint, service.credentials)[variable]


@pytest.mark.parametrize("mode", ["stream", "poll"])
def test_a_client_that_monitors_takes_no_step_and_moves_nothing(
    mode: str, proxy: Proxy, mongodb_service: Service, redis_service: Service
) -> None:
    """Two looks at MongoDB, as often as a driver may look at all, while a request asks Redis for something."""
    redis_service.fresh()
    heartbeats = Heartbeats()
    mongodb, redis = link(proxy, mongodb_service, "MONGODB_URL"), link(proxy, redis_service, "REDIS_URL")
    ears = {name: recipe.ears() for name in ("mongodb", "redis")
            if isinstance(recipe := services.recipe(name), Overhearing)}
    steps = proxy.steps(ears)
    with (MongoClient(mongodb, heartbeatFrequencyMS=500, serverMonitoringMode=mode, minPoolSize=2,
                      event_listeners=[heartbeats]) as client, RedisClient.from_url(redis) as server):
        client.get_default_database().pages.find_one()
        server.ping()
        steps.arm("")
        server.set("seat:1", "ada")
        before = heartbeats.count
        until(lambda: heartbeats.count >= before + 2)

        assert [step.text for step in steps.taken()] == ["SET seat:1 ada"]
        assert steps.still() >= 0.4
        steps.settle(0.01, 1.0)
        client.get_default_database().pages.find_one({"slug": "a"})
        assert [step.text for step in steps.taken()][1:] == ["db.pages.findOne({ slug: 'a' })"]
