"""What a client says to PostgreSQL, read from the bytes of one connection: statements, without their parameters.

The protocol's messages (version 3) are a letter, a length and a body. A prepared statement is known by its text, if
this ear heard it being prepared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.services.base import Heard

STARTUPS = frozenset({196608, 196610, 80877102, 80877103, 80877104})
"""First words of a connection: versions 3.0 and 3.2 of the protocol, a wish to cancel, to encrypt (twice)."""
LETTERS = frozenset(b"BCDEFHPQSXdcfp")
LONGEST = 256 * 1024 * 1024
CONNECTING, LOGGING_IN, PREPARED = "(connecting)", "(logging in)", "(a prepared statement)"
EMPTY = "(empty statement: a ping)"
"""Pools send it to see whether a connection lives."""


class PostgresEar:
    """See ``Ear``. ``new``: the connection begins here; else it begins between two messages."""

    def __init__(self, *, new: bool) -> None:
        self._new = new
        self._deaf = False
        self._rest = b""
        self._statements: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}

    def hear(self, data: bytes) -> Heard:
        if self._deaf:
            return Heard("", "", True, True)
        self._rest += data
        prepared: list[str] = []
        done: list[str] = []
        leaving = False
        for letter, body in self._messages():
            name, _, after = body.partition(b"\0")
            if letter == b"Q":
                done.append(_one_line(name))
            elif letter == b"P":
                self._statements[name] = _one_line(after.partition(b"\0")[0])
                prepared.append(self._statements[name])
            elif letter == b"B":
                self._portals[name] = self._statements.get(after.partition(b"\0")[0], PREPARED)
            elif letter == b"E":
                done.append(self._portals.get(name, PREPARED))
            elif letter in (b"", b"p"):
                done.append(LOGGING_IN if letter else CONNECTING)
            leaving = leaving or letter == b"X"
        said = done or [f"(prepare) {text}" for text in prepared]
        said = [text or EMPTY for text in said]
        return Heard("; ".join(said), "; ".join(map(_kind, said)), not self._rest, bool(said) or not leaving)

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Whole messages; the rest stays. A letter that the protocol does not know makes this ear deaf."""
        while self._rest:
            start = 0 if self._new else 1
            if len(self._rest) < start + 4:
                return
            letter, length = self._rest[:start], int.from_bytes(self._rest[start:start + 4], "big")
            if self._new:
                wrong = length < 8 or (len(self._rest) >= 8 and int.from_bytes(self._rest[4:8], "big") not in STARTUPS)
            else:
                wrong = letter[0] not in LETTERS or length < 4
            if wrong or length > LONGEST:
                self._deaf, self._rest = True, b""
                return
            if len(self._rest) < start + length:
                return
            body, self._rest = self._rest[start + 4:start + length], self._rest[start + length:]
            # After a wish to encrypt, the real beginning follows.
            self._new = self._new and int.from_bytes(body[:4], "big") in (80877103, 80877104)
            yield letter, body


def _one_line(text: bytes) -> str:
    without_comments = re.sub(r"\A(?:\s*(?:--[^\n]*\n|/\*.*?\*/))+", "", text.decode(errors="replace"), flags=re.DOTALL)
    return " ".join(without_comments.split()).rstrip("; ")


def _kind(text: str) -> str:
    """The statement without its values, those of a driver that writes them into the text. However many there are in a
    list, and however many lists: tomorrow there is one row more."""
    bare = re.sub(r"'(?:[^']|'')*'|(?<![$\w])\d+\b", "?", text)
    bare = re.sub(r"\((?:\?|\$\d+)(?:\s*,\s*(?:\?|\$\d+))*\)", "(?)", bare)
    return re.sub(r"\(\?\)(?:\s*,\s*\(\?\))+", "(?)", bare)
