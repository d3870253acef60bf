"""What a client says to MySQL, read from the bytes of one connection: statements, and the values of prepared ones.

A packet is a length of three bytes, a number and a body; a command begins with the number 0, what belongs to it or to
a login goes on from there. A prepared statement is known by its text, although its id comes from MySQL, which this ear
does not hear: MySQL counts them on each connection. What is encrypted or compressed cannot be read, and is called so.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from orchestrator.services.base import Heard
from orchestrator.services.mysql_kin.binary import Parameters, parameters_of, text_of
from orchestrator.services.mysql_kin.words import marks_in, one_line, without_values

LARGE = 64 * 1024
"""Bytes of a command from which on only its head is read, so that it need not be kept until it is whole."""
LONGEST_PACKET = 0xFFFFFF
"""One of this length is not the last of its command."""
SSL, COMPRESS, ZSTD, PROTOCOL_41 = 1 << 11, 1 << 5, 1 << 26, 1 << 9
SSL_REQUEST = 32
"""Bytes of a handshake's answer that ends before the user's name."""
MOST_LETTERS = 4000
MOST_WAITING = 1000
CONNECTING, LOGGING_IN, PREPARED = "(connecting)", "(logging in)", "(a prepared statement)"
ENCRYPTED = "(encrypted: it cannot be read)"
COMPRESSED = "(compressed: it cannot be read)"
FILE = "(rows from a file of the client's)"
EMPTY = "(empty statement: a ping)"
QUIT, INIT_DB, QUERY, CHANGE_USER = 0x01, 0x02, 0x03, 0x11
PREPARE, EXECUTE, LONG_DATA, CLOSE, RESET_STATEMENT, FETCH, RESET = 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1C, 0x1F
UNANSWERED = {QUIT: "(good-bye)", LONG_DATA: "(a long value)", CLOSE: "(close a prepared statement)"}
NAMED = {
    0x04: "(list fields)", 0x08: "(shut down)", 0x09: "(statistics)", 0x0A: "(list processes)", 0x0C: "(kill)",
    0x0D: "(debug)", 0x0E: "(ping)", 0x12: "(binary log)", 0x1B: "(several statements at once: on or off)",
    0x1E: "(binary log)", RESET: "(reset the connection)", RESET_STATEMENT: "(reset a prepared statement)",
}
LAST_COMMAND = 0x21

Said = tuple[str, str]
"""Text and kind."""


class MysqlEar:
    """See ``Ear``. ``new``: the connection begins here; else it begins between two commands."""

    def __init__(self, *, new: bool) -> None:
        self._new = new
        self._deaf: str | None = None
        self._rest = b""
        self._skip = 0
        self._goes_on = False
        self._after = FILE
        """What a packet is that begins no command."""
        self._statements = _PreparedStatements(known=new)

    def hear(self, data: bytes) -> Heard:
        if self._deaf is not None:
            return Heard(self._deaf, self._deaf, True, True)
        self._rest += data
        steps: list[Said] = []
        aside: list[Said] = []
        for number, body, whole in self._packets():
            try:
                said, asks = self._read(number, body, whole=whole)
            except (IndexError, ValueError, struct.error):  # whatever a target sends: it has no text then
                said, asks = ("", ""), True
            (steps if asks else aside).append(said)
            if self._deaf is not None:
                self._rest, self._skip, self._goes_on = b"", 0, False
        said_now = steps or aside
        return Heard("; ".join(text for text, _ in said_now if text), "; ".join(kind for _, kind in said_now if kind),
                     not (self._rest or self._skip or self._goes_on), bool(steps) or not aside)

    def _packets(self) -> Iterator[tuple[int, bytes, bool]]:
        """Number and body of each command's first packet, or its head, the rest of which is passed over."""
        while self._rest and self._deaf is None:
            if self._skip:
                passed = min(self._skip, len(self._rest))
                self._rest, self._skip = self._rest[passed:], self._skip - passed
                continue
            if len(self._rest) < 4:
                return
            length, number = int.from_bytes(self._rest[:3], "little"), self._rest[3]
            head = 0 if self._goes_on else min(length, LARGE)
            if len(self._rest) < 4 + head:
                return
            body, self._rest = self._rest[4:4 + head], self._rest[4 + head:]
            first, self._goes_on = not self._goes_on, length == LONGEST_PACKET
            self._skip = length - head
            if first:
                yield number, body, length == head

    def _read(self, number: int, body: bytes, *, whole: bool) -> tuple[Said, bool]:
        """What was said, and whether MySQL answers it."""
        if self._new:
            self._new = False
            return self._greeted(body), True
        if number:
            return (self._after, self._after), not body or self._after != FILE  # of a file, only the end is answered
        command = body[0]
        if command > LAST_COMMAND:
            self._deaf = ""
            return ("", ""), True
        self._after = LOGGING_IN if command == CHANGE_USER else FILE
        if command in UNANSWERED:
            if command == LONG_DATA:
                self._statements.long_value(body)
            elif command == CLOSE:
                self._statements.close(_number(body))
            return (UNANSWERED[command], UNANSWERED[command]), False
        return self._command(command, body, whole=whole), True

    def _greeted(self, body: bytes) -> Said:
        """The answer to the handshake: what it has agreed on. The user's name and password are none of ours."""
        able = int.from_bytes(body[:4], "little")
        if not able & PROTOCOL_41:
            self._deaf = ""
            return "", ""
        self._after = LOGGING_IN
        if able & SSL and len(body) == SSL_REQUEST:
            self._deaf = ENCRYPTED
        elif able & (COMPRESS | ZSTD):
            self._deaf = COMPRESSED
        return CONNECTING, CONNECTING

    def _command(self, command: int, body: bytes, *, whole: bool) -> Said:
        if command == QUERY:
            return _statement(_after_attributes(body[1:]), whole=whole)
        if command == INIT_DB:
            text = f"USE {one_line(body[1:].decode(errors='replace'))}"
            return text, text
        if command == PREPARE:
            said = _statement(body[1:], whole=whole)
            self._statements.prepare(*said)
            return f"(prepare) {said[0]}", f"(prepare) {said[1]}"
        if command == EXECUTE:
            return self._statements.execute(body, whole=whole)
        if command in (RESET_STATEMENT, FETCH):
            text, kind = self._statements.known(_number(body))
            return (f"(more rows) {text}", f"(more rows) {kind}") if command == FETCH else (NAMED[command],) * 2
        if command in (RESET, CHANGE_USER):
            self._statements.forget()
        text = LOGGING_IN if command == CHANGE_USER else NAMED.get(command, f"(command {command})")
        return text, text


