"""A report for people: the next milestone in detail, passed ones a line each, the rest a line each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from orchestrator.model import Verdict
from orchestrator.report.result import BLAMED, CheckResult, MilestoneResult, Report
from orchestrator.system.tail import last_lines
from orchestrator.system.text import escape

Paint = Callable[[str, str], str]

MARKS = {
    Verdict.PASS: ("pass", "green"),
    Verdict.FAIL: ("FAIL", "red"),
    Verdict.TIMEOUT: ("TIMEOUT", "red"),
    Verdict.INVALID: ("INVALID", "red"),
    Verdict.BLOCKED: ("blocked", "yellow"),
    Verdict.ERROR: ("ERROR", "yellow"),
    Verdict.UNJUDGED: ("unjudged", "yellow"),
}
SERVER_LINES, SERVICE_LINES, LINE_WIDTH = 12, 5, 150
AT_STEP = re.compile(r"\(step (\d+) of \d+\)$")
"""How a failure of an exploration ends (``checks/explore.py``)."""
MEANING = {
    Verdict.TIMEOUT: "your server was too slow",
    Verdict.INVALID: "your server could not be built or started",
    Verdict.BLOCKED: "a milestone that it needs has not passed",
    Verdict.ERROR: "this is not your server's fault: a service, a check or this machine failed",
    Verdict.UNJUDGED: "this machine cannot judge it",
}


def plain(text: str, _colour: str) -> str:
    """Paint without colours."""
    return text


def milestone_line(milestone: MilestoneResult, paint: Paint = plain) -> str:
    """``pass  postgres/schema  Your server makes ...  1.2 s``."""
    if milestone.role == "later":
        return f"{paint('later', 'dim'):<8}  {milestone.id:<22}  {milestone.title}"
    word, colour = MARKS[milestone.verdict]
    seconds = sum(milestone.phases.values())
    why = f": {milestone.again}" if milestone.again else ""
    again = f"  (tried {milestone.attempts} times{why})" if milestone.attempts > 1 else ""
    padding = " " * (8 - len(word))
    return f"{paint(word, colour)}{padding}  {milestone.id:<22}  {milestone.title}  {seconds:.1f} s{again}"


def milestone_text(milestone: MilestoneResult, paint: Paint = plain) -> str:
    """One milestone with everything there is to say about it."""
    return "\n".join([milestone_line(milestone, paint), *details(milestone, paint)])


def render(report: Report, *, paint: Paint = plain, told: Collection[str] = ()) -> str:
    """The whole report as text. Everything that came from the learner's server or a service is escaped.

    ``told``: milestones whose details stand above already; of those only the ones that did not pass get a line.
    """
    products = ", ".join(str(product) for product in report.products.values())
    lines = [" · ".join(part for part in (f"{report.lab} {report.lab_version}", products, report.engine) if part)]
    detailed = [m for m in report.milestones if m.role in ("next", "asked") or m.verdict is not Verdict.PASS]
    for milestone in report.milestones:
        if milestone.role == "later" or milestone not in detailed or milestone.id in told:
            continue
        lines += ["", milestone_line(milestone, paint), *details(milestone, paint)]
    above = [m for m in detailed if m.id in told and m.verdict is not Verdict.PASS]
    if above and len(detailed) < sum(m.role != "later" for m in report.milestones):
        lines += ["", *(f"{milestone_line(m, paint)}  (see above)" for m in above)]
    passed = [m for m in report.milestones if m not in detailed and m.role != "later"]
    if passed:
        lines += [""] + [milestone_line(m, paint) for m in passed]
    later = [m for m in report.milestones if m.role == "later"]
    if later:
        lines += ["", "Not judged this time:"] + [f"  {m.id:<22}  {m.title}" for m in later]
    return "\n".join([*lines, "", summary(report, paint)])


def details(milestone: MilestoneResult, paint: Paint = plain) -> list[str]:
    """What stands below a milestone's line: its checks, the last lines of logs, the brief, what to do next."""
    lines = what_was_found(milestone, paint)
    if milestone.verdict in BLAMED:
        helps = [("labs hint", "a hint for this"), ("labs trace", "what the services saw of each request"),
                 (f"labs brief {milestone.id}", "what to build, and what the check looks at")]
        width = max(len(command) for command, _ in helps)
        place = next((found for check in milestone.checks if (found := AT_STEP.search(check.what))), None)
        if place is not None:
            helps.append((f"labs explore {milestone.id} --step {place[1]}", "that step once more, alone"))
        lines += ["", *(f"  {paint(f'{command:<{width}}', 'cyan')}  {about}" for command, about in helps)]
    if milestone.advice:
        lines += ["", f"  {paint('next', 'cyan')}: {milestone.advice}"]
    return lines


