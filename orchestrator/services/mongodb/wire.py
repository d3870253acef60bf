"""What a client says to MongoDB, read from the bytes of one connection: operations, as ``mongosh`` would have them.

A message is a header of four numbers and a body; a command is a BSON document, which a client may send its documents
beside (a *sequence*). What drivers do by themselves, whenever they like, is told apart: they ask a server how it is,
log in on connections that they open ahead, give up sessions and cursors. The rest is what a request asks for.
"""

from __future__ import annotations

import functools
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.services.base import Heard

OP_QUERY, OP_COMPRESSED, OP_MSG = 2004, 2012, 2013
OPCODES = frozenset({1, 2001, 2002, 2004, 2005, 2006, 2007, 2010, 2011, OP_COMPRESSED, OP_MSG})
LONGEST = 64 * 1024 * 1024
"""MongoDB takes 48 MB."""
LARGE = 32 * 1024
"""Bytes of a message from which on only its head is read, so that it need not be kept until it is whole."""
CHECKSUM, MORE_TO_COME = 1, 2
"""Flags: four bytes at the end; no answer is awaited."""
MOST_OPERATIONS = 3
MOST_SESSIONS = 1000

CONNECTING, LOGGING_IN = "(connecting)", "(logging in)"
GREETINGS = frozenset({"hello", "isMaster", "ismaster"})
LOGINS = frozenset({"saslStart", "saslContinue", "authenticate", "getnonce", "logout"})
TIDYING = frozenset({"endSessions", "killCursors", "refreshSessions"})
SECRET = frozenset({"createUser", "updateUser"})
"""Commands with a password among their values."""
ENDS = {"commitTransaction": "session.commitTransaction", "abortTransaction": "session.abortTransaction"}
BEGINS = "session.startTransaction"
SEQUENCES = {"insert": "documents", "update": "updates", "delete": "deletes"}
_HEADER = struct.Struct("<iiii")
_SIZE = struct.Struct("<i")

Command = Mapping[str, Any]


@dataclass(slots=True)
class Cursors:
    """Which sessions opened a cursor that ends, on whatever connection. Shared by all ears of a space.

    A cursor's later batches are asked for in the session that opened it. One that was opened before anybody listened
    is older than each request that is looked at: a change stream, say, that goes on for ever.
    """

    _ending: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def note(self, command: Command) -> None:
        """A command that may open a cursor."""
        session = _session(command)
        self._ending.pop(session, None)
        if not _goes_on(command):
            self._ending[session] = None
            if len(self._ending) > MOST_SESSIONS:
                self._ending.popitem(last=False)

    def waits(self, command: Command) -> bool:
        """Whether this ``getMore`` is answered when there are news."""
        return "maxTimeMS" in command or _session(command) not in self._ending


class MongodbEar:
    """See ``Ear``. ``new``: the connection begins here; else it begins between two messages, and has logged in."""

    def __init__(self, cursors: Cursors, *, new: bool) -> None:
        self._cursors = cursors
        self._logged_in = not new
        self._deaf = False
        self._rest = b""
        self._skip = 0

    def hear(self, data: bytes) -> Heard:
        if self._deaf:
            return Heard("", "", True, True)
        self._rest += data
        steps: list[tuple[str, str]] = []
        aside: list[tuple[str, str]] = []
        for message in self._messages():
            text, kind, asks = self._read(message)
            (steps if asks else aside).append((text, kind))
        # A write that is not answered may come with what is sent next, or before it: the step has the same words.
        said = steps or aside
        return Heard("; ".join(text for text, _ in said if text), "; ".join(kind for _, kind in said if kind),
                     not self._rest and not self._skip, bool(steps) or not aside)

    def _messages(self) -> Iterator[_Message]:
        """Whole messages, and the heads of large ones, the rest of which is passed over. Else it stays."""
        while self._rest:
            if self._skip:
                passed = min(self._skip, len(self._rest))
                self._rest, self._skip = self._rest[passed:], self._skip - passed
                continue
            if len(self._rest) < _HEADER.size:
                return
            length, _, _, opcode = _HEADER.unpack_from(self._rest)
            if opcode not in OPCODES or not _HEADER.size <= length <= LONGEST:
                self._deaf, self._rest = True, b""
                return
            if length <= LARGE:
                if len(self._rest) < length:
                    return
                body, self._rest = self._rest[_HEADER.size:length], self._rest[length:]
                yield _Message(opcode, body)
            else:
                if len(self._rest) < min(length, LARGE):
                    return
                self._skip = length
                yield _Message(opcode, self._rest[_HEADER.size:LARGE], whole=False)

    def _read(self, message: _Message) -> tuple[str, str, bool]:
        """Text, kind, and whether it is a step of somebody's request."""
        try:
            command = message.command()
            if not command:
                return "", "", not message.unanswered
            name = next(iter(command))
            if name in GREETINGS:
                self._logged_in = self._logged_in or "speculativeAuthenticate" in command
                return CONNECTING, CONNECTING, False
            if name in LOGINS:
                self._logged_in = True
                return LOGGING_IN, LOGGING_IN, False
            if name in TIDYING or (name == "ping" and not self._logged_in):
                return f"({name})", f"({name})", False
            if name in ("find", "aggregate", "listCollections", "listIndexes"):
                self._cursors.note(command)
            waits = name == "getMore" and self._cursors.waits(command)
            return *_said(command, name, whole=message.whole), not waits and not message.unanswered
        except Exception:  # whatever a target sends: it has no text then
            return "", "", True


