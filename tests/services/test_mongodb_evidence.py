"""What a check reads from MongoDB is what MongoDB saw, and nothing of the checker's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymongo
import pytest
from pymongo import MongoClient, errors
from pymongo.database import Database
from support.services import Service

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.services.mongodb.evidence import connections
from orchestrator.services.mongodb.evidence.reader import Mongodb

RULES = {"$jsonSchema": {"required": ["slug"], "properties": {"views": {"bsonType": "int"}}}}


@contextmanager
def learner(service: Service, **options: Any) -> Iterator[Database[dict[str, Any]]]:
    """The database as the learner's server has it."""
    url = service.url("MONGODB_URL")
    client: MongoClient[dict[str, Any]] = MongoClient(url, **options)
    with client:
        yield client.get_default_database()


@pytest.fixture
def target(mongodb_service: Service, mongodb: Mongodb) -> Iterator[Database[dict[str, Any]]]:
    """The learner's server, with its collection made."""
    with learner(mongodb_service, appname="shop") as database:
        database.create_collection("pages", validator=RULES)
        database.pages.create_index("slug", unique=True)
        yield database


def test_documents_are_read_as_the_learner_wrote_them(mongodb, target) -> None:
    target.pages.insert_many([{"slug": "a", "views": 3, "tags": ["x"]}, {"slug": "b"}])

    assert mongodb.find("pages", {"views": 3}, fields=["slug", "tags"]) == [{"slug": "a", "tags": ["x"]}]
    assert [one["slug"] for one in mongodb.find("pages", sort=[("slug", -1)], limit=1)] == ["b"]
    assert mongodb.one("pages", {"slug": "b"})["slug"] == "b"
    assert (mongodb.count("pages"), mongodb.count("pages", {"slug": "a"}), mongodb.count("nothing")) == (2, 1, 0)
    assert mongodb.aggregate("pages", [{"$group": {"_id": None, "views": {"$sum": "$views"}}}]) == [{"_id": None, "views": 3}]
    assert mongodb.types("pages", "views") == {"int": 1, "missing": 1}


def test_one_is_exactly_one(mongodb, target) -> None:
    """None and several are a check's own mistake: it must ask for all where that may be."""
    with pytest.raises(LookupError):
        mongodb.one("pages", {})
    mongodb.plant("pages", {"slug": "a"}, {"slug": "b"})
    with pytest.raises(LookupError):
        mongodb.one("pages", {})


def test_what_is_planted_has_ids_and_is_there(mongodb, target) -> None:
    first, second = mongodb.plant("pages", {"slug": "a"}, {"slug": "b"})

    assert target.pages.find_one({"_id": first})["slug"] == "a"
    assert mongodb.change("pages", {"_id": second}, {"$set": {"views": 1}}) == 1
    assert target.pages.find_one({"_id": second})["views"] == 1
    assert mongodb.delete("pages", {"_id": first}) == 1
    assert target.pages.count_documents({}) == 1


@pytest.mark.parametrize(("document", "words"), [({"slug": "a"}, "slug_1"), ({"slug": "c", "views": "many"}, "bsonType")])
def test_a_refused_plant_carries_the_words_of_mongodb(mongodb, target, document, words) -> None:
    """What the learner's indexes and validators refuse is said with MongoDB's own words."""
    mongodb.plant("pages", {"slug": "a"})
    with pytest.raises(SchemaWrong, match=words) as raised:
        mongodb.plant("pages", document)
    assert raised.value.reason == "schema-plant-refused"


def test_a_refused_change_is_one_too(mongodb, target) -> None:
    mongodb.plant("pages", {"slug": "a"})
    with pytest.raises(SchemaWrong, match="validation") as raised:
        mongodb.change("pages", {}, {"$set": {"views": "many"}})
    assert raised.value.reason == "schema-plant-refused"


@pytest.mark.parametrize("mistake", [
    lambda mongodb: mongodb.find("pages", {"$nonsense": 1}),
    lambda mongodb: mongodb.change("pages", {}, {"$nonsense": {"a": 1}}),
    lambda mongodb: mongodb.aggregate("pages", [{"$nonsense": {}}]),
], ids=["query", "update", "stage"])
def test_a_mistake_in_a_check_is_not_the_learners_fault(mongodb, target, mistake) -> None:
    with pytest.raises(errors.OperationFailure):
        mistake(mongodb)


