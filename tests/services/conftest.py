"""The services that these tests run on; everything else asks only for an endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.containers import running_container
from support.services import Service, running

from orchestrator.services.elasticsearch.evidence.reader import Elasticsearch
from orchestrator.services.mongodb.evidence.reader import Mongodb
from orchestrator.services.mysql.evidence.reader import MySQL
from orchestrator.services.postgres.evidence.reader import Postgres
from orchestrator.services.redis.evidence import Redis


@pytest.fixture(scope="session", params=["wheel", pytest.param("container", marks=pytest.mark.docker)])
def leg(request: pytest.FixtureRequest) -> str:
    """What the services are: programs of the wheels, or containers that no engine of ours has started."""
    return str(request.param)


def served(name: str, leg: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    start = running(name) if leg == "wheel" else running_container(name, request.getfixturevalue("image_table"))
    with start as service:
        yield service


@pytest.fixture(scope="session")
def postgres_service(leg: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    yield from served("postgres", leg, request)


@pytest.fixture(scope="session")
def redis_service(leg: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    yield from served("redis", leg, request)


@pytest.fixture(scope="session")
def mongodb_service(leg: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    yield from served("mongodb", leg, request)


@pytest.fixture(scope="session")
def elasticsearch_service(leg: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    if leg == "wheel":
        pytest.skip("there is no program of Elasticsearch that runs without a container")
    yield from served("elasticsearch", leg, request)


@pytest.fixture(scope="session")
def mysql_service(leg: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    if leg == "wheel":
        pytest.skip("there is no program of MySQL that runs without a container")
    yield from served("mysql", leg, request)


@pytest.fixture(scope="session")
def galera_service(leg: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    if leg == "wheel":
        pytest.skip("there is no program of Galera that runs without a container")
    yield from served("galera", leg, request)


@pytest.fixture
def postgres(postgres_service: Service) -> Iterator[Postgres]:
    """The evidence reader on a fresh space."""
    postgres_service.fresh()
    reader = Postgres(postgres_service.admin)
    yield reader
    reader.close()


@pytest.fixture
def redis(redis_service: Service) -> Iterator[Redis]:
    """The evidence reader on a fresh space."""
    redis_service.fresh()
    reader = Redis(redis_service.admin)
    yield reader
    reader.close()


@pytest.fixture
def mongodb(mongodb_service: Service) -> Iterator[Mongodb]:
    """The evidence reader on a fresh space."""
    mongodb_service.fresh()
    reader = Mongodb(mongodb_service.admin)
    yield reader
    reader.close()


@pytest.fixture
def elasticsearch(elasticsearch_service: Service) -> Iterator[Elasticsearch]:
    """The evidence reader on a fresh space."""
    elasticsearch_service.fresh()
    reader = Elasticsearch(elasticsearch_service.admin)
    yield reader
    reader.close()


@pytest.fixture
def mysql(mysql_service: Service) -> Iterator[MySQL]:
    """The evidence reader on a fresh space."""
    mysql_service.fresh()
    reader = MySQL(mysql_service.admin)
    yield reader
    reader.close()
