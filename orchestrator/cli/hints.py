"""The next hint for a milestone, as text: `labs hint`, and the key h of `labs watch`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from orchestrator.cli.outcome import Outcome, counted

if TYPE_CHECKING:
    from orchestrator.model import Milestone, Workspace
    from orchestrator.report.result import MilestoneResult
    from orchestrator.workspace.hints import Numbered


def hint(workspace: Workspace, milestone: str | None) -> Outcome:
    """The next hint, below those that were shown before: for ``milestone``, else for the first that failed last.

    Where none failed, for the next in turn.

    ``Outcome.after`` remembers it as shown in ``.labs/hints.json``: only what was seen is used up.
    """
    from orchestrator.catalog.labs import find_lab, find_milestones
    from orchestrator.model import Verdict
    from orchestrator.report.result import BLAMED
    from orchestrator.workspace.hints import next_hint
    from orchestrator.workspace.progress import read_hints, read_passed, read_report, record_hint
    from orchestrator.workspace.select import next_milestone
    from orchestrator.workspace.tracks import own_part

    folder, lab = workspace.folder, find_lab(workspace.lab)
    report = read_report(folder)
    results = {one.id: one for one in report.milestones if one.role != "later"} if report else {}
    known = {one.id: one for one in lab.milestones}
    failed = [known[name] for name, one in results.items() if name in known and one.verdict in BLAMED]
    if milestone:
        chosen: Milestone | None = find_milestones(lab, milestone)[0]
    else:
        chosen = failed[0] if failed else next_milestone(own_part(lab, workspace), read_passed(folder, lab))
    if chosen is None:
        return Outcome({}, "Every milestone has passed: there is nothing left to hint at.")
    last = results.get(chosen.id)
    if last is not None and last.verdict is Verdict.PASS:
        return Outcome({"milestone": chosen.id, "hint": None},
                       f"{chosen.id} passed the last time; it needs no hint. What is next: labs")
    reasons = reasons_of(last)
    shown = read_hints(folder)
    found = next_hint(chosen, reasons, shown.get(chosen.id, ()))
    new = found.new.hint if found.new is not None else None
    data = {"milestone": chosen.id, "reason": reasons[0] if reasons else "", "reasons": reasons,
            "hint": new.text if new else None, "general": bool(new and not new.reason), "left": found.left,
            "shown": [one.hint.text for one in found.earlier]}
    lines = [chosen.id + (f": {', '.join(reasons)}" if reasons else ""), ""]
    for one in found.earlier:
        lines += [f"{_title(one)}, shown before", *_wrapped(one.hint.text), ""]
    if found.new is None:
        count = len(found.earlier)
        lines += [{0: "There is no hint for this.", 1: "That was the only hint."}.get(
            count, f"Those were all {counted(count, 'hint')}."), "",
            f"labs brief {chosen.id}   what the check looks at",
            f"labs trace {chosen.id}   what the services saw"]
        return Outcome(data, "\n".join(lines))
    lines += [_title(found.new), *_wrapped(found.new.hint.text), ""]
    command = f"labs hint {chosen.id}" if milestone else "labs hint"
    if last is None:
        lines.append("This is a general hint. After a failed check you get one for that failure: labs check")
    lines.append(f"{command}   {counted(found.left, 'more hint')}" if found.left
                 else f"That was the last hint. labs brief {chosen.id}   what the check looks at")
    if not milestone:
        lines += [f"labs hint {one.id}   it failed, too" for one in failed if one is not chosen]
    text = found.new.hint.text
    return Outcome(data, "\n".join(lines), after=lambda: record_hint(folder, chosen.id, text))


def reasons_of(result: MilestoneResult | None) -> list[str]:
    """Why it did not pass: the milestone's reason, then those of its other failed checks, each once."""
    from orchestrator.model import Verdict

    if result is None:
        return []
    failed = (one.reason for one in result.checks if one.verdict is not Verdict.PASS)
    return [one for one in dict.fromkeys((result.reason, *failed)) if one]


def _title(one: Numbered) -> str:
    number = f"hint {one.number} of {one.of}"
    return f"{number} for {one.hint.reason}" if one.hint.reason else f"general {number}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 76, initial_indent="  ", subsequent_indent="  ", break_long_words=False,
                         break_on_hyphens=False)
