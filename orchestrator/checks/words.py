"""Text for messages: short, on one line, and without a character that a terminal would obey."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from decimal import Decimal

SHOWN = 400
HEAD, TAIL = 280, 100
DEEP = 20
"""Levels of lists and objects; what holds itself has no end."""


def short(text: str) -> str:
    """At most 400 characters, the middle left out; what cannot be printed as its escape (``\\x1b``, ``\\n``)."""
    return _cut(escaped(_cut(text)))


def shown(value: object, *, exact: bool = False) -> str:
    """A value for somebody who may not know Python: as JSON. Whole numbers have no fraction, unless it is ``exact``."""
    if value is None:
        return "nothing (null)"
    return json.dumps(_plain(value, exact, 0), ensure_ascii=False)


def said(value: object) -> str:
    """What a check says it expected or saw: a sentence as it is, any other value as JSON."""
    return value if isinstance(value, str) else shown(value)


def _plain(value: object, exact: bool, depth: int) -> object:
    """What JSON has instead: rows are lists, a number of a database stays one, a time or an id is text."""
    if depth > DEEP:
        return "..."
    match value:
        case None | bool() | str() | int():
            return value
        case float() | Decimal():
            whole = math.isfinite(value) and value == int(value) and not exact
            return int(value) if whole else float(value)
        case dict():
            return {key if isinstance(key, str) else said(_plain(key, exact, depth + 1)):
                    _plain(one, exact, depth + 1) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one, exact, depth + 1) for one in value]
        case set() | frozenset():
            return [_plain(one, exact, depth + 1) for one in sorted(value, key=str)]
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode(errors="backslashreplace")
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


def escaped(text: str) -> str:
    """Control characters, lone surrogates and the like as Python's escapes, bytes that are no text as ``\\xac``."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # what ``surrogateescape`` makes of a byte
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape").decode("ascii")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:HEAD]} ... {text[-TAIL:]}"
