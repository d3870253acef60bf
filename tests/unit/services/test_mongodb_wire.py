"""What MongoDB's ear understands: the bytes of three real drivers, and of none.

``mongodb_drivers.json`` has what pymongo 4.20, Go's driver 2.10 and Node's 7.9 sent for the same work: each line is a
connection's number and what it sent.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId

from orchestrator.services.base import Heard
from orchestrator.services.mongodb.wire import LARGE, Cursors, MongodbEar

RECORDED: dict[str, list[str]] = json.loads(Path(__file__).with_name("mongodb_drivers.json").read_text())

WORK = [
    "db.items.insertMany([ { name: 'pen', n: 0 }, … ])",
    "session.startTransaction(); db.stock.findOne({ name: 'pen' })",
    "db.stock.updateOne({ name: 'pen' }, { $inc: { left: -1 } })",
    "db.sales.insertOne({ name: 'pen', by: 'ada' })",
    "session.commitTransaction()",
    "db.items.find({ name: 'pen' })", "db.items.getMore()", "db.items.getMore()",
    "db.items.aggregate([ { $match: { n: { $gt: 1 } } }, { $group: { _id: 1, n: { $sum: 1 } } } ])",
    "db.items.updateMany({}, { $set: { old: true } })",
    "db.items.deleteOne({ n: 4 })",
    "db.items.aggregate([ { $changeStream: {} } ])",
    "session.startTransaction(); db.stock.findOneAndUpdate({ name: 'pen' }, { $inc: { left: -1 } })",
    "session.abortTransaction()",
]


def message(command: dict[str, Any], *, flags: int = 0, beside: bytes = b"") -> bytes:
    """An OP_MSG."""
    body = struct.pack("<IB", flags, 0) + bson.encode(command) + beside + (b"\0\0\0\0" if flags & 1 else b"")
    return struct.pack("<iiii", 16 + len(body), 7, 0, 2013) + body


def sequence(name: str, *documents: dict[str, Any]) -> bytes:
    inner = name.encode() + b"\0" + b"".join(map(bson.encode, documents))
    return b"\x01" + struct.pack("<i", 4 + len(inner)) + inner


def hear(*commands: dict[str, Any], flags: int = 0) -> Heard:
    return MongodbEar(Cursors(), new=False).hear(b"".join(message(one, flags=flags) for one in commands))


@pytest.mark.parametrize("driver", sorted(RECORDED))
def test_drivers_that_do_the_same_take_the_same_steps(driver: str) -> None:
    """Whatever they send beside it: greetings, logins, sessions that end, cursors that are given up, news waited for."""
    cursors = Cursors()
    ears: dict[str, MongodbEar] = {}
    heard = []
    for line in RECORDED[driver]:
        connection, data = line.split()
        ear = ears.setdefault(connection, MongodbEar(cursors, new=True))
        heard.append(ear.hear(base64.b64decode(data)))

    assert all(one.whole for one in heard)
    assert [one.text for one in heard if one.asks] == WORK
    assert [one.kind for one in heard if one.asks][:5] == [
        "db.items.insertMany", "session.startTransaction; db.stock.findOne", "db.stock.updateOne",
        "db.sales.insertOne", "session.commitTransaction"]
    assert not any(secret in one.text for one in heard for secret in ("c=biws", "SCRAM", "learner"))


@pytest.mark.parametrize("driver", sorted(RECORDED))
def test_bytes_may_come_in_any_pieces(driver: str) -> None:
    """The words are there with the last piece of a message."""
    cursors = Cursors()
    ears: dict[str, MongodbEar] = {}
    texts = []
    for line in RECORDED[driver]:
        connection, coded = line.split()
        data = base64.b64decode(coded)
        ear = ears.setdefault(connection, MongodbEar(cursors, new=True))
        assert not ear.hear(data[:21]).whole
        texts += [heard.text for place in range(21, len(data), 100) if (heard := ear.hear(data[place:place + 100])).text
                  and heard.asks]
    assert texts == WORK


def test_a_step_is_the_same_whether_or_not_an_unanswered_write_came_with_it() -> None:
    """Such a write is no step: nobody waits for an answer to it."""
    ear = MongodbEar(Cursors(), new=False)
    write, look = message({"insert": "log", "documents": [{"n": 1}]}, flags=2), message({"find": "log", "filter": {}})

    assert (ear.hear(write).asks, ear.hear(write + look)) == (False, ear.hear(look))


@pytest.mark.parametrize("command", [
    {"hello": 1, "topologyVersion": {"counter": 6}, "maxAwaitTimeMS": 10000}, {"isMaster": 1}, {"endSessions": []},
    {"saslContinue": 1, "payload": b"secret"}, {"killCursors": "log", "cursors": [7]},
    {"getMore": 7, "collection": "log", "maxTimeMS": 500}, {"getMore": 7, "collection": "opened-before-anybody-heard"},
])
def test_what_drivers_do_by_themselves_and_who_waits_for_news_ask_nothing(command: dict[str, Any]) -> None:
    """Else they would be steps of one run and not of the next, or a step that never ends."""
    assert not hear(command).asks


def test_a_ping_is_a_step_unless_its_connection_only_watches_the_server() -> None:
    """A connection that serves requests has logged in."""
    ping, greeting = message({"ping": 1}), message({"hello": 1})
    watching, serving = MongodbEar(Cursors(), new=True), MongodbEar(Cursors(), new=True)
    serving.hear(message({"hello": 1, "speculativeAuthenticate": {"saslStart": 1}}))
    watching.hear(greeting)

    assert (watching.hear(ping).asks, serving.hear(ping).asks) == (False, True)
    assert hear({"ping": 1}) == Heard("db.runCommand({ ping: 1 })", "db.runCommand(ping)", True, True)


def test_a_cursor_s_later_batches_are_steps_on_whatever_connection() -> None:
    """It is known by its session. A change stream's are not, whoever reads it."""
    cursors = Cursors()
    one, other = MongodbEar(cursors, new=False), MongodbEar(cursors, new=False)
    plain, stream = ({"lsid": {"id": bson.Binary(letter * 16, 4)}} for letter in (b"a", b"b"))
    one.hear(message({"find": "log", "filter": {}, **plain}))
    one.hear(message({"aggregate": 1, "pipeline": [{"$changeStream": {}}], **stream}))

    assert other.hear(message({"getMore": 7, "collection": "log", **plain})).text == "db.log.getMore()"
    assert other.hear(message({"getMore": 7, "collection": "log", **plain})).asks
    assert not other.hear(message({"getMore": 8, "collection": "log", **stream})).asks


