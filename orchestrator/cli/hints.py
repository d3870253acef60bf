"""The next hint for a milestone, as text: `labs hint`, and the key h of `labs watch`."""

from __future__ import annotations

import contextlib
import textwrap
from pathlib import Path
from typing import Any

from orchestrator.cli.outcome import Outcome


def hint(folder: Path, lab_name: str, milestone: str | None) -> Outcome:
    """The next hint, remembered as shown in ``.labs/hints.json``."""
    from orchestrator.catalog.labs import find_lab, find_milestones
    from orchestrator.model import Verdict
    from orchestrator.workspace.hints import next_hint
    from orchestrator.workspace.progress import read_passed, read_report
    from orchestrator.workspace.select import next_milestone

    lab = find_lab(lab_name)
    chosen = find_milestones(lab, milestone)[0] if milestone else next_milestone(lab, read_passed(folder, lab))
    if chosen is None:
        return Outcome({}, "Every milestone has passed: there is nothing left to hint at.")
    report = read_report(folder)
    results = {one.id: one for one in report.milestones if one.role != "later"} if report else {}
    last = results.get(chosen.id)
    if last is not None and last.verdict is Verdict.PASS:
        return Outcome({"milestone": chosen.id, "hint": None},
                       f"{chosen.id} passed the last time; it needs no hint. What is next: labs")
    reason = last.reason if last is not None else ""
    shown = _read_shown(folder)
    following = next_hint(chosen, reason, shown.get(chosen.id, ()))
    about = f"{chosen.id}" + (f", {reason}" if reason else "")
    if following.hint is None:
        text = "\n".join([f"{about}: these were all {following.total} hints.", "",
                          f"labs brief {chosen.id}   what the check looks at",
                          f"labs trace {chosen.id}   what the services saw"])
        return Outcome({"milestone": chosen.id, "reason": reason, "hint": None}, text)
    _remember(folder, shown, chosen.id, following.hint.text)
    left = following.total - following.number
    lines = [f"{about}: hint {following.number} of {following.total}", "",
             *textwrap.wrap(following.hint.text, 78, break_long_words=False, break_on_hyphens=False), ""]
    if last is None:
        lines.append("This is a general one. labs check says what is wrong, and then there is one for that.")
    lines.append("labs hint   says a little more" if left else f"That was the last one. labs brief {chosen.id}")
    return Outcome({"milestone": chosen.id, "reason": reason, "hint": following.hint.text, "left": left},
                   "\n".join(lines))


def _read_shown(folder: Path) -> dict[str, list[str]]:
    """Milestone id -> texts of hints that were shown. A lost or torn file is an empty memory."""
    from orchestrator.system.files import read_json

    value: Any = read_json(folder / ".labs" / "hints.json")
    shown = value.get("shown") if isinstance(value, dict) else None
    if not isinstance(shown, dict):
        return {}
    return {name: [text for text in texts if isinstance(text, str)] for name, texts in shown.items()
            if isinstance(texts, list)}


def _remember(folder: Path, shown: dict[str, list[str]], milestone: str, text: str) -> None:
    from orchestrator.errors import EnvironmentFault
    from orchestrator.workspace.progress import remember

    # A folder that cannot be written: the same hint comes again, which is no harm.
    with contextlib.suppress(EnvironmentFault):
        remember(folder, "hints.json",
                 {"v": 1, "shown": {**shown, milestone: [*shown.get(milestone, []), text]}})
