"""The forms in which a report can be had, by the names of ``labs check --format``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from orchestrator.report import github, html, junit, terminal
from orchestrator.report.json import to_data
from orchestrator.report.result import Report

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "terminal": terminal.render,
    "json": lambda report: json.dumps(to_data(report), indent=2, ensure_ascii=False) + "\n",
    "junit": junit.render,
    "github": github.render,
    "html": html.render,
}