def what_was_found(milestone: MilestoneResult, paint: Paint = plain) -> list[str]:
    """Of ``details``: what is the matter, each check, the last lines of logs."""
    lines: list[str] = []
    if milestone.message:
        lines += [f"  {escape(line)}" for line in milestone.message.splitlines()]
    elif milestone.verdict in MEANING:
        lines.append(f"  {MEANING[milestone.verdict]}")
    told: set[tuple[str, str, str]] = set()
    noted = False
    for check in milestone.checks:
        words = (check.reason, check.what, check.expected)
        passing = not noted and words not in told and _was_of_a_moment(check, milestone.checks[-1])
        lines += check_lines(check, paint, again=words in told, passing=passing)
        noted |= passing
        if check.reason:
            told.add(words)
    if milestone.verdict is not Verdict.PASS:
        when = f"{logs_until(milestone)}:"
        if milestone.server_log.strip():
            lines += ["", f"  the last lines of your server's output{when}",
                      *_quoted(milestone.server_log, SERVER_LINES)]
        for service, log in milestone.service_logs.items():
            if log.strip():
                lines += ["", f"  the last lines of {service}'s log{when}", *_quoted(log, SERVICE_LINES)]
    return lines


def logs_until(milestone: MilestoneResult) -> str:
    """Of which moment the last lines of its logs are, if not of the server's end."""
    return " when the first check failed" if milestone.logs_of_failure else ""


def _was_of_a_moment(check: CheckResult, last: CheckResult) -> bool:
    """Whether the check's exchange, repeated later, meets other data: it changed some itself, or later checks did."""
    if check.exchange is None or not check.exchange.curl or check.verdict in (Verdict.PASS, Verdict.UNJUDGED):
        return False
    return check.exchange.method not in ("GET", "HEAD") or check is not last


def check_lines(check: CheckResult, paint: Paint = plain, *, again: bool = False, passing: bool = False) -> list[str]:
    """One check: what it saw, or what was wrong.

    ``again``: one before it said the same, and one cause is told once. ``passing``: its exchange is the first one that
    may be answered otherwise when it is repeated; said once.
    """
    word, colour = MARKS[check.verdict]
    lines = [f"  {paint(word, colour)}  {check.title}"]
    if check.verdict is Verdict.PASS:
        return lines + [f"        {paint('saw', 'dim')}  {escape(line)}" for line in check.evidence]
    where = f"   ({check.where})" if check.where else ""
    if again:
        return [*lines, f"        as above  {check.reason}{where}"]
    if check.what:
        lines.append(f"        I looked at {escape(check.what)}" if check.verdict is Verdict.FAIL
                     else f"        {escape(check.what)}")
    if check.expected:
        lines.append(f"        expected  {escape(check.expected)}")
    if check.seen:
        lines.append(f"        seen      {escape(check.seen)}")
    if check.exchange is not None and check.verdict is not Verdict.UNJUDGED:
        exchange = check.exchange
        lines.append(f"        by hand   {escape(exchange.curl)}")
        if passing:
            lines.append("        note      start labs run first; the data has changed since, so the answer may differ")
        status = "no answer" if exchange.status is None else str(exchange.status)
        lines.append(f"        answered  {status}  {escape(exchange.response)}")
    return [*lines, f"        reason    {check.reason}{where}"]


def summary(report: Report, paint: Paint = plain) -> str:
    """The last lines: how many passed, what is next, how to repeat exactly this."""
    ran = [m for m in report.milestones if m.role != "later"]
    passed = sum(m.verdict is Verdict.PASS for m in ran)
    lines = [f"{passed} of {len(ran)} passed in {report.seconds:.1f} s · seed {report.seed} · {report.isolation}"]
    if report.attached:
        lines.append("judged as it runs in labs run, so nothing is remembered as passed")
    worst = next((m for m in ran if m.verdict is not Verdict.PASS), None)
    if report.interrupted:
        lines.append("stopped before the end; everything is cleaned up")
    elif ran and all(m.verdict is Verdict.UNJUDGED for m in ran) and not report.attached:
        lines.append(f"{paint('next', 'cyan')}: labs doctor   (what is missing here, and how to get it)")
    elif worst is not None:
        lines.append(f"{paint('again', 'cyan')}: labs check {worst.id} --seed {report.seed}")
    else:
        follower = next((m for m in report.milestones if m.role == "later"), None)
        if follower is not None:
            step = f"labs check   ({follower.id}: {follower.title})"
        elif any(m.role == "asked" for m in ran):
            step = "labs   (where you stand, and what to do next)"
        else:
            step = "labs check --all   (everything once more)"
        lines.append(f"{paint('next', 'cyan')}: {step}")
    return "\n".join(lines)


def _quoted(text: str, count: int) -> list[str]:
    """The last lines, each as one line of the terminal; the report as JSON has them all."""
    lines = [line if len(line) <= LINE_WIDTH else line[: LINE_WIDTH - 1] + "…"
             for line in last_lines(text.splitlines(), count)]
    return [f"    | {escape(line)}" for line in lines]
