"""What MongoDB's folder decides without a service: settings, notation, records, statements, names."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from bson import Binary, Decimal128, Int64, ObjectId, Regex

from orchestrator import resources
from orchestrator.errors import UsageError
from orchestrator.lint.check_files import CheckFile
from orchestrator.lint.texts import texts
from orchestrator.model import Binaries, Fidelity, InstanceSpec, Owner, Purpose
from orchestrator.services.mongodb import sabotage, settings
from orchestrator.services.mongodb.evidence.profile import operation_of
from orchestrator.services.mongodb.evidence.reader import index_of
from orchestrator.services.mongodb.literals import parse
from orchestrator.services.mongodb.log import readable
from orchestrator.services.mongodb.names import NAMES
from orchestrator.services.mongodb.notation import line, shown
from orchestrator.services.mongodb.record import records_of
from orchestrator.services.mongodb.service import RECIPE, product_of
from orchestrator.services.mongodb.sight import SIGHT

ID = "6b0b7db6559c041c92216804"


def spec(purpose: Purpose = "environment", **more: Any) -> InstanceSpec:
    owner = Owner("e", "0", "i", "l", 1, 1.0, purpose)
    return InstanceSpec("mongodb", "labs-e-mongodb", "e", "databases", owner, RECIPE.credentials(), 6000, True, "c", **more)


def process(own: InstanceSpec) -> Any:
    binaries = Binaries({"mongod": Path("/opt/bin/mongod")}, "6.0", "path")
    return RECIPE.process(own, binaries, Path('/tmp/it\'s a: "folder"'))


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((resources.compose_folder() / "mongodb.yaml").read_text())["services"]["mongodb"]
    return found


def filled_in(text: str, own: InstanceSpec) -> str:
    variables = dict(RECIPE.variables(own))
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text).replace("$$", "$")


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["environment", "judge"])
def test_both_engines_run_with_the_same_settings(purpose: Purpose) -> None:
    """The Compose file and the embedded process differ only in addresses, folders and who else is on the loopback."""
    own = spec(purpose)
    container = yaml.safe_load(filled_in(compose()["environment"]["LABS_MONGO_CONFIG"], own))
    embedded = json.loads(process(own).files["mongod.conf"])

    assert container == settings.merged(settings.SHARED, {"operationProfiling": settings.profiling(own)})
    assert embedded["net"] == {**container["net"], "port": 6000, "bindIp": "127.0.0.1", "unixDomainSocket": {"enabled": False}}
    assert embedded["security"].pop("keyFile").endswith("mongod.key")
    assert embedded["replication"].pop("replSetName") == "rs0"
    assert embedded["setParameter"].pop("enableLocalhostAuthBypass") is False
    assert embedded["storage"].pop("dbPath") == "/tmp/it's a: \"folder\"/data"
    for part in ("systemLog", "security", "storage", "replication", "operationProfiling", "setParameter"):
        assert embedded[part] == container[part]


def test_fail_points_can_never_be_set() -> None:
    """With ``enableTestCommands`` the learner's user could, too."""
    everything = json.dumps(process(spec("judge")).files) + (resources.compose_folder() / "mongodb.yaml").read_text()
    assert "TestCommands" not in everything


@pytest.mark.parametrize(("purpose", "mode"), [("judge", "slowOp"), ("environment", "off")])
def test_only_judge_instances_record(purpose: Purpose, mode: str) -> None:
    own = spec(purpose)
    said = json.loads(process(own).files["mongod.conf"])["operationProfiling"]
    assert said["mode"] == mode
    assert json.loads(said["filter"]) == {"user": f"{own.credentials.user}@app"}


def test_a_container_listens_where_clients_are_told() -> None:
    """Behind a link the number inside is the link's, so that the set's own address is the one that clients reach."""
    own = spec(links={"": 7000})
    words = [filled_in(word, own) for word in compose()["command"]]
    assert words[words.index("--port") + 1] == "7000"
    assert filled_in(compose()["ports"][0], own) == "127.0.0.1:6000:7000"