def test_refused_tells_the_code_and_leaves_nothing(mongodb, target) -> None:
    mongodb.plant("pages", {"slug": "a"})

    assert mongodb.refused("pages", {"slug": "a"}) == 11000
    assert mongodb.refused("pages", {"views": 1}) == 121
    assert mongodb.refused("pages", {"slug": "b"}) is None
    assert mongodb.refused("others", {"slug": "b"}) is None
    assert mongodb.count("pages") == 1
    assert mongodb.collections() == ["pages"]


def test_indexes_and_validators_are_as_the_learner_made_them(mongodb, target) -> None:
    target.pages.create_index([("tags", 1), ("at", -1)], sparse=True)
    target.pages.create_index("at", expireAfterSeconds=60)
    target.pages.create_index([("text", "text")], name="words")
    target.pages.create_index("views", partialFilterExpression={"views": {"$gt": 3}})
    found = {index.name: index for index in mongodb.indexes("pages")}

    assert found["slug_1"].unique
    assert found["tags_1_at_-1"].fields == ("tags", "at")
    assert (found["tags_1_at_-1"].keys, found["tags_1_at_-1"].sparse) == ((("tags", 1), ("at", -1)), True)
    assert found["at_1"].expire_after == 60
    assert found["words"].keys == (("text", "text"),)
    assert found["views_1"].partial == {"views": {"$gt": 3}}
    assert mongodb.validator("pages") == RULES
    target.create_collection("free")
    assert mongodb.validator("free") is None


def test_a_collection_that_is_not_there_has_no_indexes(mongodb, target) -> None:
    """Which is the learner's fault; to find no documents in it is none."""
    assert mongodb.find("nothing") == []
    for ask in (mongodb.indexes, mongodb.validator):
        with pytest.raises(SchemaWrong) as raised:
            ask("nothing")
        assert raised.value.reason == "schema-missing-collection"


def test_operations_are_the_learners_with_their_plans(mongodb, target) -> None:
    """Those of the checker and of the administrator are not among them, nor what came before and after."""
    mongodb.plant("pages", *({"slug": f"s{n}", "views": n} for n in range(100)))
    target.pages.find_one({"slug": "before"})
    with mongodb.operations() as seen:
        list(target.pages.find({"slug": "s3"}))
        list(target.pages.find({"views": {"$gte": 97}}).sort("views", -1))
        mongodb.find("pages", {"views": 1})
        target.pages.update_one({"slug": "s3"}, {"$inc": {"views": 1}})
        target.pages.delete_many({"slug": {"$in": ["s1", "s2"]}})
        mongodb.admin("collStats", "pages")
    target.pages.find_one({"slug": "after"})

    by_slug, by_views, update, delete = seen.list
    assert (by_slug.name, by_slug.collection, by_slug.command["filter"]) == ("find", "pages", {"slug": "s3"})
    assert (by_slug.scans, by_slug.docs_examined, by_slug.returned, by_slug.examined_for_each) == (False, 1, 1, 1)
    assert (by_views.scans, by_views.returned, by_views.sorted_in_memory) == (True, 3, True)
    assert by_views.examined_for_each > 30
    assert (update.name, update.changed, update.scans) == ("update", 1, False)
    assert (delete.name, delete.changed) == ("delete", 2)
    assert {one.application for one in seen.list} == {"shop"}
    assert (seen.calls, seen.of("find")) == (4, [by_slug, by_views])
    assert seen.of("find", "update", collection="others") == []


def test_operations_tell_errors_batches_and_transactions(mongodb, target) -> None:
    """An insertion that an index refuses has no error for MongoDB; it changed nothing."""
    target.pages.insert_many([{"slug": f"s{n}"} for n in range(25)])
    with mongodb.operations() as seen:
        with suppress(errors.DuplicateKeyError):
            target.pages.insert_one({"slug": "s1"})
        with suppress(errors.OperationFailure):
            target.pages.find_one({"$nonsense": 1})
        list(target.pages.find({}, batch_size=10))
        with target.client.start_session() as session, session.start_transaction():
            target.pages.insert_one({"slug": "inside"}, session=session)

    refused, wrong, *batches, inside = seen.list
    assert (refused.name, refused.changed, refused.error) == ("insert", 0, "")
    assert wrong.error == "BadValue"
    assert [(one.name, one.returned) for one in batches] == [("find", 10), ("getMore", 10), ("getMore", 5)]
    assert (inside.changed, inside.transaction is not None, refused.transaction) == (1, True, None)


