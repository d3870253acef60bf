"""The small part of ``mongosh``'s language that `labs` reads itself: a chain of calls with literal arguments.

Literals are those of JavaScript (names without quotes, quotes of both kinds, a comma too many, regular expressions),
the shell's values (``ObjectId('...')``, ``ISODate('...')``, ...) and MongoDB's extended JSON (``{"$oid": "..."}``).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import UsageError

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_PATTERN = re.compile(r"/((?:[^/\\\n]|\\.)+)/([imsx]*)")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "0": "\0"}
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_WORDS = {"true": True, "false": False, "null": None, "undefined": None, "Infinity": float("inf"), "NaN": float("nan")}
_EXTENDED = frozenset({"$oid", "$date", "$numberLong", "$numberDecimal", "$numberInt", "$uuid"})
DEEPEST = 50


@dataclass(frozen=True, slots=True)
class ShellCall:
    """A call with its arguments; the methods give one of them as what it must be, or refuse it."""

    name: str
    arguments: tuple[Any, ...]

    def document(self, place: int) -> dict[str, Any]:
        """Empty where there is none."""
        found: dict[str, Any] = self._of(place, dict, "a document in braces", {})
        return found

    def documents(self, place: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._of(place, list, "a list of documents", None)
        if not all(isinstance(one, dict) for one in found):
            raise self._wrong(place, "a list of documents")
        return found

    def change(self, place: int) -> Any:
        """A document, or a list of stages."""
        return self._of(place, (dict, list), "a document in braces", None)

    def text(self, place: int) -> str:
        return str(self._of(place, str, "a text in quotes", None))

    def number(self, place: int) -> int:
        return int(self._of(place, int, "a whole number", None))

    def options(self, place: int, known: Sequence[str]) -> dict[str, Any]:
        """Options by name. One that is not understood is refused: left out, it would change what is done."""
        found = self.document(place)
        for name in found:
            if name not in known:
                raise _refused(f"the option {name} of {self.name} is not understood here")
        return found

    def _of(self, place: int, kind: Any, wanted: str, without: Any) -> Any:
        if place >= len(self.arguments) and without is not None:
            return without
        if place >= len(self.arguments) or not isinstance(self.arguments[place], kind):
            raise self._wrong(place, wanted)
        return self.arguments[place]

    def _wrong(self, place: int, wanted: str) -> UsageError:
        return _refused(f"argument {place + 1} of {self.name} must be {wanted}")


@dataclass(frozen=True, slots=True)
class ShellStatement:
    """Calls on a collection, or on the database (``collection`` is ``None``), each on the answer of the one before."""

    collection: str | None
    calls: tuple[ShellCall, ...]


def parse(text: str) -> ShellStatement:
    """One statement. ``UsageError`` with the place where it is not understood."""
    stripped = text.strip().rstrip(";").strip()
    if not stripped:
        raise _refused("there is no statement to run")
    if re.fullmatch(r"show\s+(collections|tables)", stripped):
        return ShellStatement(None, (ShellCall("getCollectionNames", ()),))
    reader = _Reader(stripped)
    if stripped.startswith("{"):
        command = reader.value()
        reader.end()
        return ShellStatement(None, (ShellCall("runCommand", (command,)),))
    return reader.statement()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def statement(self) -> ShellStatement:
        if self._match(_NAME) != "db":
            self._at = 0
            raise self._wrong("a statement begins with `db.`, `show collections` or `{`")
        names, calls = [], []
        while self._take("."):
            name = self._match(_NAME)
            if name is None:
                raise self._wrong("a name is missing")
            if self._take("("):
                calls.append(ShellCall(name, tuple(self._list(")"))))
            elif calls:
                raise self._wrong(f"{name} is not called")
            else:
                names.append(name)
        # For a collection whose name is not one of the language's.
        if calls and calls[0].name == "getCollection" and not names and len(calls) > 1:
            names, calls = [calls[0].text(0)], calls[1:]
        self.end()
        if not calls:
            raise self._wrong("nothing is called")
        return ShellStatement(".".join(names) or None, tuple(calls))

    def end(self) -> None:
        if self._skipped() < len(self._text):
            raise self._wrong("the statement goes on after its end")

    def value(self) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong("too deep")
        try:
            return self._value()
        finally:
            self._depth -= 1

    def _value(self) -> Any:
        if self._take("{"):
            return self._document()
        if self._take("["):
            return self._list("]")
        if (text := self._string()) is not None:
            return text
        if (number := self._match(_NUMBER)) is not None:
            return float(number) if re.search(r"[.eE]", number) else int(number)
        if found := _PATTERN.match(self._text, self._skipped()):
            self._at = found.end()
            return re.compile(found[1], sum(_FLAGS[flag] for flag in set(found[2])))
        name = self._match(_NAME)
        if name == "new":
            name = self._match(_NAME)
        if name is None:
            raise self._wrong("a value is missing")
        if name in _WORDS:
            return _WORDS[name]
        if not self._take("("):
            raise self._wrong(f"{name} is no value (texts are written in quotes)")
        return self._made(name, self._list(")"))

    def _document(self) -> Any:
        found: dict[str, Any] = {}
        while not self._take("}"):
            key = self._string()
            if key is None:
                key = self._match(_NAME) or self._match(_NUMBER)
            if key is None or not self._take(":"):
                raise self._wrong("a field's name and a colon are missing")
            found[key] = self.value()
            if not self._take(","):
                self._must("}")
                break
        return _extended(found)

    def _list(self, closing: str) -> list[Any]:
        found: list[Any] = []
        while not self._take(closing):
            found.append(self.value())
            if not self._take(","):
                self._must(closing)
                break
        return found

    def _made(self, name: str, arguments: list[Any]) -> Any:
        """The shell's own values."""
        from bson import Binary, Decimal128, Int64, ObjectId
        from bson.errors import BSONError

        first: Any = arguments[0] if arguments else None
        makers: dict[str, Callable[[], Any]] = {
            "ObjectId": lambda: ObjectId(first),
            "ISODate": lambda: _moment(first),
            "Date": lambda: _moment(first),
            "UUID": lambda: Binary.from_uuid(uuid.UUID(str(first))),
            "NumberInt": lambda: int(first), "Int32": lambda: int(first),
            "NumberLong": lambda: Int64(int(first)), "Long": lambda: Int64(int(first)),
            "NumberDecimal": lambda: Decimal128(str(first)), "Decimal128": lambda: Decimal128(str(first)),
            "Double": lambda: float(first),
        }
        if name not in makers:
            raise self._wrong(f"{name}(...) is not understood here")
        try:
            return makers[name]()
        except (TypeError, ValueError, ArithmeticError, BSONError) as error:
            raise self._wrong(f"{name}: {error}") from error

    # --- characters --------------------------------------------------------------------------------------------------

    def _skipped(self) -> int:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _take(self, character: str) -> bool:
        there = self._text.startswith(character, self._skipped())
        self._at += len(character) if there else 0
        return there

    def _must(self, character: str) -> None:
        if not self._take(character):
            raise self._wrong(f"{character} is missing")

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._skipped())
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _string(self) -> str | None:
        found = _STRING.match(self._text, self._skipped())
        if found is None:
            return None
        self._at = found.end()
        inner = found[1] if found[1] is not None else found[2]
        return _ESCAPE.sub(lambda one: chr(int(one[1][1:], 16)) if one[1][0] in "ux" and len(one[1]) > 1
                           else _ESCAPES.get(one[1], one[1]), inner)

    def _wrong(self, what: str) -> UsageError:
        return _refused(f"{what}, at: {self._text[self._at:self._at + 30] or 'the end'}")


def _extended(found: dict[str, Any]) -> Any:
    """A value of MongoDB's extended JSON, or the document as it is."""
    from bson import json_util

    if len(found) == 1 and next(iter(found)) in _EXTENDED:
        try:
            return json_util.loads(json.dumps(found))
        except (TypeError, ValueError) as error:
            raise _refused(f"{next(iter(found))}: {error}") from error
    return found


def _moment(value: Any) -> datetime:
    if value is None:
        return datetime.now(UTC)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refused(what: str) -> UsageError:
    return UsageError(what, code="statement-refused", hint="labs connect mongodb -c \"db.NAME.find({})\"")