def test_the_key_is_as_secret_as_the_password_and_of_base64() -> None:
    own = spec()
    files = process(own).files
    assert re.fullmatch(r"[A-Za-z0-9+/=]{6,1024}", files["mongod.key"])
    assert own.credentials.admin_password not in files["mongod.key"]
    assert files["mongod.key"] == RECIPE.variables(own)["LABS_MONGODB_KEY"] != process(spec()).files["mongod.key"]


@pytest.mark.parametrize(("build", "expected"), [
    ({"version": "6.0.5", "gitVersion": "c9a99c120371d4d4c52cbb15dac34a36ce8d3b1d", "storageEngines": ["devnull", "wiredTiger"]},
     ("MongoDB", "6.0.5", Fidelity.GENUINE)),
    ({"version": "8.0.4", "gitVersion": "c" * 40, "storageEngines": ["wiredTiger"], "psmdbVersion": "8.0.4-1"},
     ("Percona Server for MongoDB", "8.0.4", Fidelity.COMPATIBLE)),
    ({"version": "7.0.77", "gitVersion": "f" * 40, "ferretdb": {"version": "v2.1.0"}, "storageEngines": ["documentdb"]},
     ("FerretDB", "7.0.77", Fidelity.STAND_IN)),
    ({"version": "7.0.0", "gitVersion": "unknown"}, ("A look-alike of MongoDB", "7.0.0", Fidelity.STAND_IN)),
    ({}, ("A look-alike of MongoDB", "", Fidelity.STAND_IN)),
])
def test_look_alikes_are_told_apart(build: dict[str, Any], expected: tuple[str, str, Fidelity]) -> None:
    """Only MongoDB itself is genuine, whatever version the others claim."""
    found = product_of(build)
    assert (found.name, found.version, found.fidelity) == expected


# --- the profiler ----------------------------------------------------------------------------------------------------


def entry(op: str, command: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"op": op, "ns": "app.pages", "command": command, "ts": datetime(2026, 1, 1, 0, 0, 5), "millis": 250,
            "user": "me@app", **more}


@pytest.mark.parametrize("plan", ["IXSCAN { slug: 1 }", "IDHACK", "COUNT_SCAN", "EXPRESS_IXSCAN { slug: 1 }",
                                  "EXPRESS_CLUSTERED_IXSCAN", "EOF", "RECORD_STORE_FAST_COUNT"])
def test_plans_are_judged_by_what_they_are_not(plan: str) -> None:
    """The words of 6.0 to 8.0 for a plan with an index are many; that for one without is ever the same."""
    assert not operation_of(entry("query", {"find": "pages"}, planSummary=plan)).scans
    assert operation_of(entry("query", {"find": "pages"}, planSummary=f"COLLSCAN, {plan}")).scans


def test_an_entry_of_another_version_is_read_as_far_as_it_goes() -> None:
    """Renamed, missing, truncated: nothing of that is an error."""
    new = entry("query", {"find": "pages", "filter": {}}, planCacheShapeHash="B6", workingMillis=2, nreturned=Int64(2))
    assert (operation_of(new).name, operation_of(new).returned) == ("find", 2)
    assert operation_of(entry("command", {"$truncated": "{ aggregate: ..."})).name == "$truncated"
    assert operation_of({}).name == ""
    assert operation_of(entry("bulkWrite", {"bulkWrite": 1})).name == "bulkWrite"


