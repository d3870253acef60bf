"""The services that these tests run on; everything else asks only for an endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.services import Service, running

from orchestrator.services.postgres.evidence.reader import Postgres
from orchestrator.services.redis.evidence import Redis


@pytest.fixture(scope="session")
def postgres_service() -> Iterator[Service]:
    with running("postgres") as service:
        yield service


@pytest.fixture(scope="session")
def redis_service() -> Iterator[Service]:
    with running("redis") as service:
        yield service


@pytest.fixture
def postgres(postgres_service: Service) -> Iterator[Postgres]:
    """The evidence reader on a fresh space."""
    postgres_service.recipe.fresh(postgres_service.endpoint, postgres_service.credentials)
    reader = Postgres(postgres_service.admin)
    yield reader
    reader.close()


@pytest.fixture
def redis(redis_service: Service) -> Iterator[Redis]:
    """The evidence reader on a fresh space."""
    redis_service.recipe.fresh(redis_service.endpoint, redis_service.credentials)
    reader = Redis(redis_service.admin)
    yield reader
    reader.close()
