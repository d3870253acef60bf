"""A report as one page: ``report.html``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from orchestrator.model import Verdict
from orchestrator.report.page import page
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.terminal import MARKS, MEANING, logs_until

COLOURS = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.TIMEOUT: "bad", Verdict.INVALID: "bad"}


def render(report: Report) -> str:
    """The page: how many passed, each milestone with its checks, evidence and logs, and how to repeat the run."""
    ran = [one for one in report.milestones if one.role != "later"]
    counts = Counter(str(one.verdict) for one in ran)
    about = {
        "lab": f"{report.lab} {report.lab_version} {report.lab_commit[:12]}".strip(),
        "services": ", ".join(str(product) for product in report.products.values()) or "none",
        "engine": f"{report.engine} ({report.engine_reason})",
        "isolation": report.isolation,
        "when": f"{report.started_at}, {report.seconds:.1f} s",
        "again": f"labs check --all --seed {report.seed}",
    }
    return page(
        "report.html", title=f"labs: {report.lab}", lab=report.lab, passed=counts["pass"], ran=len(ran),
        counts=", ".join(f"{count} {verdict}" for verdict, count in counts.items()), about=about.items(),
        milestones=[_milestone(one) for one in report.milestones])


def _milestone(milestone: MilestoneResult) -> dict[str, Any]:
    if milestone.role == "later":
        return {"id": milestone.id, "title": milestone.title, "word": "later", "colour": "soft", "open": False,
                "seconds": None, "lines": ["Not judged in this run."], "checks": (), "logs": ()}
    logs = {"your server": milestone.server_log, **milestone.service_logs}
    return {
        "id": milestone.id, "title": milestone.title, "word": MARKS[milestone.verdict][0],
        "colour": COLOURS.get(milestone.verdict, "warn"),
        "open": milestone.verdict not in (Verdict.PASS, Verdict.BLOCKED),
        "seconds": sum(milestone.phases.values()) if milestone.phases else None,
        "lines": (milestone.message or MEANING.get(milestone.verdict, "")).splitlines(),
        "checks": [_check(check) for check in milestone.checks],
        "logs": [(f"{name}{logs_until(milestone)}", log.splitlines()) for name, log in logs.items()
                 if log.strip() and milestone.verdict is not Verdict.PASS],
    }


def _check(check: CheckResult) -> dict[str, Any]:
    good = check.verdict is Verdict.PASS
    facts = {"looked at": check.what, "expected": check.expected, "seen": check.seen, "reason": check.reason,
             "where": check.where}
    if check.exchange is not None:
        status = "no answer" if check.exchange.status is None else str(check.exchange.status)
        facts |= {"by hand": check.exchange.curl, "answered": f"{status} {check.exchange.response}"}
    return {
        "title": check.title, "word": MARKS[check.verdict][0], "colour": COLOURS.get(check.verdict, "warn"),
        "evidence": check.evidence if good else (),
        "facts": [] if good else [(name, value) for name, value in facts.items() if value],
    }
