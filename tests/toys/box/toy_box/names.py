"""Names in checks that use the box: its keys."""

from __future__ import annotations

from orchestrator.services.parts import Names, Takes

NAMES = Names(methods=dict.fromkeys(("get", "plant"), (Takes("key", 0),)))
