"""What is understood of the bytes that a client sends to MySQL."""

from __future__ import annotations

import random
import struct

import pytest

from orchestrator.services.mysql.evidence.tables import relations_in
from orchestrator.services.mysql_kin.wire import COMPRESSED, ENCRYPTED, MysqlEar
from orchestrator.services.mysql_kin.words import marks_in

PLAIN = 0x0008_A200
"""Abilities: protocol 4.1 and logging in as of today."""


def packet(body: bytes, number: int = 0) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


def command(code: int, rest: bytes = b"") -> bytes:
    return packet(bytes([code]) + rest)


def query(text: str) -> bytes:
    return command(0x03, text.encode())


def greeting(able: int = PLAIN, user: bytes = b"ada\0\x05token") -> bytes:
    return packet(struct.pack("<IIB23x", able, 1 << 24, 255) + user, 1)


def execute(number: int, rest: bytes = b"") -> bytes:
    return command(0x17, struct.pack("<IBI", number, 0, 1) + rest)


def connected() -> MysqlEar:
    ear = MysqlEar(new=True)
    ear.hear(greeting())
    return ear


def test_a_connection_is_heard_from_its_beginning() -> None:
    """Neither the user nor what proves the password is among the words."""
    ear = MysqlEar(new=True)

    assert ear.hear(greeting()).text == "(connecting)"
    assert ear.hear(packet(b"\x02", 3)).text == "(logging in)"
    assert ear.hear(packet(b"secret secret", 5)).text == "(logging in)"
    heard = ear.hear(query("  SELECT\n 1;"))
    assert (heard.text, heard.kind, heard.whole, heard.asks) == ("SELECT 1", "SELECT ?", True, True)


@pytest.mark.parametrize(("able", "user", "said"), [
    (PLAIN | 1 << 11, b"", ENCRYPTED), (PLAIN | 1 << 5, b"ada\0\0", COMPRESSED), (PLAIN | 1 << 26, b"ada\0\0", COMPRESSED),
])
def test_what_cannot_be_read_is_called_so(able: int, user: bytes, said: str) -> None:
    """After a wish to encrypt or to compress, bytes that look like a statement are none."""
    ear = MysqlEar(new=True)

    assert ear.hear(greeting(able, user)).text == "(connecting)"
    heard = ear.hear(query("SELECT 1"))
    assert (heard.text, heard.kind, heard.whole, heard.asks) == (said, said, True, True)


def test_a_client_that_could_encrypt_and_does_not_is_heard() -> None:
    """The ability alone encrypts nothing: the handshake's answer has a user then."""
    ear = MysqlEar(new=True)
    ear.hear(greeting(PLAIN | 1 << 11))
    assert ear.hear(query("SELECT 1")).text == "SELECT 1"


@pytest.mark.parametrize(("text", "kind"), [
    ("SELECT * FROM t7 WHERE a = 'it''s' AND b = 12", "SELECT * FROM t7 WHERE a = ? AND b = ?"),
    (r"SELECT 'a\'b', \"c\", 1.5e3, 0x1F, x'00'".replace('\\"', '"'), "SELECT ?, ?, ?, ?, ?"),
    ("INSERT INTO `a'1` VALUES (_binary'x', -4, _utf8mb4'y')", "INSERT INTO `a'1` VALUES (?, -?, ?)"),
    ("SELECT a2 FROM b -- it's 7", "SELECT a2 FROM b -- it's 7"),
    ("SELECT a2 FROM b", "SELECT a2 FROM b"),
    ("SELECT a FROM b WHERE id IN (1, 2,'3') AND c = 4", "SELECT a FROM b WHERE id IN (?) AND c = ?"),
    ("INSERT INTO b (a, c) VALUES (1, 2), (3, 4)", "INSERT INTO b (a, c) VALUES (?)"),
])
def test_values_in_a_statement_are_not_in_its_kind(text: str, kind: str) -> None:
    """Most drivers write values into the text, so that it is another one each time."""
    heard = connected().hear(query(f"-- who\n# asks\n/* trace */ {text} ;"))
    assert (heard.text, heard.kind) == (text, kind)


