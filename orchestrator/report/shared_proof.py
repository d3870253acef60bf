"""What a learner shows to others: a page in Markdown, the same in HTML, a badge. Pure; everything foreign is escaped.

The lab's milestones decide what is listed. One that the report did not judge is shown as that, and never as passed,
unless an earlier run did and nothing has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.model import Milestone, Verdict
from orchestrator.report.markdown import code, text
from orchestrator.report.page import page as whole_page
from orchestrator.report.result import MilestoneResult, Report
from orchestrator.system.own_files import MARK
from orchestrator.system.text import escape

WORDS = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.TIMEOUT: "too slow",
    Verdict.INVALID: "could not be built or started",
    Verdict.BLOCKED: "blocked by another milestone",
    Verdict.ERROR: "not judged: the machine failed, not the server",
    Verdict.UNJUDGED: "not judged: this machine cannot",
}
EARLIER = "passed in an earlier run"
HONESTY = (
    "This page is the word of the learner's own machine, not a certificate: `labs` ran there, and nobody else watched. "
    "It says what runs there found. Anyone who has the server's files can judge them again:"
)


@dataclass(frozen=True, slots=True)
class Before:
    """What passed in any run so far. ``content``: the key of the server's files as they are now.

    ``same``: milestone id -> when it passed, with these files. ``other``: passed with other files, or other checks.
    """

    content: str = ""
    same: Mapping[str, str] = field(default_factory=dict)
    other: frozenset[str] = frozenset()


NOTHING = Before()


@dataclass(frozen=True, slots=True)
class Row:
    """One milestone as it is shown. ``lines`` are evidence of what passed, and what was seen where it did not."""

    id: str
    title: str
    passed: bool
    word: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedProof:
    """What all three files show."""

    lab: str
    rows: tuple[Row, ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    commands: tuple[str, ...]

    @property
    def passed(self) -> int:
        return sum(row.passed for row in self.rows)

    @property
    def score(self) -> str:
        """``12/15``, of all milestones of the lab."""
        return f"{self.passed}/{len(self.rows)}"

    @property
    def headline(self) -> str:
        return f"{self.lab}: {self.passed} of {len(self.rows)} milestones passed"


def shared_proof(report: Report, milestones: Sequence[Milestone], *, changed: bool = False,
          clean: Callable[[str], str] = str, before: Before = NOTHING) -> SharedProof:
    """The proof of a report. ``milestones`` are the lab's; ``changed``: the server's files are not those judged.

    ``before``: what earlier runs found of milestones that this one did not judge. ``clean`` takes out what a line of
    evidence may tell of the learner's machine.
    """
    results = {one.id: one for one in report.milestones}
    rows = [_row(one.id, one.title, results.pop(one.id, None), clean, before) for one in milestones]
    rows += [_row(one.id, one.title, one, clean, before) for one in results.values()]
    commit = f", commit {report.lab_commit}" if report.lab_commit else f", as it comes with labs {report.labs_version}"
    facts = [("Lab", f"{report.lab} {report.lab_version}{commit}")]
    facts += [("Service", str(product)) for product in report.products.values()]
    facts += [("Engine", report.engine), ("Isolation", report.isolation), ("Seed", str(report.seed)),
              ("labs", report.labs_version), ("Judged at", report.started_at)]
    notes = []
    unjudged = [row.id for row in rows if row.word.startswith("not judged")]
    if unjudged:
        notes.append(f"{len(unjudged)} of {len(rows)} milestones were not judged in this run. They do not count as "
                     "passed.")
    if stale := before.other & set(unjudged):
        notes.append(f"{len(stale)} of them passed before, but the server's files or the lab's checks have changed "
                     "since.")
    if report.interrupted:
        notes.append("The run was stopped before its end.")
    if changed:
        notes.append("Files in the server's folder have changed between this run and the making of this page.")
    return SharedProof(report.lab, tuple(rows), tuple(facts), tuple(notes),
                 (f"pipx install backend-labs=={report.labs_version}", f"labs check --all --seed {report.seed}"))


def markdown(shown: SharedProof) -> str:
    """``PROOF.md``."""
    lines = [MARK, "", f"# {text(shown.headline)}", "", f"![{text(f'{shown.lab} {shown.score}')}](badge.svg)", ""]
    lines += [f"{text(note)}\n" for note in shown.notes]
    lines += ["| | |", "|---|---|", *(f"| {text(name)} | {text(value)} |" for name, value in shown.facts)]
    lines += ["", "## Milestones", "", "| | milestone | what it asks |", "|---|---|---|"]
    lines += [f"| {text(row.word)} | {text(row.id)} | {text(row.title)} |" for row in shown.rows]
    lines += ["", "## Evidence", "", "What the checker saw, most of it in the services themselves.", ""]
    for row in shown.rows:
        if row.lines:
            lines += [f"### {text(row.id)}: {text(row.word)}", ""]
            lines += [*(f"- {code(line)}" for line in row.lines), ""]
    lines += ["## How far to trust this", "", HONESTY, "", *(f"    {escape(command)}" for command in shown.commands)]
    return "\n".join(lines) + "\n"


def badge(shown: SharedProof) -> str:
    """``badge.svg``: the lab's name and how many passed. No font, no script, nothing from elsewhere."""
    name = shown.lab if len(shown.lab) <= 40 else shown.lab[:39] + "…"
    colour = "#1a7f37" if shown.passed == len(shown.rows) else "#8a5d00" if shown.passed else "#57606a"
    return whole_page("badge.svg", mark=MARK, title=shown.headline, name=name, score=shown.score, colour=colour,
                      left=12 + 7 * len(name), right=12 + 8 * len(shown.score))


def page(shown: SharedProof) -> str:
    """``index.html``: one page that needs nothing else, readable on a phone, light and dark."""
    return whole_page("shared_proof.html", mark=MARK, title=shown.headline, shown=shown, honesty=HONESTY.split("`"))


def _row(milestone: str, title: str, result: MilestoneResult | None, clean: Callable[[str], str],
         before: Before) -> Row:
    judged = result is not None and result.role != "later" and result.verdict not in (Verdict.ERROR, Verdict.UNJUDGED)
    if not judged and milestone in before.same:
        line = f"passed at {before.same[milestone]}, with the server's files as they are now (content {before.content})"
        return Row(milestone, title, True, EARLIER, (line,))
    if result is None or result.role == "later":
        return Row(milestone, title, False, "not judged")
    passed = result.verdict is Verdict.PASS
    lines = [line for check in result.checks if check.verdict is Verdict.PASS for line in check.evidence]
    if not passed:
        reason = f" ({result.reason})" if result.reason else ""
        lines = [f"{check.what or check.title}: expected {check.expected or '-'}, seen {check.seen or '-'}"
                 for check in result.checks if check.verdict is not Verdict.PASS]
        return Row(milestone, title, False, WORDS[result.verdict] + reason, tuple(map(clean, lines)))
    return Row(milestone, title, True, WORDS[result.verdict], tuple(map(clean, lines)))
