"""`labs explore`: an attempt that runs the checks which explore, shows each of their steps, and proves nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.checks.protocol import Message
from orchestrator.judge.verdict import Expected, Judgement, expected_checks, milestone_verdict
from orchestrator.model import Lab, Milestone, Verdict
from orchestrator.report.explored import Exploration, exploration
from orchestrator.report.result import CheckResult

MORE_TIME = 3
"""How many times a milestone's budget it may last: a failure, which ends a check, ends nothing here."""


@dataclass(slots=True)
class Showing:
    """What is wanted (``step``: only this one of each request; 0: each) and what was found in the last attempt."""

    step: int = 0
    explorations: list[Exploration] = field(default_factory=list)

    def wish(self) -> Message:
        """The words of the first message."""
        return {"step": self.step}

    def told(self, judgement: Judgement, events: Sequence[Message]) -> Judgement:
        """Note what the child told. A check in which something did not hold failed, if only here."""
        titles = {check.id: check.title for check in judgement.checks}
        try:
            self.explorations = [exploration(str(one["check"]), titles[str(one["check"])], one.get("told"))
                                 for one in events if one.get("event") == "explored"]
        except (KeyError, ValueError) as error:
            self.explorations = []
            return dataclasses.replace(judgement, verdict=Verdict.ERROR, flaw=f"what was explored: {error}")
        if judgement.flaw:
            return judgement
        checks = tuple(self._blamed(check) for check in judgement.checks)
        return dataclasses.replace(judgement, checks=checks, verdict=milestone_verdict(checks))

    def _blamed(self, check: CheckResult) -> CheckResult:
        broken = next((row.broken for one in self.explorations if one.check == check.id for row in one.rows
                       if row.broken is not None), None)
        if broken is None or check.verdict is not Verdict.PASS:
            return check
        return dataclasses.replace(check, verdict=Verdict.FAIL, reason=broken.reason, what=broken.what,
                                   expected=broken.expected, seen=broken.seen)


def exploring(checks: Sequence[Expected]) -> tuple[Expected, ...]:
    """Those that explore."""
    return tuple(check for check in checks if check.explores)


def explores(milestone: Milestone) -> bool:
    """Whether a milestone has checks that explore; ``False`` if a file cannot be read."""
    try:
        return any(exploring(expected_checks(milestone.id, path.read_text(encoding="utf-8")))
                   for path in milestone.checks)
    except (OSError, SyntaxError, ValueError):
        return False


def that_explore(lab: Lab) -> tuple[Milestone, ...]:
    """The lab's milestones that explore, in its order."""
    return tuple(milestone for milestone in lab.milestones if explores(milestone))
