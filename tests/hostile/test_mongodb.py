"""N06-N11 for MongoDB: what a hostile server can do with its credentials. Names as in the list of hostile cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gridfs
import pytest
from pymongo import MongoClient, errors
from pymongo.database import Database
from pymongo.write_concern import WriteConcern
from support.mongodb import with_one_page
from support.services import Service, running

from orchestrator.services.mongodb.evidence.reader import Mongodb
from orchestrator.services.mongodb.space import ROLE

REFUSED = r"not authorized|requires authentication|Unauthorized"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running("mongodb") as running_service:
        yield running_service


@pytest.fixture
def own(service: Service) -> Iterator[Database[dict[str, Any]]]:
    """The database as the hostile server has it."""
    with with_one_page(service) as database:
        yield database


@pytest.fixture
def reader(service: Service) -> Iterator[Mongodb]:
    made = Mongodb(service.admin)
    yield made
    made.close()


@pytest.mark.parametrize("database", ["admin", "local", "config", "other"])
def test_n06_another_database(own: Database[dict[str, Any]], database: str) -> None:
    """Neither read nor written, not even its names."""
    other = own.client[database]
    for attempt in (lambda: other["system.users"].find_one(), lambda: other.x.insert_one({}), other.list_collection_names,
                    lambda: other["oplog.rs"].find_one(), lambda: own.command("collStats", "x") and other.command("dbStats")):
        with pytest.raises(errors.OperationFailure, match=REFUSED):
            attempt()
    assert [one["name"] for one in own.client.admin.command("listDatabases", nameOnly=True)["databases"]] == [own.name]


@pytest.mark.parametrize(("where", "command"), [
    ("admin", {"serverStatus": 1}),
    ("admin", {"getCmdLineOpts": 1}),
    ("admin", {"getLog": "global"}),
    ("admin", {"setParameter": 1, "logLevel": 5}),
    ("admin", {"getParameter": "*"}),
    ("admin", {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": {}}),
    ("admin", {"shutdown": 1}),
    ("admin", {"fsync": 1}),
    ("admin", {"logRotate": 1}),
    ("admin", {"top": 1}),
    ("admin", {"hostInfo": 1}),
    ("admin", {"replSetStepDown": 1}),
    ("admin", {"replSetGetStatus": 1}),
    ("admin", {"replSetGetConfig": 1}),
    ("admin", {"replSetReconfig": {}}),
    ("admin", {"replSetFreeze": 60}),
    ("admin", {"killAllSessions": []}),
    ("admin", {"killAllSessionsByPattern": []}),
    ("admin", {"killOp": 1, "op": 1}),
    ("admin", {"renameCollection": "app.pages", "to": "other.pages"}),
    ("admin", {"setFeatureCompatibilityVersion": "5.0"}),
    ("admin", {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 0}}),
    ("admin", {"setUserWriteBlockMode": 1, "global": True}),
    ("app", {"createUser": "friend", "pwd": "x", "roles": []}),
    ("app", {"dropUser": "friend"}),
    ("app", {"dropAllUsersFromDatabase": 1}),
    ("app", {"createRole": "strong", "privileges": [], "roles": ["dbOwner"]}),
    ("app", {"updateRole": ROLE, "privileges": []}),
    ("app", {"grantRolesToUser": "friend", "roles": ["dbOwner"]}),
    ("app", {"usersInfo": 1}),
    ("app", {"dropDatabase": 1}),
    ("app", {"validate": "pages"}),
    ("app", {"convertToCapped": "pages", "size": 1}),
    ("app", {"create": "ring", "capped": True, "size": 4096}),
    ("app", {"compact": "pages"}),
    ("app", {"applyOps": []}),
    ("app", {"eval": "1"}),
], ids=str)
def test_n07_superpowers(own: Database[dict[str, Any]], where: str, command: dict[str, Any]) -> None:
    """The learner's role is enough for its data and for nothing else; what does not exist is refused as well."""
    database = own if where == "app" else own.client[where]
    with pytest.raises(errors.OperationFailure, match=rf"{REFUSED}|no such command"):
        database.command(dict(command))
    assert own.pages.count_documents({}) == 1