def test_operations_are_read_where_nobody_recorded_them(mongodb, mongodb_service, target) -> None:
    """A service that somebody else started does not record: the reader tells it to, for the learner alone."""
    mongodb.admin("profile", 0)
    with mongodb.operations() as seen:
        target.pages.find_one({"slug": "a"})
        mongodb.find("pages")
    assert [one.name for one in seen.list] == ["find"]


def remade(mongodb: Mongodb) -> None:
    """The record anew, with room for a few operations only."""
    mongodb.admin("profile", 0)
    mongodb.admin("drop", "system.profile")
    mongodb.admin({"create": "system.profile", "capped": True, "size": 4096})


def asked_often(target: Database[dict[str, Any]]) -> None:
    for _ in range(50):
        target.pages.find_one({"slug": "a"})


def test_a_record_that_was_thrown_away_is_ours(mongodb, target) -> None:
    """No verdict can be built on half of it."""
    target.pages.find_one({"slug": "a"})
    with pytest.raises(ServiceLost, match="removed"):
        with mongodb.operations():
            remade(mongodb)


def test_a_record_that_ran_over_is_ours(mongodb, target) -> None:
    remade(mongodb)
    with pytest.raises(ServiceLost, match="room"):
        with mongodb.operations():
            asked_often(target)


def test_counters_are_exact_and_without_the_checkers_own(mongodb, target) -> None:
    """Whatever the checker does meanwhile: its plants, refusals, changes and transactions are taken off."""
    mongodb.plant("pages", {"slug": "there"})
    with mongodb.counters() as seen:
        target.pages.insert_many([{"slug": f"s{n}"} for n in range(7)])
        list(target.pages.find({}, batch_size=5))
        target.pages.update_many({"slug": "s1"}, {"$set": {"views": 1}})
        target.pages.delete_one({"slug": "s2"})
        target.pages.find_one_and_update({"slug": "s3"}, {"$set": {"views": 1}})
        with suppress(errors.OperationFailure):
            target.pages.count_documents({"$nonsense": 1})
        with target.client.start_session() as session, session.start_transaction():
            target.pages.insert_one({"slug": "kept"}, session=session)
        with target.client.start_session() as session:
            session.start_transaction()
            target.pages.insert_one({"slug": "undone"}, session=session)
            session.abort_transaction()

        mongodb.plant("pages", {"slug": "own1"}, {"slug": "own2"})
        mongodb.refused("pages", {"slug": "own1"})
        mongodb.refused("pages", {"slug": "own3"})
        for plant in (({"slug": "own4"}, {"slug": "own1"}, {"slug": "own5"}), ({"slug": "there"},)):
            with suppress(SchemaWrong):
                mongodb.plant("pages", *plant)
        mongodb.change("pages", {}, {"$set": {"own": 1}})
        mongodb.delete("pages", {"slug": "own1"})
        mongodb.find("pages")
        mongodb.count("pages")
        mongodb.indexes("pages")
        with mongodb.as_learner() as own:
            own.pages.bulk_write([pymongo.UpdateOne({"slug": "x"}, {"$set": {"views": 1}}), pymongo.DeleteOne({"slug": "x"}),
                                  pymongo.UpdateOne({"slug": "y"}, {"$set": {"views": 1}})])

    assert seen.operations == {"insert": 9, "getmore": 1, "update": 1, "delete": 1}
    assert seen.commands == {"insert": 3, "getMore": 1, "update": 1, "delete": 1, "findAndModify": 1, "aggregate": 1,
                             "commitTransaction": 1, "abortTransaction": 1}
    assert seen.failed == {"aggregate": 1}
    assert (seen.committed, seen.aborted) == (1, 1)


