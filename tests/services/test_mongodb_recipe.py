"""The recipe's promises on a real MongoDB: the set, the learner's space, emptying, addresses, `labs connect`."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, errors, timeout
from pymongo.database import Database
from support.services import Service, running
from support.wait import until

from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.model import Dead, Endpoint, NotYet, Ready
from orchestrator.services.mongodb import clients, sabotage, space
from orchestrator.services.mongodb.service import RECIPE
from orchestrator.system.ports import free_port


@contextlib.contextmanager
def learner(service: Service, options: str = "") -> Iterator[Database[dict[str, Any]]]:
    url = service.url("MONGODB_URL")
    client: MongoClient[dict[str, Any]] = MongoClient(f"{url.partition('?')[0]}?{options}" if options else url)
    with client:
        yield client.get_default_database()


@pytest.fixture(scope="module")
def ours() -> Iterator[Service]:
    """Started as the recipe has it: for what a container that others started does not promise."""
    with running("mongodb") as service:
        yield service


@pytest.fixture
def service(mongodb_service: Service) -> Service:
    mongodb_service.fresh()
    return mongodb_service


def filled(database: Database[dict[str, Any]]) -> None:
    """Of all kinds something."""
    database.create_collection("pages", validator={"slug": {"$exists": True}})
    database.pages.create_index("slug", unique=True)
    database.pages.insert_many([{"slug": f"s{n}"} for n in range(50)])
    database.create_collection("seen", viewOn="pages", pipeline=[])
    database.create_collection("weather", timeseries={"timeField": "at"})


# --- the set ---------------------------------------------------------------------------------------------------------


def test_transactions_and_change_streams_work(service) -> None:
    """It is a genuine replica set, of one."""
    with learner(service) as database:
        database.pages.insert_one({"slug": "a"})
        with database.watch(max_await_time_ms=2000) as stream:
            with database.client.start_session() as session, session.start_transaction():
                database.pages.insert_one({"slug": "b"}, session=session)
                assert database.pages.count_documents({}) == 1
            assert next(stream)["fullDocument"]["slug"] == "b"


@pytest.mark.parametrize("options", ["directConnection=true", "replicaSet=rs0", "retryWrites=false", "w=majority&journal=true"])
def test_drivers_reach_it_in_every_way_in_which_they_are_told(ours, options) -> None:
    """The set says that it is where it is reached, so that a driver that asks it finds it again."""
    with learner(ours, options) as database:
        database.pages.insert_one({"slug": "a"})
        assert database.client.nodes == {("127.0.0.1", ours.endpoint.port)}


def test_a_restarted_server_is_primary_again_soon(ours) -> None:
    """It waits for an election of a second, not of ten, as sets do by default."""
    ours.restart()
    with clients.admin(ours.endpoint, ours.credentials) as client:
        settings = client.admin.command("replSetGetConfig")["config"]["settings"]
    with learner(ours) as database:
        database.pages.insert_one({"slug": "a"})
    assert settings["electionTimeoutMillis"] == 1000


def test_a_set_that_was_told_to_step_down_is_primary_again(service) -> None:
    """Emptying does not wait for the minute to pass."""
    with MongoClient(service.admin["url"]) as admin:
        admin.admin.command({"replSetStepDown": 60, "secondaryCatchUpPeriodSecs": 0, "force": True})
        assert isinstance(service.recipe.probe(service.endpoint, service.credentials), NotYet)
        service.fresh()
    assert service.recipe.probe(service.endpoint, service.credentials) == Ready()


def test_nobody_makes_himself_the_first_user(ours) -> None:
    """The exception that MongoDB makes for its own machine while there are no users is off: other programs are there."""
    with MongoClient(ours.admin["url"]) as admin, clients.admin(ours.endpoint, ours.credentials) as key:
        for user in admin.admin.command("usersInfo", {"forAllDBs": True})["users"]:
            key[user["db"]].command("dropUser", user["user"])
    try:
        with MongoClient("127.0.0.1", ours.endpoint.port, directConnection=True) as anyone:
            with pytest.raises(errors.OperationFailure, match="requires authentication"):
                anyone.admin.command("createUser", "me", pwd="x", roles=["root"])
    finally:
        ours.recipe.prepare(ours.endpoint, ours.credentials)
    assert ours.recipe.probe(ours.endpoint, ours.credentials) == Ready()


def test_data_of_other_credentials_is_taken_over(service) -> None:
    """Who has the key may set the passwords again: the data stays, the old passwords do not work any more."""
    with learner(service) as database:
        database.pages.insert_one({"slug": "a"})
    others = replace(service.credentials, password="another", admin_password=service.credentials.admin_password)
    try:
        service.recipe.prepare(service.endpoint, others)

        assert "slug: 'a'" in service.recipe.run_statement(service.endpoint, others, "db.pages.find()")
        with pytest.raises(EnvironmentFault, match="Authentication failed"):
            service.recipe.run_statement(service.endpoint, service.credentials, "db.pages.find()")
    finally:
        service.recipe.prepare(service.endpoint, service.credentials)
    assert "slug: 'a'" in service.recipe.run_statement(service.endpoint, service.credentials, "db.pages.find()")


def test_prepare_puts_users_and_rights_right(service) -> None:
    """Whatever somebody with the administrator's password changed."""
    own = service.credentials
    with MongoClient(service.admin["url"]) as admin:
        database = admin[own.database]
        database.command("updateUser", own.user, pwd="x", roles=["dbOwner"], mechanisms=["SCRAM-SHA-256"])
        database.command("updateRole", space.ROLE, privileges=[], roles=["read"])
        database.command("dropUser", space.checker_name(own))
        service.recipe.prepare(service.endpoint, own)

        user = database.command("usersInfo", {"user": own.user, "db": own.database}, showPrivileges=True)["users"][0]
        assert user["roles"] == [{"role": space.ROLE, "db": own.database}]
        assert [(one["resource"], set(one["actions"])) for one in user["inheritedPrivileges"]] == [
            ({"db": own.database, "collection": ""}, set(space.ACTIONS))]
        assert user["mechanisms"] == ["SCRAM-SHA-256"]
    with learner(service) as mine, MongoClient(service.admin["checker_url"]) as checker:
        mine.pages.insert_one({})
        assert checker[own.database].pages.count_documents({}) == 1


