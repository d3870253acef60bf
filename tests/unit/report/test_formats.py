"""Every form of a report says the same, and nothing foreign in it becomes part of the form."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from support.html import Elements
from support.reports import exchange, failed, report

from orchestrator.cli.check_command import FORMATS as NAMES
from orchestrator.model import Verdict
from orchestrator.report import github, html, junit
from orchestrator.report.formats import FORMATS
from orchestrator.report.json import to_data
from orchestrator.report.result import MilestoneResult, Report
from orchestrator.report.schema import schema

SCHEMA = Path(__file__).parents[3] / "docs/report.schema.json"
BAD = "<script>x</script> ]]> & \x1b[2J\x00\ufffe\n::error::injected\r\n| cell | `code` @somebody %0A"


def hostile() -> Report:
    """A server that writes into everything it can reach."""
    one = failed(what=BAD, seen=BAD)
    check = dataclasses.replace(one.checks[0], exchange=dataclasses.replace(exchange(BAD), curl=BAD))
    passed = dataclasses.replace(one.checks[1], evidence=(BAD,))
    return report(dataclasses.replace(one, checks=(check, passed), message=BAD, server_log=BAD,
                                      service_logs={"postgres": BAD}))


def test_the_command_and_the_table_know_the_same_formats() -> None:
    assert tuple(FORMATS) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("one", [report(), hostile(), report(failed()), report(interrupted=True)])
def test_no_form_holds_a_control_character(name: str, one: Report) -> None:
    """Whatever reads it, a terminal or a browser, is not steered by it. (JSON writes them out by itself.)"""
    text = FORMATS[name](one)

    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f\ufffe]", text) == [] or name == "json"
    assert text.strip()


def cases(one: Report) -> list[ET.Element]:
    return ET.fromstring(junit.render(one)).findall("testsuite/testcase")


def test_junit_has_a_case_for_each_check_and_each_milestone_without() -> None:
    kinds = {(case.get("classname"), case[0].tag if len(case) else "") for case in cases(report())}

    assert kinds == {
        ("postgres/schema", "system-out"), ("postgres/crud", "failure"), ("postgres/crud", "system-out"),
        ("postgres/pool", "failure"), ("postgres/indexes", "failure"), ("redis/hold", "skipped"),
        ("redis/live", "error"), ("redis/outage", "skipped"), ("redis/counters", "skipped"),
    }


def test_junit_counts_and_names_reasons() -> None:
    root = ET.fromstring(junit.render(report()))

    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "9", "failures": "3", "errors": "1", "skipped": "3"}
    failure = next(case for case in cases(report()) if case.find("failure") is not None).find("failure")
    assert failure is not None
    assert failure.get("type") == "not-stored"
    assert "expected: 1 row" in (failure.text or "")
    assert root.find("testsuite/properties/property[@name='seed']").get("value") == "7"  # type: ignore[union-attr]


def test_junit_of_a_hostile_server_can_be_read() -> None:
    text = "".join(ET.fromstring(junit.render(hostile())).itertext())

    assert "<script>x</script> ]]> &" in text
    assert "\\x1b" in text


def test_github_says_errors_and_warnings() -> None:
    lines = github.render(report()).splitlines()

    assert [line.split("::")[1].split(" title=")[0] for line in lines[:-1]] == [
        "error", "error", "error", "warning", "warning"]
    assert "postgres/crud (not-stored)" in lines[0]
    assert "expected 1 row" in lines[0]


def test_no_server_writes_a_command_for_github() -> None:
    lines = github.render(hostile()).splitlines()

    assert [line for line in lines if line.startswith("::")] == [line for line in lines if "title=postgres/crud" in line]
    assert not any(line.startswith("::error::injected") for line in lines)


def test_githubs_summary_shows_hostile_text_as_text() -> None:
    text = github.markdown(hostile())

    assert "<script>" not in re.sub(r"`+ .*? `+", "", text)
    assert "@somebody" not in re.sub(r"`+ .*? `+", "", text)
    assert "0 of 1 milestones passed" in text


def test_the_page_has_no_element_of_the_servers() -> None:
    found = Elements(html.render(hostile()))

    assert "script" not in found.tags
    assert found.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class", "open"}


def test_the_page_opens_what_failed_and_closes_what_passed() -> None:
    page = html.render(report())

    assert page.count("<details open>") == 5
    assert page.count("<details>") == 3
    for words in ("1 of 7 milestones passed", "PostgreSQL 18.1 (genuine)", "labs check --all --seed 7", "not-stored",
                  "saw PostgreSQL has the 4 tables", "POST /buyers 404"):
        assert words in page


def test_the_published_schema_is_the_one_that_reports_have() -> None:
    """``make schema`` writes it."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema()


@pytest.mark.parametrize("one", [report(), hostile(), report(failed())])
def test_reports_are_as_the_schema_says(one: Report) -> None:
    jsonschema.validate(json.loads(json.dumps(to_data(one))), schema())


@pytest.mark.parametrize("change", [{"seed": "7"}, {"exit_code": 4}, {"report": 2},
                                    {"milestones": [{"id": "a"}]}, {"products": {"a": "b"}}])
def test_the_schema_refuses_what_is_no_report(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**to_data(report()), **change}, schema())


def test_a_milestone_that_failed_beside_its_checks_is_seen() -> None:
    """All checks passed, and the server died: the milestone's own case says so."""
    alone = MilestoneResult("a/b", "B", Verdict.ERROR, "asked", checks=report().milestones[0].checks, reason="bug",
                            message="the checks ended early")

    assert [case[0].tag for case in cases(report(alone))] == ["error", "system-out"]
