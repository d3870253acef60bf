"""What MongoDB records of the learner's server is all of it, only that, and moves no counter that evidence is read from."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from typing import Any

from pymongo import MongoClient, errors
from support.services import Service

from orchestrator.services.mongodb.clients import admin
from orchestrator.services.mongodb.evidence.reader import Mongodb
from orchestrator.services.mongodb.record import MongodbRecorder


def url(service: Service) -> str:
    return service.url("MONGODB_URL")


def test_operations_with_documents_plans_and_refusals(mongodb_service: Service, mongodb: Mongodb) -> None:
    """In the order in which they ended, by whom they were sent, at the time at which they began."""
    recorder = mongodb_service.recipe.record(mongodb_service.endpoint, mongodb_service.credentials)
    began = time.time()
    with MongoClient(url(mongodb_service)) as client:
        pages = client.get_default_database().pages
        pages.create_index("slug", unique=True)
        pages.insert_many([{"slug": f"s{n}", "n": n} for n in range(2000)])
        list(pages.find({"n": 7}))
        with suppress(errors.DuplicateKeyError):
            pages.insert_one({"slug": "s1"})
    mongodb.plant("pages", {"slug": "the checker's"})

    recorded = recorder.stop()

    index, insert, scan, refused = recorded.records
    assert recorded.gap == ""
    assert index.text == "db.pages.createIndex({ slug: 1 }, { unique: true })"
    assert (insert.text, insert.rows) == ("db.pages.insertMany(…)", 2000)
    assert (scan.text, scan.rows) == ("db.pages.find({ n: 7 })", 1)
    assert scan.note == "the whole collection: read 2000 documents for 1"
    assert (refused.refused, refused.rows) == (True, 0)
    # The profiler's clock has milliseconds, and the service's was compared with ours.
    assert began - 0.05 <= index.at <= insert.at <= scan.at <= refused.at <= time.time() + 0.05
    assert len({record.session for record in recorded.records}) == 1


def test_words_that_mongodb_cut_in_the_middle_of_a_letter(mongodb_service: Service, mongodb: Mongodb) -> None:
    """A refusal names the duplicate, and only its first 150 bytes or so: wherever the cut is, it is read."""
    recorder = mongodb_service.recipe.record(mongodb_service.endpoint, mongodb_service.credentials)
    names = ["a" * place + "\N{ADMISSION TICKETS}" * 60 for place in range(4)]
    # The driver has the same trouble with the answer.
    learner: MongoClient[Any] = MongoClient(url(mongodb_service), unicode_decode_error_handler="replace")
    with learner as client, mongodb.operations() as operations:
        pages = client.get_default_database().pages
        pages.create_index("slug", unique=True)
        pages.insert_many([{"slug": "mine"}, *({"slug": name} for name in names)])
        for name in names:
            with suppress(errors.DuplicateKeyError):
                pages.find_one_and_update({"slug": "mine"}, {"$set": {"slug": name}})

    refused = [one for one in recorder.stop().records if one.refused]
    assert len(refused) == len(names) == sum(one.error != "" for one in operations.list)
    assert all("E11000" in one.note for one in refused)


def test_only_what_comes_after_it_is_recorded(mongodb_service: Service, mongodb: Mongodb) -> None:
    with MongoClient(url(mongodb_service)) as client:
        pages = client.get_default_database().pages
        pages.find_one({"slug": "before"})
        recorder = mongodb_service.recipe.record(mongodb_service.endpoint, mongodb_service.credentials)
        pages.find_one({"slug": "after"})
        recorded = recorder.stop()
        pages.find_one({"slug": "late"})

    assert [record.text for record in recorded.records] == ["db.pages.findOne({ slug: 'after' })"]


def test_recording_moves_no_counter(mongodb_service: Service, mongodb: Mongodb) -> None:
    """Operations and counts are the same with a recorder as without; its own questions are not among them."""
    recorder = mongodb_service.recipe.record(mongodb_service.endpoint, mongodb_service.credentials)
    with MongoClient(url(mongodb_service)) as client:
        with mongodb.operations() as operations, mongodb.counters() as counters:
            client.get_default_database().pages.insert_one({"slug": "a"})
    assert len(recorder.stop().records) == 1
    assert [one.name for one in operations.list] == ["insert"]
    assert (counters.operations, counters.commands) == ({"insert": 1}, {"insert": 1})


def test_a_restart_leaves_no_gap(mongodb_service: Service, mongodb: Mongodb) -> None:
    """The record is on disk, and goes on from the first moment of the next start."""
    recorder = mongodb_service.recipe.record(mongodb_service.endpoint, mongodb_service.credentials)
    with MongoClient(url(mongodb_service)) as client:
        pages = client.get_default_database().pages
        pages.insert_one({"slug": "before"})
        mongodb_service.restart()
        pages.insert_one({"slug": "after"})
    assert len([one for one in recorder.stop().records if one.text == "db.pages.insertOne(…)"]) == 2


def test_a_service_that_is_gone_leaves_a_gap(mongodb_service: Service) -> None:
    """Missing is said, never raised."""
    def gone() -> Any:
        raise ConnectionError("refused")

    with admin(mongodb_service.endpoint, mongodb_service.credentials) as client:
        recorder = MongodbRecorder(lambda: nullcontext(client), mongodb_service.credentials)
    recorder._connect = gone

    recorded = recorder.stop()
    assert (recorded.records, "refused" in recorded.gap) == ((), True)