def test_n07_its_own_password_stays(own: Database[dict[str, Any]], service: Service) -> None:
    """Otherwise the address that was printed once would stop working."""
    with pytest.raises(errors.OperationFailure, match=REFUSED):
        own.command("updateUser", service.credentials.user, pwd="another")


@pytest.mark.parametrize("stage", [{"$currentOp": {"allUsers": True}}, {"$listLocalSessions": {"allUsers": True}}])
def test_n08_others_sessions_are_not_seen(own: Database[dict[str, Any]], stage: dict[str, Any]) -> None:
    """Neither the checker's nor the administrator's."""
    with pytest.raises(errors.OperationFailure, match=REFUSED):
        list(own.client.admin.aggregate([stage]))


@pytest.mark.parametrize("attempt", [
    lambda own: own.command("profile", 0),
    lambda own: own.command("profile", -1),
    lambda own: own["system.profile"].drop(),
    lambda own: own["system.profile"].delete_many({}),
    lambda own: own["system.profile"].insert_one({"op": "query"}),
    lambda own: own["system.profile"].find_one({}),
    lambda own: own.pages.aggregate([{"$out": "system.profile"}]),
    lambda own: own.pages.aggregate([{"$merge": {"into": "system.profile"}}]),
    lambda own: own.pages.aggregate([{"$unionWith": "system.profile"}]).to_list(),
    lambda own: own.pages.aggregate([{"$indexStats": {}}]).to_list(),
    lambda own: own.command("create", "profiled", viewOn="system.profile", pipeline=[]) and own.profiled.find_one({}),
    lambda own: own.pages.rename("system.profile"),
    lambda own: own.pages.rename("system.profile", dropTarget=True),
], ids=["level", "look", "drop", "delete", "forge", "read", "out", "merge", "union", "indexes", "view", "rename", "replace"])
def test_n09_the_record_cannot_be_tampered_with(own: Database[dict[str, Any]], reader: Mongodb, attempt: Any) -> None:
    """It is neither switched off, nor read, nor changed, in none of the ways; and it goes on."""
    with reader.operations() as seen:
        with pytest.raises(errors.OperationFailure):
            attempt(own)
        own.pages.find_one({"slug": "hidden?"})
    assert [one.command["filter"] for one in seen.of("find") if one.collection == "pages"] == [{"slug": "hidden?"}]


def test_n09_nothing_hides_an_operation(own: Database[dict[str, Any]], reader: Mongodb, service: Service) -> None:
    """Neither a comment, nor another name of the program, nor a write that waits for nothing."""
    url = service.url("MONGODB_URL")
    with reader.operations() as seen, MongoClient(url, appname="labs checks") as other:
        own.pages.find_one({"slug": "b"}, comment="labs")
        own.get_collection("pages", write_concern=WriteConcern(w=0)).insert_one({"slug": "unheard"})
        own.pages.find_one({})  # until the one before has arrived
        other[own.name].pages.find_one({"slug": "forged"})
        own.pages.find_one({"$comment": "x", "slug": "c"}, max_time_ms=1000)
        list(own.pages.aggregate([{"$match": {}}, {"$limit": 1}], allowDiskUse=True))
    assert [one.name for one in seen.list] == ["find", "insert", "find", "find", "find", "aggregate"]


def test_n09_validators_are_not_bypassed(own: Database[dict[str, Any]]) -> None:
    own.create_collection("strict", validator={"slug": {"$exists": True}})
    with pytest.raises(errors.OperationFailure, match=rf"{REFUSED}|validation"):
        own.strict.insert_one({}, bypass_document_validation=True)


@pytest.mark.parametrize("query", [{"$where": "sleep(10000) || true"}, {"$expr": {"$function": {
    "body": "function() { return true }", "args": [], "lang": "js"}}}])
def test_n10_no_code_is_run_in_the_server(own: Database[dict[str, Any]], query: dict[str, Any]) -> None:
    """Scripts are off: what is injected into a query does nothing, and is seen."""
    with pytest.raises(errors.OperationFailure, match=r"(?i)script|javascript|server-side"):
        own.pages.find_one(query)


