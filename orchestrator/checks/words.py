"""Text for messages: short, on one line, and without a character that a terminal would obey."""

from __future__ import annotations

import json
from decimal import Decimal

SHOWN = 400
HEAD, TAIL = 280, 100


def short(text: str) -> str:
    """At most 400 characters, the middle left out; what cannot be printed as its escape (``\\x1b``, ``\\n``)."""
    return _cut(escaped(_cut(text)))


def shown(value: object) -> str:
    """A value for somebody who may not know Python: as JSON, where JSON has it."""
    if value is None:
        return "nothing (null)"
    try:
        return json.dumps(value, ensure_ascii=False, default=_as_json)
    except (TypeError, ValueError):  # keys that JSON does not have, a value that holds itself
        return repr(value)


def _as_json(value: object) -> object:
    """What JSON has instead: a number of a database stays one, a time or an id is text."""
    return float(value) if isinstance(value, Decimal) else str(value)


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
