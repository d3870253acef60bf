"""What a server may leave in its MongoDB for the checker to step into: each attack, then what a check does.

That its role may not do what is an administrator's is in ``test_mongodb.py``; here is what it may do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient, errors
from pymongo.database import Database
from support.mongodb import with_one_page
from support.services import Service, running

from orchestrator.checks.errors import SchemaWrong
from orchestrator.errors import EnvironmentFault
from orchestrator.services.mongodb.evidence.reader import Mongodb

Own = Database[dict[str, Any]]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running("mongodb") as one:
        yield one


@pytest.fixture
def own(service: Service) -> Iterator[Own]:
    """The learner's database, with one collection."""
    with with_one_page(service) as database:
        yield database


@pytest.fixture
def reader(service: Service, own: Own) -> Iterator[Mongodb]:
    made = Mongodb(service.admin)
    yield made
    made.close()


def test_what_looks_like_a_collection_is_one(own: Own, reader: Mongodb) -> None:
    """A view could show the checker less than the server reads: that is told, not believed."""
    own.command("create", "shown", viewOn="pages", pipeline=[{"$match": {"slug": {"$ne": "a"}}}])
    for use in (lambda: reader.find("shown"), lambda: reader.count("shown"), lambda: reader.aggregate("shown", []),
                lambda: reader.types("shown", "slug"), lambda: reader.plant("shown", {"slug": "b"})):
        with pytest.raises(SchemaWrong) as raised:
            use()
        assert raised.value.reason == "schema-wrong-type"
    assert reader.count("pages") == 1


@pytest.mark.parametrize("trap", [
    {"$expr": {"$function": {"body": "function() { return true }", "args": [], "lang": "js"}}},
    {"$where": "true"},
])
def test_no_validator_runs_code(own: Own, trap: dict[str, Any]) -> None:
    """Neither in the checker's session nor in anybody's: MongoDB refuses to have it."""
    with pytest.raises(errors.OperationFailure):
        own.command("collMod", "pages", validator=trap)
    with pytest.raises(errors.OperationFailure):
        own["system.js"].insert_one({"_id": "f", "value": "x"})


def test_a_validator_that_refuses_the_checker_is_told(own: Own, reader: Mongodb) -> None:
    """It cannot tell the checker from the server: it refuses a document, with its reason."""
    own.command("collMod", "pages", validator={"slug": {"$in": ["a"]}})
    with pytest.raises(SchemaWrong) as raised:
        reader.plant("pages", {"slug": "b"})
    assert raised.value.reason == "schema-plant-refused"


@pytest.mark.parametrize("left", [
    lambda own: own.command("create", "shown", viewOn="pages", pipeline=[]),
    lambda own: own.command("create", "times", timeseries={"timeField": "at"}),
    lambda own: own.command("collMod", "pages", validator={"slug": "a"}),
    lambda own: own.pages.create_index("slug", unique=True),
    lambda own: own.create_collection("folded", collation={"locale": "en", "strength": 1}),
    lambda own: own["fs.files"].insert_one({"x": 1}),
    lambda own: own.client.start_session().__enter__().start_transaction(),
], ids=["view", "time series", "validator", "index", "collation", "files", "transaction"])
def test_the_next_attempt_finds_nothing(service: Service, own: Own, left: Any) -> None:
    """No collection, no view, no rule of the last one."""
    left(own)
    service.fresh()
    with MongoClient(service.admin["url"]) as admin:
        assert [name for name in admin[own.name].list_collection_names() if name != "system.profile"] == []


@pytest.mark.parametrize(("change", "undo"), [
    (lambda admin: admin.app.command("createUser", "friend", pwd="x", roles=["dbOwner"]),
     lambda admin: admin.app.command("dropUser", "friend")),
    (lambda admin: admin.app.command("createRole", "strong", privileges=[], roles=["dbOwner"]),
     lambda admin: admin.app.command("dropRole", "strong")),
    (lambda admin: admin.other.notes.insert_one({"a": 1}), lambda admin: admin.drop_database("other")),
], ids=["user", "role", "database"])
def test_what_we_did_not_make_means_a_new_server(service: Service, change: Any, undo: Any) -> None:
    """However it came there: emptying says so, and who asked makes the service anew."""
    with MongoClient(service.admin["url"]) as admin:
        change(admin)
        try:
            with pytest.raises(EnvironmentFault) as raised:
                service.fresh()
            assert raised.value.code == "service-changed"
        finally:
            undo(admin)
    service.fresh()
