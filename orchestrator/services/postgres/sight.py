"""How PostgreSQL's own words are read: which statements are the same, and where a password stands in them."""

from __future__ import annotations

import re

from orchestrator.services.parts import Sight

_PARAMETERS = re.compile(r"  \[\$1 = .*\Z", re.DOTALL)
"""As ``record.py`` puts them behind the statement; the end may be cut off."""
_VALUE = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<name>\"(?:[^\"]|\"\")*\")"
    r"|[eEbBxX]?'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|\$?\d+(?:\.\d+)?", re.DOTALL)
_LISTS = (re.compile(r"\?(?:\s*,\s*\?)+"), re.compile(r"\(\?\)(?:\s*,\s*\(\?\))+"))


def shape(text: str) -> str:
    """A statement without values, comments and the lengths of lists: ``SELECT a FROM b WHERE c IN (?)``."""
    text = _VALUE.sub(_without, _PARAMETERS.sub("", text))
    for several, one in zip(_LISTS, ("?", "(?)"), strict=True):
        text = several.sub(one, text)
    return " ".join(text.split())


def _without(found: re.Match[str]) -> str:
    if found["comment"] is not None:
        return " "
    return found[0] if found["name"] is not None else "?"


SIGHT = Sight(
    entry="statement",
    entries="statements",
    legend="log: PostgreSQL's own log.  log+plan: with the plan that it ran.",
    shape=shape,
    secrets=(
        # A line of .pgpass, and what PostgreSQL keeps of a password.
        r"(?m)^[^\s:#]{1,200}:(?:\d{1,5}|\*):[^\s:]{1,200}:[^\s:]{1,200}:(?P<secret>\S+)$",
        r"SCRAM-SHA-256\$(?P<secret>\d{1,9}:[\w+/=]{1,200}\$[\w+/=]{1,200}:[\w+/=]{1,200})",
    ),
)
