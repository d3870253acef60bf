"""A verdict in the terminal: each cause is told once."""

from __future__ import annotations

import dataclasses

from support.reports import failed

from orchestrator.report.terminal import what_was_found


def test_one_cause_of_several_failures_is_told_once() -> None:
    """What a check says word for word as one before it is as above, under its own title and reason."""
    milestone = failed()
    first, passed = milestone.checks
    again = dataclasses.replace(first, title="Rows stay.", where="checks/conftest.py:53")
    other = dataclasses.replace(first, title="Rows go.", expected="no row")

    lines = what_was_found(dataclasses.replace(milestone, checks=(first, again, other, passed)))

    assert sum("I looked at the row of buyer 1" in line for line in lines) == 2
    place = lines.index("  FAIL  Rows stay.")
    assert lines[place + 1:place + 3] == ["        as above  not-stored   (checks/conftest.py:53)", "  FAIL  Rows go."]
