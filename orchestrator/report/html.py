"""A report as one page."""

from __future__ import annotations

from collections import Counter

from orchestrator.model import Verdict
from orchestrator.report.page import page, text
from orchestrator.report.result import CheckResult, MilestoneResult, Report
from orchestrator.report.terminal import MARKS, MEANING

STYLE = """
details{border:1px solid var(--edge);border-radius:8px;background:var(--card);margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer;display:flex;gap:.8rem;flex-wrap:wrap;align-items:baseline}
summary b{min-width:5em}summary .title{flex:1 1 14rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem;margin:.3rem 0}dt{color:var(--soft)}dd{margin:0}
ul{list-style:none;margin:.3rem 0;padding:0}li{border-top:1px solid var(--edge);padding:.4rem 0}
pre{white-space:pre-wrap;border:1px solid var(--edge);border-radius:6px;padding:.5rem;background:var(--paper)}
"""
CLASSES = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.TIMEOUT: "bad", Verdict.INVALID: "bad"}


def render(report: Report) -> str:
    """The page: how many passed, each milestone with its checks, evidence and logs, and how to repeat the run."""
    ran = [one for one in report.milestones if one.role != "later"]
    counts = Counter(str(one.verdict) for one in ran)
    facts = {
        "lab": f"{report.lab} {report.lab_version} {report.lab_commit[:12]}".strip(),
        "services": ", ".join(str(product) for product in report.products.values()),
        "engine": f"{report.engine} ({report.engine_reason})",
        "isolation": report.isolation,
        "when": f"{report.started_at}, {report.seconds:.1f} s",
        "again": f"labs check --all --seed {report.seed}",
    }
    head = (f"<h1>{text(report.lab)}: {counts['pass']} of {len(ran)} milestones passed</h1>\n"
            f"<p class=soft>{text(', '.join(f'{count} {verdict}' for verdict, count in counts.items()))}</p>\n"
            f"{_facts(facts)}\n")
    body = "\n".join(_milestone(one) for one in report.milestones)
    return page(f"labs: {report.lab}", head + body, style=STYLE)


def _milestone(milestone: MilestoneResult) -> str:
    if milestone.role == "later":
        return (f"<details><summary><b class=soft>later</b><code>{text(milestone.id)}</code>"
                f"<span class=title>{text(milestone.title)}</span></summary><p>Not judged in this run.</p></details>")
    word = MARKS[milestone.verdict][0]
    opened = "" if milestone.verdict in (Verdict.PASS, Verdict.BLOCKED) else " open"
    parts = [f"<p>{text(line)}</p>" for line in (milestone.message or MEANING.get(milestone.verdict, "")).splitlines()]
    if milestone.checks:
        parts.append("<ul>" + "".join(_check(check) for check in milestone.checks) + "</ul>")
    if milestone.verdict is not Verdict.PASS:
        logs = {"your server": milestone.server_log, **milestone.service_logs}
        parts += [f"<p class=soft>the last lines of {text(name)}</p><pre>{_lines(log)}</pre>"
                  for name, log in logs.items() if log.strip()]
    seconds = f"<span class=soft>{sum(milestone.phases.values()):.1f} s</span>" if milestone.phases else ""
    return (f'<details{opened}><summary><b class={CLASSES.get(milestone.verdict, "warn")}>{text(word)}</b>'
            f"<code>{text(milestone.id)}</code><span class=title>{text(milestone.title)}</span>{seconds}</summary>"
            f"{''.join(parts)}</details>")


def _check(check: CheckResult) -> str:
    word = MARKS[check.verdict][0]
    head = f'<b class={CLASSES.get(check.verdict, "warn")}>{text(word)}</b> {text(check.title)}'
    if check.verdict is Verdict.PASS:
        seen = "".join(f"<br><span class=soft>saw {text(line)}</span>" for line in check.evidence)
        return f"<li>{head}{seen}</li>"
    facts = {"looked at": check.what, "expected": check.expected, "seen": check.seen, "reason": check.reason,
             "where": check.where}
    if check.exchange is not None:
        status = "no answer" if check.exchange.status is None else str(check.exchange.status)
        facts |= {"by hand": check.exchange.curl, "answered": f"{status} {check.exchange.response}"}
    return f"<li>{head}{_facts({name: value for name, value in facts.items() if value})}</li>"


def _facts(facts: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{text(name)}</dt><dd><code>{text(value)}</code></dd>"
                            for name, value in facts.items()) + "</dl>"


def _lines(log: str) -> str:
    return "\n".join(text(line) for line in log.splitlines())
