"""The learner's side of a MongoDB that tests run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from support.services import Service


@contextmanager
def with_one_page(service: Service) -> Iterator[Database[dict[str, Any]]]:
    """The learner's database as its server has it, new but for one document in ``pages``."""
    service.fresh()
    client: MongoClient[dict[str, Any]] = MongoClient(service.url("MONGODB_URL"))
    with client:
        database = client.get_default_database()
        database.pages.insert_one({"slug": "a"})
        yield database
