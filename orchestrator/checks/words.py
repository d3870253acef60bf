"""Text for messages: short, on one line, and without a character that a terminal would obey."""

from __future__ import annotations

SHOWN = 400
HEAD, TAIL = 280, 100


def short(text: str) -> str:
    """At most 400 characters, the middle left out; what cannot be printed as its escape (``\\x1b``, ``\\n``)."""
    return _cut(escaped(_cut(text)))


def escaped(text: str) -> str:
    """Control characters, lone surrogates and the like as Python's escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:HEAD]} ... {text[-TAIL:]}"
