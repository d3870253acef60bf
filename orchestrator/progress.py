"""The learner's history: which milestones passed, for which content. In ``.labs/`` of the workspace; never a proof."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Verdict
from orchestrator.report.model import Report
from orchestrator.state import read_json, write_json


def read_progress(folder: Path) -> dict[str, str]:
    """Milestone id -> content key for which it passed last. A lost or torn file is an empty history."""
    value = read_json(_path(folder))
    passed = value.get("passed") if isinstance(value, dict) else None
    if not isinstance(passed, dict):
        return {}
    return {key: str(entry.get("content", "")) for key, entry in passed.items() if isinstance(entry, dict)}


def record_progress(folder: Path, report: Report, content: str) -> bool:
    """Note what passed and forget what no longer does; ``False`` if the folder cannot be written."""
    value = read_json(_path(folder))
    old = value.get("passed") if isinstance(value, dict) else None
    passed: dict[str, Mapping[str, str]] = dict(old) if isinstance(old, dict) else {}
    for milestone in report.milestones:
        if milestone.role == "later":
            continue
        if milestone.verdict is Verdict.PASS:
            passed[milestone.id] = {"content": content, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        elif milestone.verdict in (Verdict.FAIL, Verdict.TIMEOUT, Verdict.INVALID) and milestone.id in passed:
            # It stays in the regression set: once passed, it is judged again each time. Only its content is stale.
            passed[milestone.id] = {**passed[milestone.id], "content": ""}
    try:
        write_json(_path(folder), {"v": 1, "lab": report.lab, "passed": passed})
    except EnvironmentFault:
        return False
    return True


def _path(folder: Path) -> Path:
    return folder / ".labs" / "progress.json"
