"""Which tables a statement of a check names."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"#[^\n]*|--(?=\s|\Z)[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""
    r"|`(?P<quoted>(?:[^`]|``)*)`|(?P<word>[^\W\d][\w$]*)|.", re.DOTALL)
_BEFORE = frozenset({"from", "join", "straight_join", "into", "update", "table"})


def relations_in(text: str, database: str) -> Iterator[str]:
    """Names that stand where a table's does, also behind ``database.``, as they are written: MySQL tells tables ``a``
    and ``A`` apart on Linux."""
    expected = False
    for token in _TOKEN.finditer(text):
        name = token["word"] if token["quoted"] is None else token["quoted"].replace("``", "`")
        if name is None:
            continue
        if token["word"] is not None and name.lower() in _BEFORE:
            expected = True
        elif expected and name != database:
            yield name
            expected = False
