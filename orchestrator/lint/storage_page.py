"""What ``storage.md``, which binds the learner, names.

Named is what stands in ``storage.md`` in backticks or in a block of code; in tables without backticks every word of
them; in a page with none of these every word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.lint.check_files import HOLE

FILE = "storage.md"
OWN_KEYS = "labs-"
"""Keys that begin so are the checker's own."""


@dataclass(frozen=True)
class StorageContract:
    """What ``storage.md`` names: words, and the beginnings of keys that have a variable part (``hold:``)."""

    words: frozenset[str]
    keys: frozenset[str]
    beginnings: tuple[str, ...]

    def has_key(self, key: str) -> bool:
        """Whether a key, or its known beginning (then it ends with ``HOLE``), is named."""
        fixed = re.split(rf"[{HOLE}*?\[]", key, maxsplit=1)[0]
        if not fixed or fixed.startswith(OWN_KEYS) or key in self.keys:
            return True
        if any(fixed.startswith(beginning) for beginning in self.beginnings):
            return True
        # A beginning that is itself cut short: the rest may be anything that is named.
        return fixed != key and any(one.startswith(fixed) for one in (*self.beginnings, *self.keys))

    def has_words(self, name: str) -> bool:
        """Whether all words of a name are named: the parts of a path (``buyer.name``), without places in lists."""
        return all(word.isdigit() or word in self.words for word in re.findall(r"\w+", name.lower()))


def read_contract(text: str) -> StorageContract:
    """What a ``storage.md`` names."""
    blocks = re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\s*\|.*$", text, re.MULTILINE)
    spans = re.findall(r"(`+)(.+?)\1", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    plain_rows = [] if any("`" in row for row in rows) else rows
    named = [*blocks, *plain_rows, *(span for _, span in spans)] or [text]
    tokens = {token for part in named for token in re.findall(r"[^\s`|,;()]+", part)}
    variable = {re.split(r"[{<*\[]|\$\{", token, maxsplit=1)[0] for token in tokens if re.search(r"[{<*\[]", token)}
    return StorageContract(
        frozenset(word.lower() for part in named for word in re.findall(r"\w+", part)),
        frozenset(tokens),
        tuple(sorted(variable - {""})),
    )
