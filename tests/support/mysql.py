"""A learner's server on MySQL, and what runs beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql

from support.services import Service

TABLES = """
    CREATE TABLE buyers (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL, balance_cents INT NOT NULL,
        vip TINYINT(1) NOT NULL DEFAULT 0, CONSTRAINT not_in_debt CHECK (balance_cents >= 0));
    CREATE TABLE orders (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, buyer_id BIGINT, seat INT UNIQUE, at DATETIME(6), paid TIMESTAMP NULL,
        FOREIGN KEY (buyer_id) REFERENCES buyers (id))
"""
ADA = "INSERT INTO buyers (name, balance_cents) VALUES ('Ada', 500)"


class Target:
    """A connection as the learner's server makes it."""

    def __init__(self, service: Service, **options: Any) -> None:
        own, at = service.credentials, service.endpoint
        self.connection = pymysql.connect(host=at.host, port=at.port, user=own.user, password=own.password,
                                          database=own.database, **{"autocommit": True, "read_timeout": 30, **options})

    def execute(self, query: str, params: Any = None) -> tuple[tuple[Any, ...], ...]:
        cursor = self.connection.cursor()
        cursor.execute(query, params)
        return cursor.fetchall()

    def close(self) -> None:
        with suppress(pymysql.Error):
            self.connection.close()


@contextmanager
def learner(service: Service, **options: Any) -> Iterator[Target]:
    target = Target(service, **options)
    try:
        yield target
    finally:
        target.close()


@contextmanager
def learner_with_tables(service: Service) -> Iterator[Target]:
    """Of a space that has none yet."""
    with learner(service) as target:
        for statement in TABLES.split(";"):
            target.execute(statement)
        yield target


def eventually(function: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not function():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def meanwhile(function: Callable[[], object]) -> Iterator[None]:
    """Run it beside the block; both have ended afterwards."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
        assert not thread.is_alive()