def test_counters_of_a_restarted_service_are_ours(mongodb, mongodb_service, target) -> None:
    with pytest.raises(ServiceLost, match="again"):
        with mongodb.counters():
            mongodb_service.restart()


def test_sessions_are_the_learners(mongodb, mongodb_service, target) -> None:
    """Connections that have logged in; the checker's and the administrator's are not among them."""
    target.pages.find_one({})
    mongodb.find("pages")
    with learner(mongodb_service, appname="second") as other, mongodb.as_learner() as own:
        other.pages.find_one({})
        own.pages.find_one({})
        assert [one.application for one in mongodb.sessions()] == ["shop", "second"]
    assert all("PyMongo" in one.driver for one in mongodb.sessions())


def test_a_transaction_that_is_left_open_is_seen(mongodb, target) -> None:
    """Idle or not; the checker's own is not the learner's."""
    mongodb.plant("pages", {"slug": "a"})
    with mongodb.as_learner() as own, own.client.start_session() as session:
        session.start_transaction()
        own.pages.insert_one({"slug": "own"}, session=session)
        assert mongodb.open_transactions() == 0
    with target.client.start_session() as session:
        session.start_transaction()
        target.pages.update_one({"slug": "a"}, {"$set": {"views": 2}}, session=session)
        assert mongodb.open_transactions() == 1
    assert mongodb.open_transactions() == 0


def test_a_document_that_is_held_is_the_learners_fault(mongodb, target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another client waits some seconds for a transaction to end, and then says what it waits for."""
    monkeypatch.setattr(connections, "SECONDS", 0.3)
    mongodb.plant("pages", {"slug": "a"})
    with target.client.start_session() as session:
        session.start_transaction()
        target.pages.update_one({"slug": "a"}, {"$set": {"views": 2}}, session=session)
        with pytest.raises(SchemaWrong, match="transaction") as raised:
            mongodb.change("pages", {"slug": "a"}, {"$set": {"views": 3}})
    assert raised.value.reason == "schema-locked"


def test_without_a_primary_writes_wait_and_nothing_is_lost(mongodb, target) -> None:
    """As in an election: reads of the checker go on, and the same server is primary again when the block ends."""
    target.pages.insert_one({"slug": "before"})
    with mongodb.without_primary():
        with pytest.raises(errors.PyMongoError), pymongo.timeout(0.2):
            target.pages.insert_one({"slug": "meanwhile"})
    target.pages.insert_one({"slug": "after"})
    assert [one["slug"] for one in mongodb.find("pages", sort=[("slug", 1)])] == ["after", "before"]


def test_the_reader_goes_on_after_a_restart(mongodb, mongodb_service, target) -> None:
    """A check that stops and starts MongoDB needs no new reader, and nothing of the learner's goes unrecorded."""
    mongodb.plant("pages", {"slug": "a"})
    mongodb_service.restart()
    assert mongodb.count("pages") == 1
    with mongodb.operations() as seen:
        target.pages.find_one({"slug": "a"})
    assert [one.name for one in seen.list] == ["find"]


def test_an_unreachable_service_is_lost(mongodb_service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a fail: the learner did nothing wrong."""
    monkeypatch.setattr(connections, "SECONDS", 0.2)
    nowhere = {name: value.replace(str(mongodb_service.endpoint), "127.0.0.1:1")
               for name, value in mongodb_service.admin.items()}
    reader = Mongodb(nowhere)
    for ask in (lambda: reader.count("pages"), reader.sessions, lambda: reader.plant("pages", {})):
        with pytest.raises(ServiceLost):
            ask()
    reader.close()


def test_a_view_is_no_collection(mongodb, target) -> None:
    target.create_collection("seen", viewOn="pages", pipeline=[])
    with pytest.raises(SchemaWrong, match="view") as raised:
        mongodb.plant("seen", {"slug": "a"})
    assert raised.value.reason == "schema-wrong-type"


def test_the_learners_rights_bind_the_checker(mongodb, target) -> None:
    """What a check does by mistake cannot reach further than the learner; that is ours, not the learner's."""
    with pytest.raises(ServiceLost, match="not authorized"):
        mongodb.find("system.profile")