def test_n11_nobody_enters_without_a_password(service: Service) -> None:
    """Also right after a start."""
    for _ in range(2):
        with MongoClient("127.0.0.1", service.endpoint.port, directConnection=True) as anyone:
            for attempt in (lambda: anyone.app.pages.find_one({}), lambda: anyone.admin.command("listDatabases"),
                            lambda: anyone.admin.command("createUser", "x", pwd="x", roles=["root"])):
                with pytest.raises(errors.OperationFailure, match=REFUSED):
                    attempt()
        service.restart()


def test_n11_an_endless_transaction_does_not_survive_its_space(own: Database[dict[str, Any]], service: Service) -> None:
    """It would hold on to its collection for a minute after the server is gone."""
    session = own.client.start_session()
    session.start_transaction()
    own.pages.update_one({}, {"$set": {"held": 1}}, session=session)
    service.fresh()
    with pytest.raises(errors.OperationFailure):
        session.commit_transaction()
    assert service.recipe.contents(service.endpoint, service.credentials) == frozenset()


@pytest.mark.parametrize("attempt", [
    lambda own: own.command("ping"),
    lambda own: own.command("hello"),
    lambda own: own.command("connectionStatus"),
    lambda own: own.client.server_info(),
    lambda own: own.list_collection_names(),
    lambda own: own.create_collection("made", validator={"a": {"$type": "int"}}),
    lambda own: own.command("collMod", "pages", validator={"slug": {"$exists": True}}),
    lambda own: own.create_collection("metrics", timeseries={"timeField": "at"}),
    lambda own: own.command("create", "view", viewOn="pages", pipeline=[]) and list(own.view.find()),
    lambda own: own.pages.create_index([("slug", "text")]),
    lambda own: own.pages.create_index([("place", "2dsphere")]),
    lambda own: own.pages.create_index([("slug", "hashed")]),
    lambda own: own.pages.create_index("at", expireAfterSeconds=5),
    lambda own: own.pages.create_index("$**"),
    lambda own: own.pages.drop_indexes(),
    lambda own: own.pages.index_information(),
    lambda own: own.pages.find({"slug": "a"}).explain(),
    lambda own: own.command("collStats", "pages"),
    lambda own: own.command("dbStats"),
    lambda own: own.pages.find_one_and_update({}, {"$set": {"n": 1}}, upsert=True),
    lambda own: own.pages.aggregate([{"$lookup": {"from": "o", "localField": "a", "foreignField": "b", "as": "c"}}]).to_list(),
    lambda own: own.pages.aggregate([{"$facet": {"a": [{"$count": "n"}]}}]).to_list(),
    lambda own: own.pages.aggregate([{"$graphLookup": {"from": "pages", "startWith": "$a", "connectFromField": "a",
                                                       "connectToField": "b", "as": "c"}}]).to_list(),
    lambda own: own.pages.aggregate([{"$out": "copied"}]),
    lambda own: own.pages.aggregate([{"$merge": {"into": "merged"}}]),
    lambda own: own.pages.aggregate([{"$sample": {"size": 1}}]).to_list(),
    lambda own: own.pages.distinct("slug"),
    lambda own: own.pages.estimated_document_count(),
    lambda own: own.pages.drop(),
    lambda own: own.pages.watch(max_await_time_ms=1).try_next(),
    lambda own: own.watch(max_await_time_ms=1).try_next(),
    lambda own: gridfs.GridFS(own).put(b"file"),
], ids=["ping", "hello", "who", "version", "collections", "create", "collmod", "timeseries", "view", "text", "geo", "hashed",
        "ttl", "wildcard", "drop-indexes", "indexes", "explain", "collstats", "dbstats", "find-and-modify", "lookup", "facet",
        "graph", "out", "merge", "sample", "distinct", "estimate", "drop", "watch", "watch-all", "files"])
def test_the_learner_has_all_that_drivers_need(own: Database[dict[str, Any]], attempt: Any) -> None:
    """Rights are never why a usual driver or server fails."""
    attempt(own)


def test_the_learner_has_transactions(own: Database[dict[str, Any]]) -> None:
    """Over several collections, one of which is made within."""
    with own.client.start_session() as session:
        session.with_transaction(lambda one: (own.pages.insert_one({"slug": "b"}, session=one),
                                              own.others.insert_one({"slug": "c"}, session=one)))
    assert (own.pages.count_documents({}), own.others.count_documents({})) == (2, 1)