def test_documents_beside_a_command_and_a_checksum_are_read() -> None:
    """Some drivers send documents in the command, some beside it."""
    ear = MongodbEar(Cursors(), new=False)
    two = sequence("updates", {"q": {"a": 1}, "u": {"a": 2}}, {"q": {}, "u": {"$set": {"b": 1}}, "multi": True})

    assert ear.hear(message({"update": "t"}, beside=two, flags=1)) == Heard(
        "db.t.replaceOne({ a: 1 }, { a: 2 }); db.t.updateMany({}, { $set: { b: 1 } })",
        "db.t.replaceOne; db.t.updateMany", True, True)
    many = ear.hear(message({"delete": "t"}, beside=sequence("deletes", *[{"q": {"n": n}, "limit": 1} for n in range(9)])))
    assert many.text.count("deleteOne") == 3
    assert many.kind == "db.t.deleteOne"


def test_an_id_that_the_driver_made_is_not_shown_and_one_that_somebody_gave_is() -> None:
    """It would be most of what fits into a line."""
    assert hear({"insert": "t", "documents": [{"_id": ObjectId(), "a": 1}]}).text == "db.t.insertOne({ a: 1 })"
    assert hear({"insert": "t", "documents": [{"_id": "x"}]}).text == "db.t.insertOne({ _id: 'x' })"


def test_a_password_is_not_among_the_words() -> None:
    """Whoever logs in or makes a user."""
    for command in ({"createUser": "eve", "pwd": "secret"}, {"updateUser": "eve", "pwd": "secret"},
                    {"saslStart": 1, "payload": b"secret"}):
        assert "secret" not in hear(command).text


def test_a_large_message_is_named_by_its_head_and_never_kept() -> None:
    """It goes on as it comes; the next message is heard again."""
    ear = MongodbEar(Cursors(), new=False)
    large = message({"insert": "log", "txnNumber": 2, "startTransaction": True},
                    beside=sequence("documents", {"text": "x" * 100_000}))
    first = ear.hear(large[:LARGE])
    assert (first.text, first.whole) == ("session.startTransaction(); db.log.insert(…)", False)
    assert ear.hear(large[LARGE:-1]).text == ""
    assert ear.hear(large[-1:] + message({"find": "log", "filter": {"a": 1}})).text == "db.log.find({ a: 1 })"

    in_the_command = ear.hear(message({"insert": "log", "documents": [{"text": "x" * 100_000}]}))
    assert (in_the_command.text, in_the_command.kind) == ("db.log.insert(…)", "db.log.insert")


def test_what_is_no_plain_message_is_passed_over() -> None:
    """A compressed one has no words; a connection that is encrypted never has any."""
    ear = MongodbEar(Cursors(), new=False)
    compressed = struct.pack("<iiiiiiB", 29, 1, 0, 2012, 2013, 100, 2) + b"\0" * 4
    assert ear.hear(compressed) == Heard("", "", True, True)
    assert ear.hear(message({"find": "t", "filter": {}})).kind == "db.t.find"
    assert ear.hear(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 30) == Heard("", "", True, True)
    assert ear.hear(message({"find": "t", "filter": {}})).text == ""


@pytest.mark.parametrize("seed", range(60))
def test_whatever_comes_the_ear_goes_on(seed: int) -> None:
    """Bytes that are no message, and messages in which some bytes are wrong, break nothing."""
    chance = random.Random(seed)
    for new in (True, False):
        ear = MongodbEar(Cursors(), new=new)
        for _ in range(30):
            data = bytearray(message({"find": "t", "filter": {"a": [1, {"b": "x"}]}}, beside=sequence("x", {"a": 1})))
            for _ in range(chance.randrange(4)):
                data[chance.randrange(16, len(data))] = chance.randrange(256)
            assert isinstance(ear.hear(bytes(data)).text, str)
        assert isinstance(ear.hear(chance.randbytes(100)).text, str)


def test_an_ear_costs_no_client_library_until_there_is_something_to_hear() -> None:
    """A lab's MongoDB may sleep all the time."""
    code = ("import sys; from orchestrator import services; services.recipe('mongodb').ears()(True).hear(b'');"
            " print([name for name in ('bson', 'pymongo') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
