"""How the box's own words are read."""

from __future__ import annotations

import re

from orchestrator.services.parts import Sight


def shape(text: str) -> str:
    """A command and its key without what differs from one to the next: ``SET box.?``."""
    word, _, rest = text.partition(" ")
    return f"{word} {re.sub('[0-9a-f]{8}', '?', rest.partition(' ')[0])}".strip()


SIGHT = Sight(entry="command", entries="commands", legend="log: what the box wrote down.", shape=shape,
              secrets=(r"AUTH \S+ (?P<secret>\S+)",))