@pytest.mark.parametrize(("found", "expected"), [
    (entry("query", {"find": "pages", "filter": {"slug": "a", "n": {"$gt": 3}}, "projection": {"_id": 0}, "sort": {"n": -1},
                     "skip": 2, "limit": 3}),
     "db.pages.find({ slug: 'a', n: { $gt: 3 } }, { _id: 0 }).sort({ n: -1 }).skip(2).limit(3)"),
    (entry("query", {"find": "pages", "filter": {"_id": ObjectId(ID)}, "limit": 1, "singleBatch": True}),
     f"db.pages.findOne({{ _id: ObjectId('{ID}') }})"),
    (entry("insert", {"insert": "pages"}, ninserted=1), "db.pages.insertOne(…)"),
    (entry("insert", {"insert": "pages"}, ninserted=7), "db.pages.insertMany(…)"),
    (entry("update", {"q": {"a": 1}, "u": {"$set": {"b.c": None}}, "multi": True}),
     "db.pages.updateMany({ a: 1 }, { $set: { 'b.c': null } })"),
    (entry("update", {"q": {}, "u": {"$inc": {"b": 1}}, "upsert": True}),
     "db.pages.updateOne({}, { $inc: { b: 1 } }, { upsert: true })"),
    (entry("update", {"q": {}, "u": {"b": 1}}), "db.pages.replaceOne({}, { b: 1 })"),
    (entry("update", {"q": {}, "u": [{"$set": {"b": 1}}]}), "db.pages.updateOne({}, [ { $set: { b: 1 } } ])"),
    (entry("remove", {"q": {"a": True}, "limit": 1}), "db.pages.deleteOne({ a: true })"),
    (entry("remove", {"q": {}, "limit": 0}), "db.pages.deleteMany({})"),
    (entry("command", {"findAndModify": "pages", "query": {"a": 1}, "update": {"$set": {"b": 1}}, "new": True}),
     "db.pages.findOneAndUpdate({ a: 1 }, { $set: { b: 1 } }, { returnDocument: 'after' })"),
    (entry("command", {"findAndModify": "pages", "query": {}, "remove": True, "new": False}), "db.pages.findOneAndDelete({})"),
    (entry("command", {"aggregate": "pages", "pipeline": [{"$match": {"a": [1, 2]}}], "cursor": {}}),
     "db.pages.aggregate([ { $match: { a: [ 1, 2 ] } } ])"),
    (entry("command", {"count": "pages", "query": {"a": 1}}), "db.pages.countDocuments({ a: 1 })"),
    (entry("command", {"count": "pages"}), "db.pages.estimatedDocumentCount()"),
    (entry("command", {"distinct": "pages", "key": "slug", "query": {}}), "db.pages.distinct('slug')"),
    (entry("getmore", {"getMore": 5, "collection": "pages"}), "db.pages.getMore()"),
    (entry("command", {"createIndexes": "pages", "indexes": [{"key": {"a": 1}, "name": "a_1", "unique": True}]}),
     "db.pages.createIndex({ a: 1 }, { unique: true })"),
    (entry("command", {"create": "logs", "lsid": {}, "$db": "app"}), "db.createCollection('logs')"),
    (entry("command", {"drop": "pages"}), "db.pages.drop()"),
    (entry("command", {"collMod": "pages", "validator": {}, "lsid": {}, "$db": "app"}),
     "db.runCommand({ collMod: 'pages', validator: {} })"),
])
def test_operations_are_written_as_in_the_shell(found: dict[str, Any], expected: str) -> None:
    assert line(operation_of(found)) == expected


@pytest.mark.parametrize(("value", "text"), [
    ("it's \\ new\n", r"'it\'s \\ new\n'"), ("x" * 300, "'" + "x" * 200 + "…'"), (1.5, "1.5"), (Int64(3), "3"), (False, "false"),
    (datetime(2026, 1, 2, 3, 4, 5, 678000), "ISODate('2026-01-02T03:04:05.678Z')"), (Decimal128("1.10"), "Decimal128('1.10')"),
    (Binary(b"\x01\x02", 0), "BinData(0, '0102')"), (Regex("^a", "i"), "/^a/"), (re.compile("^a"), "/^a/"),
    (Binary(bytes(16), 4), "UUID('00000000-0000-0000-0000-000000000000')"), ({"a b": []}, "{ 'a b': [] }"),
])
def test_values_are_written_as_in_the_shell(value: Any, text: str) -> None:
    assert shown(value) == text