def test_the_probe_waits_for_the_primary_and_refuses_other_passwords(service) -> None:
    wrong = replace(service.credentials, admin_password="wrong", password="wrong")
    answer = service.recipe.probe(service.endpoint, wrong)
    assert isinstance(answer, Dead)
    assert "password" in answer.why


def test_the_log_is_read_from_the_service(service) -> None:
    """The last lines as people read them, without the learner's operations; empty when the service is down."""
    with learner(service) as database:
        database.pages.find_one({"slug": "noise"})
    lines = service.recipe.log_tail(service.endpoint, service.credentials, 1000).splitlines()
    assert len(service.recipe.log_tail(service.endpoint, service.credentials, 2).splitlines()) == 2
    assert "noise" not in "".join(lines)
    assert any("createCollection" in line for line in lines)
    assert service.recipe.log_tail(Endpoint(free_port()), service.credentials, 2) == ""


# --- emptying --------------------------------------------------------------------------------------------------------


def test_fresh_leaves_nothing_of_the_learner(service) -> None:
    """Collections, views, time series, indexes and validators, transactions, what was recorded: all as new."""
    recipe, endpoint, own = service.recipe, service.endpoint, service.credentials
    with learner(service) as old, old.client.start_session() as session:
        filled(old)
        session.start_transaction()
        old.pages.update_one({"slug": "s1"}, {"$set": {"held": 1}}, session=session)

        recipe.fresh(endpoint, own)

        with pytest.raises(errors.OperationFailure, match=r"requires authentication|not authorized"):
            old.pages.insert_one({"slug": "late"})
    with learner(service) as new, MongoClient(service.admin["url"]) as admin:
        assert new.list_collection_names() == ["system.profile"]
        assert admin[own.database]["system.profile"].count_documents({"command.find": {"$exists": True}}) == 0
        new.pages.insert_one({"no": "slug"})


def test_what_a_dead_server_left_is_let_go(service) -> None:
    """A transaction of the learner's that nobody goes on with holds its document no longer; sessions go on."""
    with learner(service) as living, learner(service) as dead:
        living.pages.insert_one({"_id": 1})
        session = dead.client.start_session()
        session.start_transaction()
        dead.pages.update_one({"_id": 1}, {"$set": {"held": 1}}, session=session)

        service.recipe.let_go(service.endpoint, service.credentials)

        with timeout(5):  # it would be held for a minute
            assert living.pages.update_one({"_id": 1, "held": None}, {"$set": {"free": 1}}).modified_count == 1


