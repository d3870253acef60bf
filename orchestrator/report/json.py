"""A report as JSON, version 1: for CI, graders, and the learner's own history; and back from JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from orchestrator.model import Fidelity, Product, Verdict
from orchestrator.report.result import REPORT_VERSION, CheckResult, Exchange, MilestoneResult, Report
from orchestrator.system.shapes import fields_of


def to_data(report: Report) -> dict[str, Any]:
    """The report as plain JSON values; ``report`` is the version of this shape."""
    data: dict[str, Any] = {"report": REPORT_VERSION, **dataclasses.asdict(report)}
    data["exit_code"] = report.exit_code
    return data


def from_data(data: object) -> Report:
    """The report of ``to_data``'s values, also after a trip through JSON; ``ValueError`` for anything else.

    Unknown keys are left out, so that an older `labs` reads a newer report of the same version.
    """
    try:
        if not isinstance(data, Mapping) or data["report"] != REPORT_VERSION:
            raise ValueError(f"its version is not {REPORT_VERSION}")
        return Report(**{
            **fields_of(Report, data),
            "products": {name: Product(**{**fields_of(Product, one), "fidelity": Fidelity(one["fidelity"])})
                         for name, one in data["products"].items()},
            "milestones": tuple(milestone_from_data(one) for one in data["milestones"]),
        })
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a report: {error}") from error


def milestone_from_data(data: Mapping[str, Any]) -> MilestoneResult:
    """One milestone of a report, of ``to_data``'s values."""
    return MilestoneResult(**{
        **fields_of(MilestoneResult, data),
        "verdict": Verdict(data["verdict"]),
        "checks": tuple(_check(one) for one in data["checks"]),
    })


def _check(data: Mapping[str, Any]) -> CheckResult:
    exchange = data.get("exchange")
    return CheckResult(**{
        **fields_of(CheckResult, data),
        "verdict": Verdict(data["verdict"]),
        "evidence": tuple(data["evidence"]),
        "exchange": Exchange(**fields_of(Exchange, exchange)) if exchange is not None else None,
    })
