"""A report as JUnit XML, the form that CI systems read: a suite for each milestone, a case for each check."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from orchestrator.model import Verdict
from orchestrator.report.result import BLAMED, CheckResult, MilestoneResult, Report
from orchestrator.report.terminal import MEANING
from orchestrator.system.text import escape

SKIPPED = (Verdict.BLOCKED, Verdict.UNJUDGED)


def render(report: Report) -> str:
    """The document. Characters that XML cannot hold are written out (``\\x1b``)."""
    root = ET.Element("testsuites", name=f"labs {report.lab}", time=f"{report.seconds:.3f}")
    for milestone in report.milestones:
        root.append(_suite(report, milestone))
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(report: Report, milestone: MilestoneResult) -> ET.Element:
    suite = ET.Element("testsuite", name=milestone.id, timestamp=report.started_at,
                       time=f"{sum(milestone.phases.values()):.3f}")
    properties = ET.SubElement(suite, "properties")
    facts = {"seed": str(report.seed), "lab": f"{report.lab} {report.lab_version}", "labs": report.labs_version,
             "engine": report.engine, "isolation": report.isolation,
             **{name: str(product) for name, product in report.products.items()}}
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=_text(name), value=_text(value))
    # What went wrong before any check, or beside them, must be seen, too.
    checks_tell = any(check.verdict is milestone.verdict for check in milestone.checks)
    if milestone.role == "later":
        _case(suite, milestone, milestone.title, Verdict.BLOCKED, "later", "not judged in this run")
    elif not checks_tell:
        message = milestone.message or MEANING.get(milestone.verdict, "")
        _case(suite, milestone, milestone.title, milestone.verdict, milestone.reason, message)
    for check in milestone.checks:
        _check(suite, milestone, check)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    if milestone.verdict is not Verdict.PASS and milestone.server_log.strip():
        ET.SubElement(suite, "system-out").text = _text(milestone.server_log)
    return suite


def _check(suite: ET.Element, milestone: MilestoneResult, check: CheckResult) -> None:
    facts = {"expected": check.expected, "seen": check.seen, "where": check.where}
    told = [check.what, *(f"{name}: {value}" for name, value in facts.items() if value)]
    if check.exchange is not None:
        told.append(f"by hand: {check.exchange.curl}")
    case = _case(suite, milestone, check.title, check.verdict, check.reason, "\n".join(filter(None, told)))
    case.set("time", f"{check.seconds:.3f}")
    if check.evidence:
        ET.SubElement(case, "system-out").text = _text("\n".join(check.evidence))


def _case(suite: ET.Element, milestone: MilestoneResult, name: str, verdict: Verdict, reason: str,
          message: str) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=_text(milestone.id), name=_text(name), time="0.000")
    first = message.splitlines()[0] if message else reason
    if verdict in BLAMED:
        ET.SubElement(case, "failure", type=_text(reason or str(verdict)), message=_text(first)).text = _text(message)
    elif verdict is Verdict.ERROR:
        ET.SubElement(case, "error", type=_text(reason or "error"), message=_text(first)).text = _text(message)
    elif verdict in SKIPPED:
        ET.SubElement(case, "skipped", message=_text(first))
    return case


def _text(text: str) -> str:
    """Without characters that XML 1.0 does not allow; line ends stay."""
    lines = (escape(line) for line in re.split(r"\r\n|\r|\n", text))
    return "\n".join(lines).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