def test_fresh_needs_no_preparation(ours) -> None:
    """An attempt on a new server begins with it: there is no user and no role yet."""
    with clients.admin(ours.endpoint, ours.credentials) as key:
        key.admin.command("dropUser", ours.credentials.admin_user)
        for command in ("dropAllUsersFromDatabase", "dropAllRolesFromDatabase"):
            key[ours.credentials.database].command(command)
    ours.fresh()
    with learner(ours) as database:
        database.pages.insert_one({"slug": "a"})


def test_fresh_heals_what_a_check_left(service) -> None:
    """A check that died in its block leaves the recording off, or other than it was."""
    with MongoClient(service.admin["url"]) as admin:
        database = admin[service.credentials.database]
        database.command("profile", 0)
        database.drop_collection("system.profile")
        service.fresh()
        level = database.command("profile", -1)
        options = database["system.profile"].options()
    assert (level["was"], options["capped"], options["size"]) == (1, True, space.PROFILE_BYTES)
    assert level["filter"] == {"user": {"$eq": f"{service.credentials.user}@{service.credentials.database}"}}


def test_clear_empties_collections_under_open_sessions(service) -> None:
    """Collections, indexes and sessions stay, documents go; what the server put there at its start is spared."""
    recipe, endpoint, own = service.recipe, service.endpoint, service.credentials
    with learner(service) as database:
        filled(database)
        database.pages.delete_many({})
        database.migrations.insert_one({"name": "0001"})
        spare = recipe.contents(endpoint, own)
        assert spare == {"migrations"}
        database.pages.insert_one({"slug": "a"})
        database.weather.insert_one({"at": datetime.now(UTC)})

        recipe.clear(endpoint, own, spare=spare)

        assert recipe.contents(endpoint, own) == {"migrations"}
        assert "slug_1" in database.pages.index_information()
        database.pages.insert_one({"slug": "b"})