def test_a_prepared_statement_is_known_by_its_text_and_shows_its_values() -> None:
    """Preparing is another kind than running. MySQL's ids are not heard, but counted."""
    ear = connected()
    one = ear.hear(command(0x16, b"SELECT a FROM t WHERE b = ? AND c = '?'"))
    assert (one.text, one.kind) == ("(prepare) SELECT a FROM t WHERE b = ? AND c = '?'",
                                    "(prepare) SELECT a FROM t WHERE b = ? AND c = ?")
    ear.hear(command(0x16, b"UPDATE t SET a = ?, b = ?, c = ?"))

    moment = b"\x0b" + struct.pack("<HBBBBBI", 2026, 11, 30, 9, 8, 7, 5)
    heard = ear.hear(execute(2, b"\x02\x01" + b"\xfd\x00" + b"\x06\x00" + b"\x0c\x00" + b"\x04it's" + moment))
    assert heard.text == "UPDATE t SET a = ?, b = ?, c = ?  ['it''s', NULL, '2026-11-30 09:08:07.000005']"
    assert heard.kind == "UPDATE t SET a = ?, b = ?, c = ?"
    heard = ear.hear(execute(1, b"\x00\x01\x08\x80" + (2 ** 64 - 1).to_bytes(8, "little")))
    assert heard.text == "SELECT a FROM t WHERE b = ? AND c = '?'  [18446744073709551615]"
    again = ear.hear(execute(1, b"\x00\x00" + (7).to_bytes(8, "little")))
    assert again.text.endswith("[7]")  # types are sent once


def test_ids_may_run_ahead_of_the_count() -> None:
    """MySQL prepares a statement again when its table has changed, under an id of its own between the client's."""
    ear = connected()
    ear.hear(command(0x16, b"SELECT 1"))
    assert ear.hear(execute(1)).text == "SELECT 1"
    for text in (b"DELETE FROM a", b"DELETE FROM b"):
        ear.hear(command(0x16, text))
    assert ear.hear(execute(5)).text == "DELETE FROM b"
    assert ear.hear(execute(4)).text == "DELETE FROM a"
    for text in (b"DELETE FROM c", b"DELETE FROM d"):
        ear.hear(command(0x16, text))
    assert ear.hear(execute(6)).text == "DELETE FROM c"
    assert ear.hear(execute(7)).text == "DELETE FROM d"


def test_a_statement_from_before_this_ear_has_no_text() -> None:
    """It is not taken for the one that is prepared later; whose id is next is known when that one runs."""
    ear = MysqlEar(new=False)
    assert ear.hear(execute(7, b"\x00\x01\x03\x00\x05\x00\x00\x00")).text == "(a prepared statement)"
    ear.hear(command(0x16, b"DELETE FROM a"))
    assert ear.hear(execute(7)).text == "(a prepared statement)"
    assert ear.hear(execute(9)).text == "DELETE FROM a"
    ear.hear(command(0x16, b"DELETE FROM b"))
    assert ear.hear(execute(10)).text == "DELETE FROM b"


def test_attributes_are_no_part_of_the_statement() -> None:
    """Clients of today send them with each query, none or some, and with the values of a prepared one."""
    ear = connected()
    assert ear.hear(command(0x03, b"\x00\x01SELECT 1")).text == "SELECT 1"
    some = b"\x01\x01" + b"\x00\x01" + b"\xfe\x00\x05trace" + b"\x03abc"
    assert ear.hear(command(0x03, some + b"SELECT 2")).text == "SELECT 2"
    ear.hear(command(0x16, b"SELECT ?"))
    named = b"\x02" + b"\x00\x01" + b"\x03\x00\x00" + b"\xfe\x00\x05trace" + b"\x05\x00\x00\x00" + b"\x03abc"
    assert ear.hear(execute(1, named)).text == "SELECT ?  [5]"
    none = b"\x01" + b"\x00\x01" + b"\x03\x00\x00" + b"\x06\x00\x00\x00"  # could begin like a NULL without a type
    assert ear.hear(execute(1, none)).text == "SELECT ?  [6]"


def test_a_long_value_is_sent_ahead_and_asks_nothing() -> None:
    """MySQL answers neither it nor the end of a statement."""
    ear = connected()
    ear.hear(command(0x16, b"INSERT INTO t VALUES (?, ?)"))
    ahead = ear.hear(command(0x18, struct.pack("<IH", 1, 0) + b"x" * 50))
    assert (ahead.text, ahead.asks) == ("(a long value)", False)
    heard = ear.hear(execute(1, b"\x00\x01" + b"\xfc\x00\x01\x00" + b"\xfb"))
    assert heard.text == "INSERT INTO t VALUES (?, ?)  […, -5]"
    closing = ear.hear(command(0x19, struct.pack("<I", 1)))
    assert (closing.text, closing.asks) == ("(close a prepared statement)", False)
    assert ear.hear(command(0x19, struct.pack("<I", 1)) + query("SELECT 1")).text == "SELECT 1"
    assert ear.hear(execute(1)).text == "(a prepared statement)"