def test_a_record_says_when_how_many_and_what_matters() -> None:
    """At which moment it began by our clock, what was refused, a whole collection read for little, a transaction."""
    scan, refused, wrong, inside, total = records_of([
        entry("query", {"find": "pages", "lsid": {"id": Binary(b"\x01" * 16, 4)}}, docsExamined=5000, nreturned=2,
              planSummary="COLLSCAN"),
        entry("insert", {"insert": "pages"}, ninserted=0),
        entry("query", {"find": "pages"}, ok=0, errName="BadValue", errCode=2, errMsg="unknown operator", nreturned=0),
        entry("insert", {"insert": "pages", "txnNumber": Int64(7), "autocommit": False}, ninserted=1),
        entry("command", {"aggregate": "pages", "pipeline": [{"$group": {"_id": None}}]}, docsExamined=5000, nreturned=1,
              planSummary="COLLSCAN"),
    ], ahead=1.0)

    began = datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC).timestamp() - 0.25 - 1.0
    assert (scan.at, scan.seconds, scan.rows, scan.session) == (began, 0.25, 2, "01010101")
    assert (scan.note, scan.refused, scan.source) == ("the whole collection: read 5000 documents for 2", False, "profiler")
    assert (refused.refused, refused.rows) == (True, 0)
    assert refused.note == "nothing was inserted: an index or a validator refused it"
    assert (wrong.refused, wrong.note) == (True, "BadValue: unknown operator")
    assert (inside.refused, inside.note) == (False, "in transaction 7")
    assert total.note == ""


def test_equal_operations_have_one_shape() -> None:
    """Whatever values, ids, dates and how many in a list; names of fields stay."""
    assert SIGHT.shape is not None
    shape = SIGHT.shape
    assert shape("db.p.find({ a: 'it\\'s', 'b.c': 3, f2: -1.5 }).limit(2)") == "db.p.find({ a: ?, 'b.c': ?, f2: ? }).limit(?)"
    assert shape(f"db.p.find({{ _id: ObjectId('{ID}'), at: ISODate('2026') }})") == "db.p.find({ _id: ?, at: ? })"
    assert shape("db.p.find({ a: { $in: [ 1, 2, 3 ] } })") == shape("db.p.find({ a: { $in: [ 'x' ] } })")
    assert shape("db.p.find({ a: 'cut o") == "db.p.find({ a: ?"
    assert shape("db.p.find({ a: 1 })") != shape("db.p.find({ b: 1 })")


@pytest.mark.parametrize("text", ["db.createUser({ user: 'x', pwd: 's3cret' })", '"storedKey":"s3cret"',
                                  "LABS_MONGO_KEY=s3cret", '"LABS_MONGODB_KEY": "s3cret"'])
def test_secrets_are_known(text: str) -> None:
    assert [found["secret"] for pattern in SIGHT.secrets for found in re.finditer(pattern, text)] == ["s3cret"]


def test_the_log_is_shown_as_people_read_it() -> None:
    """Who connects and what was recorded of the learner is left out, unless it is a warning; other texts stay."""
    def one(number: int, severity: str) -> str:
        return json.dumps({"t": {"$date": "2026-01-01T00:00:00.000+00:00"}, "s": severity, "c": "STORAGE", "id": number,
                           "ctx": "x", "msg": "said", "attr": {"é": 1}})

    shown_line = "2026-01-01T00:00:00.000+00:00 W STORAGE said {\"é\": 1}"
    assert readable([one(51803, "I"), one(51800, "I"), one(51803, "W"), one(1, "I"), "mongod: no library", "{", "7"]) == [
        shown_line, shown_line.replace(" W ", " I "), "mongod: no library", "{", "7"]


# --- statements ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [
    ("{a: 1, 'b': -2.5e1, \"c.d\": [true, false, null, undefined,],}", {"a": 1, "b": -25.0, "c.d": [True, False, None, None]}),
    (r"{a: 'it\'s\n', b: '\u00e9\x41'}", {"a": "it's\n", "b": "éA"}),
    ("{$or: [{a: {$in: []}}], $set: {}}", {"$or": [{"a": {"$in": []}}], "$set": {}}),
    (f"{{a: ObjectId('{ID}'), b: {{$oid: '{ID}'}}}}", {"a": ObjectId(ID), "b": ObjectId(ID)}),
    ("{a: ISODate('2026-01-02T03:04:05Z'), b: new Date(1000)}",
     {"a": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "b": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)}),
    ("{a: NumberLong('5'), b: NumberInt(6), c: NumberDecimal('1.10')}", {"a": Int64(5), "b": 6, "c": Decimal128("1.10")}),
    ("{a: /^x\\/y$/i}", {"a": re.compile(r"^x\/y$", re.IGNORECASE)}),
])
def test_literals_are_those_of_the_shell(text: str, value: dict[str, Any]) -> None:
    (call,) = parse(f"db.pages.find({text})").calls
    assert call.arguments == (value,)