def test_clear_says_who_holds_a_document(service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that the server leaves open is named as the cause."""
    monkeypatch.setattr(space, "HELD_SECONDS", 0.3)
    with learner(service) as database, database.client.start_session() as session:
        database.pages.insert_one({"slug": "a"})
        session.start_transaction()
        database.pages.update_one({}, {"$set": {"n": 1}}, session=session)
        with pytest.raises(EnvironmentFault, match="transaction open") as caught:
            service.recipe.clear(service.endpoint, service.credentials, spare=())
    assert caught.value.code == "table-held"


# --- labs connect ----------------------------------------------------------------------------------------------------


def test_statements_are_answered_as_the_shell_would(service) -> None:
    def run(statement: str) -> str:
        return service.recipe.run_statement(service.endpoint, service.credentials, statement)

    assert run("show collections") == "(nothing)"
    assert run("db.pages.createIndex({ slug: 1 }, { unique: true })") == "'slug_1'"
    assert run("db.pages.insertMany([{_id: 1, slug: 'a', at: ISODate('2026-01-02')}, {_id: 2, slug: \"b\", n: [1, null]},])") \
        == "{ insertedIds: [ 1, 2 ] }"
    assert run("db.pages.find({ slug: 'a' }, { _id: 0 }).limit(3)") == "{ slug: 'a', at: ISODate('2026-01-02T00:00:00.000Z') }"
    assert run("db.pages.find().sort({ slug: -1 }).skip(1)").startswith("{ _id: 1")
    assert run("db.pages.countDocuments()") == "2"
    assert run("db.pages.find({slug: /^A/i}).count()") == "1"
    assert run("db.pages.findOne({ _id: 3 })") == "null"
    assert run("db.pages.distinct('slug')") == "'a'\n'b'"
    assert run("db.pages.updateOne({_id: 3}, {$set: {n: 5}}, {upsert: true})") == (
        "{ matchedCount: 0, modifiedCount: 0, upsertedId: 3 }")
    assert run("db.pages.aggregate([{$match: {n: 5}}, {$count: 'n'}])") == "{ n: 1 }"
    assert run("db.pages.deleteMany({ n: 5 })") == "{ deletedCount: 1 }"
    assert "COLLSCAN" in run("db.pages.find({ n: 1 }).explain()")
    assert run("{ count: 'pages' }") == "{ n: 2, ok: 1.0 }"
    assert run("show collections") == "pages"
    assert run("db.pages.insertMany([" + "".join(f"{{slug: {n}}}," for n in range(20)) + "])")
    assert run("db.pages.find()").endswith("and more: the first 20 are shown; .skip(20) shows the next")
    assert run("db.pages.drop()") == "true"


@pytest.mark.parametrize("statement", [
    "", "db", "db.pages", "pages.find()", "db.pages.find({", "db.pages.find({}) db", "db.pages.find({a: b})",
    "db.pages.find(() => 1)", "db.pages.find({}).forEach(print)", "db.pages.mapReduce({})", "db.dropDatabase()",
    "db.pages.insertOne({slug: 'a'}); db.pages.drop()", "require('fs')", "process.exit()",
    "db.pages.find({$nonsense: 1})", "db.pages.insertMany({})", "db.pages.createIndex({a: 1}, {hidden: true})",
    "{ serverStatus: 1 }", "db.pages.find({_id: ObjectId('x')})", "use admin",
])
def test_a_statement_that_is_refused_is_said_in_one_line(service, statement) -> None:
    """By us or by MongoDB; nothing of it was done, and nothing is ever evaluated."""
    with pytest.raises(UsageError) as caught:
        service.recipe.run_statement(service.endpoint, service.credentials, statement)
    assert caught.value.code == "statement-refused"
    assert "\n" not in caught.value.message
    assert service.recipe.contents(service.endpoint, service.credentials) == frozenset()


def test_mongosh_gets_the_address_in_its_environment(service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments, which everybody on the machine can read, hold no password; without it there is no client."""
    script = tmp_path / "mongosh"
    script.write_text(f"#!{sys.executable}\nimport os, sys\nfrom pymongo import MongoClient\n"
                      "name = sys.argv[4].split('env.')[1].rstrip(')')\n"
                      "with MongoClient(os.environ[name]) as client:\n"
                      "    print(client.admin.command('connectionStatus')['authInfo']['authenticatedUsers'], sys.argv[5:])\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert service.recipe.client(service.endpoint, service.credentials, None) == []
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    for statement, rest in (("db.pages.find()", "['--eval', 'db.pages.find()']"), (None, "['--shell']")):
        (client,) = service.recipe.client(service.endpoint, service.credentials, statement)
        assert service.credentials.password not in " ".join(client.argv)
        done = subprocess.run(client.argv, env={**os.environ, **client.env}, capture_output=True, text=True, timeout=30)
        assert service.credentials.user in done.stdout, done.stderr
        assert done.stdout.rstrip().endswith(rest)


# --- sabotage --------------------------------------------------------------------------------------------------------


def test_a_sabotage_loses_what_was_written(service) -> None:
    environ = service.recipe.environment(service.endpoint, service.credentials)
    with learner(service) as database:
        database.pages.create_index("at", expireAfterSeconds=60)
        database.pages.insert_one({"slug": "a"})
        gone, for_ever = sabotage.possible(["db.pages.insertOne(…)", "db.pages.find({ slug: 'a' })",
                                            "db.pages.createIndex({ at: 1 }, { expireAfterSeconds: 60 })"])
        sabotage.begin(environ, gone)
        assert database.pages.count_documents({}) == 1
        sabotage.after_write(environ, gone)
        assert database.pages.count_documents({}) == 0

        sabotage.begin(environ, for_ever)
        sabotage.after_write(environ, for_ever)
        assert database.pages.index_information()["at_1"]["expireAfterSeconds"] == sabotage.A_HUNDRED_YEARS
    with pytest.raises(ValueError, match="not a sabotage"):
        sabotage.begin(environ, "something else")
    sabotage.after_write({"MONGODB_URL": "mongodb://a:b@127.0.0.1:1/app?serverSelectionTimeoutMS=1"}, gone)


def test_the_recipes_own_logins_end(service) -> None:
    """A probe every few milliseconds must not fill the server with connections."""
    with clients.admin(service.endpoint, service.credentials) as client:
        def current() -> int:
            return int(client.admin.command("serverStatus")["connections"]["current"])

        before = current()
        for _ in range(20):
            RECIPE.probe(service.endpoint, service.credentials)
        until(lambda: current() <= before + 2)
