"""A report as JSON and back."""

from __future__ import annotations

import json

import pytest
from support.reports import report

from orchestrator.report.json import from_data, to_data


def test_a_report_survives_the_trip_through_json() -> None:
    """Every verdict, nested values and all."""
    original = report()

    assert from_data(json.loads(json.dumps(to_data(original)))) == original


def test_keys_of_a_newer_labs_are_left_out() -> None:
    data = to_data(report())
    data["milestones"][0]["mood"] = "good"

    assert from_data(data) == report()


@pytest.mark.parametrize("data", [None, [], {}, {"report": 2}, {"report": 1}, {"report": 1, "milestones": [{}]},
                                  {**to_data(report()), "products": 7}])
def test_anything_else_is_no_report(data: object) -> None:
    with pytest.raises(ValueError, match="report"):
        from_data(data)
