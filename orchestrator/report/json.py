"""A report as JSON, version 1: for CI, graders, and the learner's own history."""

from __future__ import annotations

import dataclasses
from typing import Any

from orchestrator.report.model import REPORT_VERSION, Report


def to_data(report: Report) -> dict[str, Any]:
    """The report as plain JSON values; ``report`` is the version of this shape."""
    data: dict[str, Any] = {"report": REPORT_VERSION, **dataclasses.asdict(report)}
    data["exit_code"] = report.exit_code
    return data