class _PreparedStatements:
    """The prepared statements of a connection. MySQL numbers them from 1 on, refused ones too, and now and then one of
    its own between them (when it prepares one again because a table has changed): ids run ahead of our count.

    ``known``: this is heard from the connection's beginning. Else the count is known when the statement that was
    prepared last is executed next.
    """

    def __init__(self, *, known: bool) -> None:
        self._prepared = 0
        self._latest: Said | None = None
        self._waiting: dict[int, Said] = {}
        """By how many had been prepared with it: what nobody has executed yet."""
        self._ahead: dict[int, int] = {0: 0} if known else {}
        """By how much ids are before our count, from that one on."""
        self._by_id: dict[int, Said] = {}
        self._types: dict[int, Parameters] = {}
        self._long: dict[int, set[int]] = {}

    def prepare(self, text: str, kind: str) -> None:
        self._prepared += 1
        self._latest = self._waiting[self._prepared] = (text, kind)
        if len(self._waiting) > MOST_WAITING:  # those that MySQL refused are never executed
            del self._waiting[next(iter(self._waiting))]

    def known(self, number: int) -> Said:
        """Of the statement with this id, which is bound to its text from now on."""
        if number in self._by_id:
            return self._by_id[number]
        if self._ahead:
            found = max((one for one in self._waiting if one + self._ahead_at(one) <= number), default=None)
        else:
            found = self._prepared if self._latest is not None else None
        if found is None or found not in self._waiting:
            return PREPARED, PREPARED
        if not self._ahead or self._ahead_at(found) != number - found:
            self._ahead[found] = number - found
        self._by_id[number] = self._waiting.pop(found)
        return self._by_id[number]

    def _ahead_at(self, count: int) -> int:
        return self._ahead[max((one for one in self._ahead if one <= count), default=min(self._ahead))]

    def execute(self, body: bytes, *, whole: bool) -> Said:
        number = _number(body)
        text, kind = self.known(number)
        if not self._ahead:
            self._by_id[number] = (text, kind)  # from before we listened: not the one that is prepared next
        long = self._long.pop(number, set())
        marks = marks_in(text)
        if text == PREPARED or not marks:
            return text, kind
        found = parameters_of(body[10:], marks, self._types.get(number), long) if whole else None
        if found is None:
            return text, kind
        self._types[number] = found
        return f"{text}  [{', '.join(map(text_of, found.values))}]", kind

    def long_value(self, body: bytes) -> None:
        self._long.setdefault(_number(body), set()).add(int.from_bytes(body[5:7], "little"))

    def close(self, number: int) -> None:
        """It is gone; its id comes never again."""
        self.known(number)
        self._by_id.pop(number, None)
        self._types.pop(number, None)
        self._long.pop(number, None)

    def forget(self) -> None:
        """All are gone; the count goes on."""
        self._latest = None
        for one in (self._waiting, self._by_id, self._types, self._long):
            one.clear()


def _statement(text: bytes, *, whole: bool) -> Said:
    line = one_line(text.decode(errors="replace"))
    kind = _shortened(without_values(line))
    if not whole or len(line) > MOST_LETTERS:
        # What is cut may end within a value, which then has no end.
        line, kind = f"{line[:MOST_LETTERS]}…", f"{_shortened(without_values(line[:MOST_LETTERS]))[:100]}…"
    return line or EMPTY, kind or EMPTY


def _after_attributes(body: bytes) -> bytes:
    """The statement's text behind its attributes, which no text begins like: their count, and a 1."""
    if body[1:2] != b"\1":
        return body
    count = body[0]
    if not count:
        return body[2:]
    found = parameters_of(body[2:], count, None, set(), named=True, exact=False)
    return body if found is None else body[2 + found.size:]


def _number(body: bytes) -> int:
    return int.from_bytes(body[1:5], "little")


def _shortened(kind: str) -> str:
    """However many values there are in a list, and however many lists: tomorrow there is one row more."""
    return re.sub(r"\(\?\)(?:\s*,\s*\(\?\))+", "(?)", re.sub(r"\(\?(?:\s*,\s*\?)+\)", "(?)", kind))
