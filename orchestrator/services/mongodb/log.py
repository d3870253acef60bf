"""MongoDB's log as people read it: its lines are JSON, and most of them are about connections."""

from __future__ import annotations

import json
from collections.abc import Iterable

_NOISE = frozenset({51803, 51800, 22943, 22944, 20250, 5286306, 5286307, 6788604, 6788700, 10483900})
"""Messages by number: each operation that is recorded, who connects, who logs in."""


def readable(lines: Iterable[str]) -> list[str]:
    """``2026-11-29T02:17:47.010+00:00 W STORAGE what happened {...}``, without noise; what is no JSON as it is."""
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
            if entry["id"] in _NOISE and entry["s"] == "I":
                continue
            attributes = f" {json.dumps(entry['attr'], ensure_ascii=False)}" if entry.get("attr") else ""
            found.append(f"{entry['t']['$date']} {entry['s']} {entry['c']} {entry['msg']}{attributes}")
        except (ValueError, TypeError, KeyError):
            found.append(line)
    return found
