"""How MongoDB's own words are read: which operations are the same, and where a password stands in them."""

from __future__ import annotations

import re

from orchestrator.services.parts import Sight

_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'?|(?<![\w$])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w$])")
_MADE = re.compile(r"\b(?:ObjectId|ISODate|UUID|BinData|Decimal128)\((?:\?(?:, )?)*\)?")
_KEY = re.compile(r"'[^'\\]+'(?=: )")
_LIST = re.compile(r"\[ \?(?:, \?)*(?: \])?")
_CUT = "\x00"


def shape(text: str) -> str:
    """A line of ``mongosh`` without values and the lengths of lists: ``db.pages.find({ slug: ? }).limit(?)``.

    Quoted names of fields (``'a.b'``) are no values, and the name in ``distinct('slug')`` is taken for one.
    """
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"{_CUT}{len(kept) - 1}{_CUT}"

    text = _KEY.sub(keep, text)
    text = re.sub(rf"{_CUT}(\d+){_CUT}|{_VALUE.pattern}", lambda found: kept[int(found[1])] if found[1] else "?", text)
    return _LIST.sub("[ ? ]", _MADE.sub("?", text))


SIGHT = Sight(
    entry="operation",
    entries="operations",
    legend="profiler: MongoDB's own record of each operation.",
    shape=shape,
    secrets=(
        # A user's password in a command, as people and logs write it, and what MongoDB keeps of it.
        r"\bpwd['\"]?\s{0,5}:\s{0,5}['\"](?P<secret>[^'\"\n]+)['\"]",
        r"\b(?:storedKey|serverKey)['\"]?\s{0,5}:\s{0,5}['\"](?P<secret>[\w+/=]+)",
        # The text of the key file, which opens everything.
        r"\bLABS_MONGO(?:DB)?_KEY['\"]?\s{0,5}[:=]\s{0,5}['\"]?(?P<secret>[\w+/=]+)",
    ),
    secret_names=("pwd",),
)