@pytest.mark.parametrize(("sent", "text", "asks"), [
    (command(0x0E), "(ping)", True), (command(0x02, b"app"), "USE app", True), (command(0x01), "(good-bye)", False),
    (command(0x1F), "(reset the connection)", True), (command(0x1A, struct.pack("<I", 1)), "(reset a prepared statement)", True),
    (command(0x11, b"ada\0secret"), "(logging in)", True), (query(""), "(empty statement: a ping)", True),
    (query("BEGIN") + query("SELECT 1"), "BEGIN; SELECT 1", True),
])
def test_other_commands_have_names(sent: bytes, text: str, asks: bool) -> None:
    heard = connected().hear(sent)
    assert (heard.text, heard.asks, heard.whole) == (text, asks, True)


def test_after_another_login_and_a_reset_nothing_is_prepared() -> None:
    """The count goes on, as MySQL's does."""
    ear = connected()
    ear.hear(command(0x16, b"SELECT 1"))
    ear.hear(command(0x11, b"bo\0secret"))
    assert ear.hear(packet(b"secret", 3)).text == "(logging in)"
    assert ear.hear(execute(1)).text == "(a prepared statement)"
    ear.hear(command(0x16, b"SELECT 2"))
    assert ear.hear(execute(2)).text == "SELECT 2"


def test_rows_of_a_file_are_answered_at_their_end() -> None:
    ear = connected()
    ear.hear(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"))
    rows = ear.hear(packet(b"1,2\n", 2))
    assert (rows.text, rows.asks) == ("(rows from a file of the client's)", False)
    assert ear.hear(packet(b"", 3)).asks


def test_pieces_are_put_together() -> None:
    """A command that is not whole yet is said to be so, cut anywhere."""
    data = query("SELECT 1")
    for cut in range(1, len(data)):
        ear = connected()
        first = ear.hear(data[:cut])
        assert (first.text, first.whole) == ("", False)
        assert ear.hear(data[cut:]).text == "SELECT 1"


def test_of_a_large_command_the_head_is_enough() -> None:
    """Its text comes with the head; what follows is passed over, over several packets of 16 MB, too."""
    body = b"\x03INSERT INTO t VALUES ('" + b"x" * (40 * 1024 * 1024) + b"')"
    pieces = [body[place:place + 0xFFFFFF] for place in range(0, len(body), 0xFFFFFF)]
    data = b"".join(packet(piece, number) for number, piece in enumerate(pieces))
    ear = connected()

    heard = [ear.hear(data[place:place + 60_000]) for place in range(0, len(data), 60_000)]

    said = [one for one in heard if one.text]
    assert len(said) == 1
    assert said[0].text.startswith("INSERT INTO t VALUES ('xxx")
    assert len(said[0].text) < 5000
    assert [one.whole for one in heard] == [False] * (len(heard) - 1) + [True]
    assert ear.hear(query("SELECT 1")).text == "SELECT 1"


def test_a_command_of_exactly_one_packets_length_goes_on_in_an_empty_one() -> None:
    ear = connected()
    assert not ear.hear(packet(b"\x03" + b"x" * (0xFFFFFF - 1))).whole
    assert ear.hear(packet(b"", 1) + query("SELECT 1")).text == "SELECT 1"


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_an_ear_goes_on(seed: int) -> None:
    """Bytes that are no command, or a connection that is joined in the middle of one, break nothing."""
    chance = random.Random(seed)
    for ear in (MysqlEar(new=True), MysqlEar(new=False)):
        for _ in range(30):
            data = bytes(chance.choices(b"\0\1\2\3\x05\x16\x17\x18\xff\xfeab?'", k=chance.randrange(1, 60)))
            assert isinstance(ear.hear(data).text, str)
        small = MysqlEar(new=False)
        small.hear(command(0x16, b"SELECT ?, ?"))
        small.hear(execute(1, bytes(chance.choices(range(256), k=chance.randrange(40)))))


@pytest.mark.parametrize(("text", "names"), [
    ("SELECT a FROM b JOIN `c d` ON e LEFT JOIN app.f USING (g)", ["b", "c d", "f"]),
    ("INSERT INTO `app`.`b` (a) SELECT 'from c' FROM d -- from e", ["b", "d"]),
    ("DELETE FROM b WHERE a = \"from c\"", ["b"]),
    ("UPDATE b SET a = 1 /* from c */ WHERE `from` IN (SELECT x FROM y)", ["b", "y"]),
])
def test_tables_are_known_by_their_place(text: str, names: list[str]) -> None:
    assert list(relations_in(text, "app")) == names


def test_parameters_are_counted_outside_texts() -> None:
    assert marks_in("SELECT '?', \"?\", `?`, ? /* ? */ -- ?\n, ? # ?") == 2
