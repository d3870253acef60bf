"""What becomes of a judgement in `labs explore`: which checks run, what is noted, who is blamed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from orchestrator.catalog.manifest import read_lab
from orchestrator.judge.showing import Showing, explores, exploring, that_explore
from orchestrator.judge.verdict import Judgement, expected_checks
from orchestrator.model import Verdict
from orchestrator.report.result import CheckResult
from orchestrator.resources import labs_folder

SOURCE = '''
def test_between(server, explore):
    """Both are counted."""
    explore.interleave(None, None, None)

def test_keyword(server, *, explore):
    """As a keyword, too."""
    for one in ("never", "lost"):
        explore.cut(None, None, answer=one)

def test_counts(server, explore):
    """Steps are counted, and nothing happens at them."""
    explore.steps(None)

def test_plain(server, explored):
    """Looks at one answer."""
'''
BROKEN = {"reason": "lost", "what": "the count", "expected": "2", "seen": "1"}


def told(check: str, *, broken: Any = BROKEN) -> dict[str, Any]:
    rows = [{"step": 1, "after": False, "answers": ["200"], "waited": False, "reached": True, "broken": broken}]
    steps = [{"number": 1, "service": "redis", "text": "GET k", "kind": "GET"}]
    return {"event": "explored", "check": check, "told": {
        "deed": "hold", "request": "POST /k", "during": "", "steps": steps, "rows": rows}}


def judged(*checks: CheckResult, flaw: str = "") -> Judgement:
    return Judgement(checks, Verdict.ERROR if flaw else Verdict.PASS, flaw)


ONE, TWO = (CheckResult(f"a/b/test_{name}", name, Verdict.PASS, 0.1) for name in ("one", "two"))


def test_only_checks_that_ask_for_it_explore() -> None:
    """Read from the file, not by running it."""
    checks = exploring(expected_checks("a/b", SOURCE))

    assert [check.id for check in checks] == ["a/b/test_between", "a/b/test_keyword"]
    assert Showing(3).wish() == {"step": 3}


def test_which_milestones_can_be_explored() -> None:
    """In the lab's order; none whose checks cannot be read."""
    lab = read_lab(labs_folder() / "databases", services=["postgres", "redis", "sqlite"])
    found = [milestone.id for milestone in that_explore(lab)]

    assert found == [milestone.id for milestone in lab.milestones if milestone.id in found]
    assert {"postgres/transactions", "redis/hold", "redis/expiry"} <= set(found)
    assert not {"postgres/schema", "postgres/n-plus-one"} & set(found)  # one only counts steps
    assert not explores(dataclasses.replace(lab.milestones[0], checks=(Path("/no/such/file.py"),)))


def test_what_did_not_hold_is_blamed_on_its_own_check() -> None:
    """The child let it pass, so that the next step was tried; whoever calls the command must not take it for right."""
    showing = Showing()
    after = showing.told(judged(ONE, TWO), [told(ONE.id), told(TWO.id, broken=None)])

    assert (after.verdict, [check.verdict for check in after.checks]) == (Verdict.FAIL, [Verdict.FAIL, Verdict.PASS])
    assert (after.checks[0].reason, after.checks[0].what, after.checks[0].seen) == ("lost", "the count", "1")
    assert [one.check for one in showing.explorations] == [ONE.id, TWO.id]


def test_another_verdict_stays() -> None:
    """A flaw of the run, and a check that was too slow, are not changed by what was found before."""
    late = CheckResult(ONE.id, "one", Verdict.TIMEOUT, 0.1, "too-slow")

    assert Showing().told(judged(ONE, flaw="bye is missing"), [told(ONE.id)]).verdict is Verdict.ERROR
    assert Showing().told(judged(late, TWO), [told(ONE.id)]).checks == (late, TWO)


def test_words_that_have_not_the_form_are_our_fault() -> None:
    """And nothing of them is shown; each attempt begins anew."""
    showing = Showing()
    showing.told(judged(ONE), [told(ONE.id)])

    for wrong in ({"event": "explored", "check": ONE.id, "told": 5}, told("a/b/test_three")):
        after = showing.told(judged(ONE), [told(ONE.id), wrong])
        assert (after.verdict, showing.explorations) == (Verdict.ERROR, [])
        assert "what was explored" in after.flaw
