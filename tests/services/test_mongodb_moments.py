"""What explorations ask MongoDB: whether somebody waits, and whether something was written that a crash leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient, errors, timeout
from pymongo.client_session import ClientSession
from pymongo.database import Database
from support.mongodb import with_one_page
from support.services import Service
from support.wait import until

from orchestrator.services.base import Lingering
from orchestrator.services.mongodb.evidence.reader import Mongodb

Pages = Database[dict[str, Any]]
SLUG = {"slug": "a"}


@pytest.fixture
def pages(mongodb_service: Service) -> Iterator[Pages]:
    with with_one_page(mongodb_service) as database:
        database.pages.create_index("slug", unique=True)
        yield database


@contextmanager
def changing(pages: Pages) -> Iterator[ClientSession]:
    """A transaction that has changed the page, and stays open."""
    client: MongoClient[dict[str, Any]] = pages.client
    with client.start_session() as session, session.start_transaction():
        pages.pages.update_one(SLUG, {"$set": {"n": 1}}, session=session)
        yield session


def test_a_write_waits_for_an_open_transaction(mongodb: Mongodb, pages: Pages) -> None:
    """It is the reader's too that waits, and nobody does any more when the transaction is over."""
    with changing(pages):
        assert not mongodb.waiting()
        other = threading.Thread(target=pages.pages.update_one, args=(SLUG, {"$set": {"n": 2}}))
        other.start()
        until(mongodb.waiting)
        assert mongodb.waiting()
    other.join()

    assert not mongodb.waiting()


@pytest.mark.parametrize("refused", [
    lambda pages, session: pages.pages.update_one(SLUG, {"$set": {"n": 2}}, session=session),
    lambda pages, session: pages.pages.insert_one({"slug": "new"}, session=session),
], ids=["update", "insert"])
def test_who_is_refused_for_an_open_transaction_waits_until_it_ends(
    refused: Callable[[Pages, ClientSession], object], mongodb: Mongodb, pages: Pages
) -> None:
    """In a transaction MongoDB refuses at once, and a driver tries again, each time a little later."""
    with changing(pages) as held:
        pages.pages.insert_one({"slug": "new"}, session=held)
        with pages.client.start_session() as session:
            session.start_transaction()
            with pytest.raises(errors.PyMongoError, match="WriteConflict"):
                refused(pages, session)
            session.abort_transaction()
        assert mongodb.waiting()
    assert not mongodb.waiting()

    with changing(pages):
        assert not mongodb.waiting(), "who was refused for another transaction does not wait for this one"


def test_a_look_writes_nothing_and_each_write_is_told(mongodb: Mongodb, pages: Pages) -> None:
    """In a transaction, too: MongoDB does not end one because its connection is gone."""
    states = [mongodb.written()]
    pages.pages.find_one(SLUG)
    assert mongodb.written() == states[0]
    pages.pages.update_one(SLUG, {"$inc": {"n": 1}})
    states.append(mongodb.written())
    pages.create_collection("more")
    states.append(mongodb.written())
    with changing(pages) as session:
        states.append(mongodb.written())
        pages.more.insert_one({}, session=session)
        states.append(mongodb.written())
    states.append(mongodb.written())

    assert len(set(states)) == len(states) == 6


def test_what_a_killed_server_left_open_is_ended_and_nothing_else(mongodb_service: Service, pages: Pages) -> None:
    """A transaction would hold its documents for a minute; a cursor of a second server that lives goes on."""
    pages.pages.insert_many([{"slug": letter} for letter in "bcdef"])
    reading = pages.pages.find({}, batch_size=2)
    next(reading)
    with pages.client.start_session() as left:
        left.start_transaction()
        pages.pages.update_one(SLUG, {"$set": {"n": 1}}, session=left)
        recipe = mongodb_service.recipe
        assert isinstance(recipe, Lingering)
        recipe.let_go(mongodb_service.endpoint, mongodb_service.credentials)

        with timeout(5):
            assert pages.pages.update_one(SLUG, {"$set": {"n": 2}}).modified_count == 1
        assert len(list(reading)) == 5
        with pytest.raises(errors.OperationFailure, match="has been aborted"):
            left.commit_transaction()
    recipe.let_go(mongodb_service.endpoint, mongodb_service.credentials)
