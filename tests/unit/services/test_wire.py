"""What ears understand of the bytes that pass: statements and commands, no secrets, and nothing that breaks them."""

from __future__ import annotations

import random

import pytest

from orchestrator.services.postgres.wire import PostgresEar
from orchestrator.services.redis.wire import RedisEar


def message(letter: bytes, body: bytes) -> bytes:
    return letter + (len(body) + 4).to_bytes(4, "big") + body


STARTUP = message(b"", (196608).to_bytes(4, "big") + b"user\0ada\0\0")
WISH_TO_ENCRYPT = message(b"", (80877103).to_bytes(4, "big"))


def prepare(name: bytes, text: bytes) -> bytes:
    return message(b"P", name + b"\0" + text + b"\0\0\0") + message(b"D", b"S" + name + b"\0") + message(b"S", b"")


def run(name: bytes, portal: bytes = b"") -> bytes:
    bind = message(b"B", portal + b"\0" + name + b"\0" + b"\0\0\0\0\0\0")
    return bind + message(b"E", portal + b"\0\0\0\0\0") + message(b"S", b"")


def test_a_connection_is_heard_from_its_beginning() -> None:
    """With or without a wish to encrypt first; the password is not among the words."""
    ear = PostgresEar(new=True)

    assert ear.hear(WISH_TO_ENCRYPT).text == "(connecting)"
    assert ear.hear(STARTUP).text == "(connecting)"
    assert ear.hear(message(b"p", b"SCRAM-SHA-256\0\0\0\0secret")).text == "(logging in)"
    heard = ear.hear(message(b"Q", b"  SELECT\n 1;\0"))
    assert (heard.text, heard.kind, heard.whole, heard.asks) == ("SELECT 1", "SELECT ?", True, True)


def test_a_prepared_statement_is_known_by_its_text() -> None:
    """Preparing is a step of another kind than running, and running is the same kind however it was prepared."""
    ear = PostgresEar(new=False)
    assert ear.hear(prepare(b"s1", b"UPDATE t SET a = $1")).text == "(prepare) UPDATE t SET a = $1"
    assert ear.hear(run(b"s1")).text == "UPDATE t SET a = $1"
    at_once = message(b"P", b"\0UPDATE t SET a = $1\0\0\0") + run(b"", b"c1")
    assert ear.hear(at_once).kind == "UPDATE t SET a = $1"
    assert ear.hear(run(b"from-before")).text == "(a prepared statement)"


def test_values_in_a_statement_are_not_in_its_kind() -> None:
    """Drivers that write values into the text send another text each time."""
    ear = PostgresEar(new=False)
    one = ear.hear(message(b"Q", b"-- who\nSELECT * FROM t7 WHERE a = 'it''s' AND b = 12\0"))
    assert (one.text, one.kind) == ("SELECT * FROM t7 WHERE a = 'it''s' AND b = 12",
                                    "SELECT * FROM t7 WHERE a = ? AND b = ?")


def test_empty_and_several_statements_and_a_good_bye() -> None:
    """A pool's test of a connection has a name; what asks nothing is not a step."""
    ear = PostgresEar(new=False)
    assert ear.hear(message(b"Q", b"\0")).text == "(empty statement: a ping)"
    assert ear.hear(message(b"Q", b"BEGIN\0") + message(b"Q", b"SELECT 1\0")).text == "BEGIN; SELECT 1"
    assert not ear.hear(message(b"X", b"")).asks
    assert ear.hear(message(b"S", b"")).asks


def test_pieces_are_put_together() -> None:
    """A message that is not whole yet is said to be so."""
    ear = PostgresEar(new=False)
    data = message(b"Q", b"SELECT 1\0")
    first = ear.hear(data[:7])
    assert (first.text, first.whole) == ("", False)
    assert ear.hear(data[7:]).text == "SELECT 1"


def test_commands_are_read_with_their_words() -> None:
    """A pipeline is one text; long words are cut, passwords left out."""
    ear = RedisEar()
    heard = ear.hear(b"*2\r\n$3\r\nget\r\n$8\r\nhold:7:1\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$3\r\na b\r\n")
    assert (heard.text, heard.kind, heard.whole) == ("GET hold:7:1; PUBLISH c 'a b'", "GET; PUBLISH", True)
    assert ear.hear(b"PING\r\n").text == "PING"
    assert ear.hear(b"*3\r\n$4\r\nAUTH\r\n$3\r\nada\r\n$6\r\nsecret\r\n").text == "AUTH"
    long = ear.hear(b"*2\r\n$4\r\nEVAL\r\n$100\r\n" + b"x" * 100 + b"\r\n").text
    assert len(long) < 60
    first = ear.hear(b"*2\r\n$3\r\nGET\r\n$8\r\nho")
    assert (first.text, first.whole) == ("", False)
    assert ear.hear(b"ld:7:1\r\n").text == "GET hold:7:1"


@pytest.mark.parametrize(("words", "asks"), [
    (b"XREAD BLOCK 700 STREAMS feed $", False), (b"xread count 5 block 0 streams feed 0", False), (b"BLPOP jobs 0", False),
    (b"XREAD STREAMS feed 0", True), (b"LPOP jobs", True), (b"SUBSCRIBE changes", True),
])
def test_who_waits_for_news_of_redis_asks_nothing(words: bytes, asks: bool) -> None:
    """Else a server that reads a stream would always have a step under way, and no run would settle."""
    parts = words.split()
    told = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    assert RedisEar().hear(told).asks is asks


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_an_ear_goes_on(seed: int) -> None:
    """Bytes that are no message, or a connection that is joined in the middle of one, break nothing."""
    chance = random.Random(seed)
    for ear in (PostgresEar(new=True), PostgresEar(new=False), RedisEar()):
        for _ in range(20):
            data = bytes(chance.choices(b"*$\r\n0123456789QPBEX\0\xffab", k=chance.randrange(1, 60)))
            assert isinstance(ear.hear(data).text, str)


@pytest.mark.parametrize("text", ["SELECT a FROM b WHERE id IN ({})", "INSERT INTO b (a, c) VALUES ({}), ({})"])
def test_a_list_is_the_same_kind_however_long_it_is(text: str) -> None:
    """With each event that is planted a page has one id more: it is the same step all the same."""
    def kind(statement: str) -> str:
        return PostgresEar(new=False).hear(message(b"Q", statement.encode() + b"\0")).kind

    lists = ("1", "1, 2", "'a', 'b', 'c'", "$2, $3", "$2, $3, $4, $5")
    assert len({kind(text.format(*[values] * text.count("{}"))) for values in lists}) == 1