def test_statements_are_chains_of_calls() -> None:
    chain = parse(" db . pages.find( { } ) . limit(3);")
    assert (chain.collection, [call.name for call in chain.calls]) == ("pages", ["find", "limit"])
    assert parse("db.getCollection('my pages').find()").collection == "my pages"
    assert parse("db.a.b.find()").collection == "a.b"
    assert parse("{ ping: 1 }").calls[0].name == parse("db.runCommand({ping: 1})").calls[0].name == "runCommand"
    assert parse("show  tables").calls[0].name == "getCollectionNames"


@pytest.mark.parametrize("text", ["db.p.find({a: " + "[" * 100, "db.p.find({'a' 1})", "db.p.find(a)", "db.p.find({a: x()})", "db",
                                  "db.p", "x", "{a: 1} x", "db.p.find(1 2)", "db.p.find({a: UUID('x')})", "db..find()",
                                  "db.p.find({a: `x`})", "db.p.find({...x})", "db.p.find({a: 1}).b"])
def test_what_is_not_understood_says_where(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.code == "statement-refused"


# --- names and proofs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "expected"), [
    ("mongodb.find('pages', {'slug': 1, '$or': [{'a.b': 1}]}, fields=['title'], sort=[('at', -1)])",
     "collection pages, field slug, field a.b, field title, field at"),
    ("mongodb.plant('pages', {'slug': 1}, {'tags': [{'name': 1}]})", "collection pages, field slug, field tags, field name"),
    ("mongodb.change('pages', {'slug': 1}, {'$set': {'views': 1}})", "collection pages, field slug, field views"),
    ("mongodb.types('pages', 'views')\nmongodb.indexes('pages')", "collection pages, field views, collection pages"),
    ("mongodb.aggregate('pages', [{'$match': {'slug': 1}}])", "collection pages, field slug"),
    ("with mongodb.operations() as seen:\n    pass\nseen.of('find', collection='pages')", "collection pages"),
    ("with mongodb.as_learner() as db:\n    db['pages'].update_one({'a': 1}, {'$inc': {'b': 1}})",
     "collection pages, field a, field b"),
    ("mongodb.count('pages', {'$expr': {'$gt': ['$a', 1]}, '_id': 1})", "collection pages, field _id"),
    ("mongodb.refused('pages', {'slug': 1})\nmongodb.sessions()", "collection pages, field slug"),
])
def test_lint_sees_the_names_that_checks_use(code: str, expected: str) -> None:
    body = "\n".join(f"    {text}" for text in code.splitlines())
    found = texts(CheckFile("a.py", ast.parse(f"def test_a(mongodb):\n{body}\n")), {"mongodb": NAMES})
    assert sorted(f"{one.kind} {one.text}" for one in found) == sorted(expected.split(", "))


def test_what_can_be_spoilt_is_what_the_server_does() -> None:
    lines = ["db.pages.find({})", "db.pages.insertOne(…)", "db.pages.updateOne({}, {})", "db.my-logs.findOneAndReplace({}, {})",
             "db.pages.deleteMany({})", "db.holds.createIndex({ at: 1 }, { expireAfterSeconds: 60 })", "db.x.createIndex({ a: 1 })"]
    assert sabotage.possible(lines) == ["every document of my-logs is gone after a write",
                                        "every document of pages is gone after a write", "no document of holds expires"]
    assert sabotage.possible([]) == []


def test_an_index_is_read_whatever_numbers_its_keys_are() -> None:
    """Drivers write directions as 1, 1.0 or a 64-bit number."""
    found = index_of({"name": "a", "key": {"a": 1.0, "b": Int64(-1), "c": "2dsphere"}, "expireAfterSeconds": 60.0})
    assert found.keys == (("a", 1), ("b", -1), ("c", "2dsphere"))
    assert (found.expire_after, found.unique, found.partial) == (60, False, None)
