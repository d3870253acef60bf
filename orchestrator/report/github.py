"""A report for GitHub Actions: annotations for the run's page, and a summary in Markdown."""

from __future__ import annotations

from orchestrator.model import Verdict
from orchestrator.report.markdown import code, text
from orchestrator.report.result import BLAMED, CheckResult, MilestoneResult, Report
from orchestrator.report.terminal import MARKS, MEANING, summary
from orchestrator.system.text import escape

WARNINGS = (Verdict.ERROR, Verdict.UNJUDGED)


def render(report: Report) -> str:
    """``::error title=...::...`` for what the server did wrong, ``::warning`` for what could not be judged."""
    lines = []
    for milestone in report.milestones:
        if milestone.role == "later" or milestone.verdict not in (*BLAMED, *WARNINGS):
            continue
        kind = "error" if milestone.verdict in BLAMED else "warning"
        told = [check for check in milestone.checks if check.verdict is milestone.verdict]
        messages = [_sentence(check) for check in told] or [milestone.message or MEANING.get(milestone.verdict, "")]
        lines += [f"::{kind} title={_property(f'{milestone.id} ({milestone.reason})')}::{_data(message)}"
                  for message in messages]
    return "\n".join([*lines, _data(summary(report))])


def markdown(report: Report) -> str:
    """For ``$GITHUB_STEP_SUMMARY``. Everything foreign is shown as it is: no markup, no HTML, no mention."""
    ran = [one for one in report.milestones if one.role != "later"]
    passed = sum(one.verdict is Verdict.PASS for one in ran)
    lines = [f"## {text(report.lab)}: {passed} of {len(ran)} milestones passed", "",
             "| | milestone | what it asks | seconds |", "|---|---|---|---|"]
    lines += [f"| {MARKS[one.verdict][0]} | {text(one.id)} | {text(one.title)} | {sum(one.phases.values()):.1f} |"
              for one in ran]
    for milestone in ran:
        lines += _details(milestone)
    products = ", ".join(str(product) for product in report.products.values())
    lines += ["", text(" · ".join(
        part for part in (products, report.engine, f"seed {report.seed}", report.isolation) if part)), "",
              f"    labs check --all --seed {report.seed}"]
    return "\n".join(lines) + "\n"


def _details(milestone: MilestoneResult) -> list[str]:
    lines = ["", f"### {text(milestone.id)}: {MARKS[milestone.verdict][0]}", ""]
    if milestone.message:
        lines += [text(milestone.message.splitlines()[0]), ""]
    for check in milestone.checks:
        lines.append(f"- {MARKS[check.verdict][0]}: {text(check.title)}")
        told = check.evidence if check.verdict is Verdict.PASS else (_sentence(check),)
        lines += [f"  - {code(line)}" for line in told]
    return lines


def _sentence(check: CheckResult) -> str:
    parts = [check.what or check.title]
    parts += [f"{name} {value}" for name, value in (("expected", check.expected), ("seen", check.seen)) if value]
    return "; ".join(parts)


def _data(message: str) -> str:
    """A workflow command's message; a server's text cannot begin a command of its own."""
    return "\n".join(_escaped(line) for line in message.splitlines()[:1]) + "".join(
        "%0A" + _escaped(line) for line in message.splitlines()[1:])


def _property(value: str) -> str:
    return _escaped(value).replace(":", "%3A").replace(",", "%2C")


def _escaped(line: str) -> str:
    return escape(line).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