@dataclass(frozen=True, slots=True)
class _Message:
    """``whole``: else only the head is here."""

    opcode: int
    body: bytes
    whole: bool = True

    @property
    def unanswered(self) -> bool:
        return self.opcode == OP_MSG and bool(_SIZE.unpack_from(self.body)[0] & MORE_TO_COME)

    def command(self) -> dict[str, Any]:
        """The command, with the documents that were sent beside it; empty for what is none."""
        if self.opcode == OP_QUERY:
            place = self.body.index(b"\0", 4) + 9
            command = self._document(place)
            return dict(command.get("$query", command))
        if self.opcode != OP_MSG:
            return {}
        command, beside = {}, {}
        place, end = 4, len(self.body)
        if self.whole and _SIZE.unpack_from(self.body)[0] & CHECKSUM:
            end -= 4
        while place < end:
            if self.body[place]:
                if not self.whole:
                    break
                name, documents = self._sequence(place + 1)
                beside[name] = documents
            else:
                command = self._document(place + 1)
                if not self.whole:
                    break
            place += 1 + self._size(place + 1)
        return {**command, **beside}

    def _size(self, place: int) -> int:
        """Of what begins there; what claims less than its own size is no message."""
        size: int = _SIZE.unpack_from(self.body, place)[0]
        if size < _SIZE.size:
            raise ValueError("no size")
        return size

    def _document(self, place: int) -> dict[str, Any]:
        """The document that begins there; of one that is not there to its end, the first field, if it is a text."""
        end = place + self._size(place)
        if end <= len(self.body):
            return _decoded(self.body[place:end])
        kind, (name, _, rest) = self.body[place + 4], self.body[place + 5:].partition(b"\0")
        value = rest[4:3 + _SIZE.unpack_from(rest)[0]].decode() if kind == 2 else 1
        return {name.decode(): value}

    def _sequence(self, place: int) -> tuple[str, list[dict[str, Any]]]:
        end = place + self._size(place)
        name, _, _ = self.body[place + 4:end].partition(b"\0")
        place += 4 + len(name) + 1
        documents = []
        while place < end:
            documents.append(self._document(place))
            place += self._size(place)
        return name.decode(), documents


def _said(command: Command, name: str, *, whole: bool) -> tuple[str, str]:
    """The operation's text and kind; with the beginning of its transaction, which MongoDB hears of in no other way."""
    if name in ENDS:
        return f"{ENDS[name]}()", ENDS[name]
    on = command[name] if isinstance(command[name], str) else ""
    if name in SECRET:
        text = kind = f"db.{name}"
        text += "(…)"
    elif not whole:
        kind = f"db.{on}.{name}" if on else f"db.runCommand({name})"
        text = f"db.{on}.{name}(…)" if on else f"db.runCommand({{ {name}: … }})"
    else:
        lines = _lines(command, name, on)
        text = "; ".join([*lines[:MOST_OPERATIONS], *(["…"] if len(lines) > MOST_OPERATIONS else [])])
        kind = "; ".join(dict.fromkeys(_kind(line, name) for line in lines))
    if command.get("startTransaction"):
        return f"{BEGINS}(); {text}", f"{BEGINS}; {kind}"
    return text, kind


def _lines(command: Command, name: str, on: str) -> list[str]:
    """As the trace shows them: each change of an update for itself."""
    from orchestrator.services.mongodb.evidence.profile import ProfiledOperation
    from orchestrator.services.mongodb.notation import line

    parts: Sequence[Command] = [command]
    if name in ("update", "delete"):
        parts = command.get(SEQUENCES[name], ())
    elif name == "getMore":
        on = str(command.get("collection", ""))
    changed = len(command.get("documents", ())) if name == "insert" else 0
    return [line(ProfiledOperation(name, on, part, changed=changed)) for part in parts]


def _kind(line: str, name: str) -> str:
    call = line.partition("(")[0]
    return f"{call}({name})" if call == "db.runCommand" else call


def _session(command: Command) -> bytes:
    """The bytes of its id; one for all that say none."""
    found = command.get("lsid")
    return bytes(found["id"]) if isinstance(found, Mapping) and isinstance(found.get("id"), bytes) else b""


def _goes_on(command: Command) -> bool:
    """Whether its cursor has no last document: a change stream, or the end of a capped collection."""
    stages: Sequence[Command] = command.get("pipeline") or ({},)
    return bool(command.get("tailable")) or "$changeStream" in stages[0]


def _decoded(data: bytes) -> dict[str, Any]:
    import bson

    return bson.decode(data, _options())


@functools.cache
def _options() -> Any:
    """Whatever a document has in it can be shown: a time before year 1, letters that are none."""
    from bson.codec_options import CodecOptions, DatetimeConversion

    return CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO, tz_aware=True,
                        unicode_decode_error_handler="replace")
