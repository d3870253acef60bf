"""Names in checks that use the file: none; its reader asks for what storage.md says itself."""

from __future__ import annotations

from orchestrator.services.parts import Names

NAMES = Names(reasons={"schema-missing-table": "the file has no such table"})
