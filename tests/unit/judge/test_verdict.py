"""What a child's words mean: every way in which a check must not pass."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.judge.verdict import Expected, Transcript, expected_checks, judge, milestone_verdict, so_far
from orchestrator.model import Verdict
from orchestrator.report.result import CheckResult

NONCE = "n0nce"
ONE = Expected("redis/hold/test_one", "One")
TWO = Expected("redis/hold/test_two", "Two")
FAILURE = {"kind": "failed", "reason": "not-stored", "what": "the row", "expected": "1", "seen": "0", "where": "f.py:3"}


def said(*events: dict[str, Any], nonce: str = NONCE) -> list[dict[str, Any]]:
    return [{**event, "nonce": nonce} for event in events]


def check(check_id: str, *outcomes: str, failure: Any = None) -> list[dict[str, Any]]:
    phases = []
    for phase, outcome in zip(("setup", "call", "teardown"), outcomes or ("passed",) * 3, strict=False):
        message = {"event": "phase", "check": check_id, "phase": phase, "outcome": outcome, "seconds": 0.5}
        phases.append({**message, "failure": failure} if outcome == "failed" else message)
    return said(
        {"event": "started", "check": check_id, "title": "T"}, *phases,
        {"event": "finished", "check": check_id, "evidence": ["a line"]},
    )


def story(*checks: list[dict[str, Any]], collected: Sequence[str], count: int | None = None) -> list[dict[str, Any]]:
    body = [message for messages in checks for message in messages]
    return [
        {"event": "hello", "v": 1},
        *said({"event": "collected", "checks": list(collected)}),
        *body,
        *said({"event": "bye", "count": len(checks) if count is None else count}),
    ]


GOOD = story(check(ONE.id), check(TWO.id), collected=[ONE.id, TWO.id])


def heard(events: Sequence[dict[str, Any]], status: int | None = 0, **more: Any) -> Transcript:
    return Transcript(tuple(events), status, **more)


def results(transcript: Transcript, expected: Sequence[Expected] = (ONE, TWO)) -> dict[str, CheckResult]:
    return {result.id: result for result in judge(expected, transcript, NONCE).checks}


def test_a_whole_story_passes() -> None:
    """Set-up, call and tear-down of every expected check, then bye, then exit 0: a pass, with its evidence line."""
    judgement = judge([ONE, TWO], heard(GOOD), NONCE)

    assert Verdict.PASS is judgement.verdict
    assert judgement.checks[0].evidence == ("a line",)
    assert judgement.checks[0].seconds == 1.5


@pytest.mark.parametrize("status", [2, 3, 4, 5, -9, None])
def test_a_bad_exit_status_is_an_error(status: int | None) -> None:
    """Only exit status 0 and 1 are ends of a run that judged; every check of another run is not confirmed."""
    judgement = judge([ONE, TWO], heard(GOOD, status), NONCE)

    assert Verdict.ERROR is judgement.verdict
    assert {Verdict.ERROR} == {result.verdict for result in judgement.checks}


def test_no_bye_is_an_error() -> None:
    """A child that exits 0 after its checks but before bye (``os._exit(0)``) has proved nothing."""
    assert Verdict.ERROR is judge([ONE, TWO], heard(GOOD[:-1]), NONCE).verdict


def test_a_wrong_count_is_an_error() -> None:
    """Bye must say how many checks finished."""
    events = story(check(ONE.id), check(TWO.id), collected=[ONE.id, TWO.id], count=3)

    assert Verdict.ERROR is judge([ONE, TWO], heard(events), NONCE).verdict


@pytest.mark.parametrize("position", range(1, len(GOOD)))
def test_every_message_needs_the_nonce(position: int) -> None:
    """One message without the run's nonce, wherever it stands, and nothing passes."""
    events = [dict(message) for message in GOOD]
    events[position]["nonce"] = "other"

    judgement = judge([ONE, TWO], heard(events), NONCE)

    assert Verdict.ERROR is judgement.verdict
    assert "nonce" in judgement.flaw


def test_hello_comes_first() -> None:
    """A story without its hello is no story."""
    assert Verdict.ERROR is judge([ONE, TWO], heard(GOOD[1:]), NONCE).verdict


def test_a_check_that_did_not_run_is_an_error() -> None:
    """The file defines two checks, the child knows of one: missing, error; the other one passes for itself."""
    found = results(heard(story(check(ONE.id), collected=[ONE.id])))

    assert Verdict.PASS is found[ONE.id].verdict
    assert (found[TWO.id].verdict, found[TWO.id].reason) == (Verdict.ERROR, "missing")


def test_an_unknown_check_is_an_error() -> None:
    """A check that the file does not define cannot be part of a pass."""
    judgement = judge([ONE], heard(GOOD), NONCE)

    assert Verdict.ERROR is judgement.verdict
    assert judgement.checks[-1].reason == "unknown-check"


def test_a_check_that_ran_twice_is_an_error() -> None:
    """Two stories of one check: neither counts."""
    events = story(check(ONE.id), check(ONE.id), check(TWO.id), collected=[ONE.id, TWO.id], count=2)

    assert results(heard(events))[ONE.id].reason == "duplicate"


def test_a_check_that_is_listed_twice_is_an_error() -> None:
    """Two functions of one name: which of them ran is not known."""
    events = story(check(ONE.id), check(TWO.id), collected=[ONE.id, ONE.id, TWO.id])

    assert results(heard(events))[ONE.id].reason == "duplicate"


@pytest.mark.parametrize("outcomes", [("skipped", "passed"), ("passed", "skipped", "passed")])
def test_a_skip_is_an_error(outcomes: tuple[str, ...]) -> None:
    """Skip and xfail (which the child reports as skipped) are never a pass."""
    found = results(heard(story(check(ONE.id, *outcomes), check(TWO.id), collected=[ONE.id, TWO.id])))

    assert (found[ONE.id].verdict, found[ONE.id].reason) == (Verdict.ERROR, "skipped")


@pytest.mark.parametrize("outcomes", [("passed",), ("passed", "passed"), ("passed", "odd", "passed")])
def test_a_check_that_ran_in_part_is_an_error(outcomes: tuple[str, ...]) -> None:
    """All three phases, each passed, in order; anything less is not a pass."""
    found = results(heard(story(check(ONE.id, *outcomes), check(TWO.id), collected=[ONE.id, TWO.id])))

    assert (found[ONE.id].verdict, found[ONE.id].reason) == (Verdict.ERROR, "incomplete")


def test_phases_out_of_order_are_no_pass() -> None:
    """The three good phases in another order are not a run of a check."""
    turned = check(ONE.id)
    turned[1], turned[2] = turned[2], turned[1]

    found = results(heard(story(turned, check(TWO.id), collected=[ONE.id, TWO.id])))

    assert Verdict.ERROR is found[ONE.id].verdict


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_failure_in_any_phase_speaks(phase: int) -> None:
    """A failure in set-up, call or tear-down is the check's verdict, with the words it brought."""
    outcomes = ["passed"] * 3
    outcomes[phase] = "failed"

    events = story(check(ONE.id, *outcomes, failure=FAILURE), check(TWO.id), collected=[ONE.id, TWO.id])
    judgement = judge([ONE, TWO], heard(events, 1), NONCE)
    found = judgement.checks[0]

    assert judgement.verdict is Verdict.FAIL
    assert (found.reason, found.expected, found.seen) == ("not-stored", "1", "0")


def test_a_failure_without_words_is_our_bug() -> None:
    """A phase that failed and does not say how is not held against the learner."""
    events = story(check(ONE.id, "passed", "failed", "passed"), check(TWO.id), collected=[ONE.id, TWO.id])

    assert Verdict.ERROR is results(heard(events, 1))[ONE.id].verdict


def test_a_crash_after_a_failure_is_an_error() -> None:
    """The failure that was heard stays to be seen, but a run that broke off decides nothing."""
    events = story(check(ONE.id, "passed", "failed", "passed", failure=FAILURE), collected=[ONE.id, TWO.id])[:-1]

    judgement = judge([ONE, TWO], heard(events, -11), NONCE)

    assert Verdict.ERROR is judgement.verdict
    assert Verdict.FAIL is judgement.checks[0].verdict


def test_a_crash_in_a_check_is_an_error() -> None:
    """A check that started and never finished, in a child that is gone."""
    events = story(check(ONE.id)[:-2], collected=[ONE.id, TWO.id])[:-1]

    found = results(heard(events, -11))

    assert (found[ONE.id].reason, found[TWO.id].reason) == ("crashed", "missing")


def test_deadline_with_an_open_call_to_the_target_is_a_timeout() -> None:
    """The milestone's time is over while the server owes an answer: too slow, and it says which one."""
    events = story(check(ONE.id)[:2], collected=[ONE.id, TWO.id])[:-1]

    judgement = judge([ONE, TWO], heard(events, -9, late=True, pending="POST /orders"), NONCE)

    assert Verdict.TIMEOUT is judgement.verdict
    assert [result.reason for result in judgement.checks] == ["deadline", "not-reached"]
    assert "POST /orders" in judgement.checks[0].what


def test_deadline_without_an_open_call_is_ours() -> None:
    """The time is over and the server owes nothing: the checks or this machine were too slow."""
    events = story(check(ONE.id)[:2], collected=[ONE.id, TWO.id])[:-1]

    judgement = judge([ONE, TWO], heard(events, -9, late=True), NONCE)

    assert Verdict.ERROR is judgement.verdict
    assert {Verdict.ERROR} == {result.verdict for result in judgement.checks}


def test_deadline_never_leaves_a_pass() -> None:
    """A check that was good before the deadline was not confirmed by bye."""
    events = story(check(ONE.id), check(TWO.id)[:2], collected=[ONE.id, TWO.id])[:-1]

    found = results(heard(events, -9, late=True, pending="GET /"))

    assert Verdict.PASS not in {result.verdict for result in found.values()}


def test_a_broken_channel_is_an_error() -> None:
    """What the conversation calls broken is an error, whatever was said before."""
    assert Verdict.ERROR is judge([ONE, TWO], heard(GOOD, broken="not JSON"), NONCE).verdict


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "event": st.sampled_from(["hello", "collected", "started", "phase", "finished", "bye", "x"]) | NOISE,
                "check": st.sampled_from([ONE.id, TWO.id, "z"]) | NOISE,
                "checks": st.just([ONE.id, TWO.id]) | NOISE,
                "phase": st.sampled_from(["setup", "call", "teardown"]) | NOISE,
                "outcome": st.sampled_from(["passed", "failed", "skipped"]) | NOISE,
                "failure": NOISE | st.just(FAILURE),
                "seconds": NOISE,
                "evidence": NOISE,
                "count": NOISE,
                "nonce": st.sampled_from([NONCE, "other"]),
            },
        ),
        max_size=12,
    )
)
def test_junk_is_judged_and_never_passes(events: list[dict[str, Any]]) -> None:
    """No list of messages makes the judge fall over; none but the whole story of both checks passes."""
    judgement = judge([ONE, TWO], heard(events), NONCE)

    assert judgement.verdict is not Verdict.PASS


@settings(deadline=None)
@given(st.data())
def test_the_whole_story_and_nothing_else_passes(data: st.DataObject) -> None:
    """Take one message out, say one twice, or swap two neighbours: the milestone no longer passes."""
    events = list(GOOD)
    position = data.draw(st.integers(0, len(events) - 1))
    change = data.draw(st.sampled_from(["drop", "repeat", "swap"]))
    if change == "drop":
        del events[position]
    elif change == "repeat":
        events.insert(position, events[position])
    else:
        other = (position + 1) % len(events)
        events[position], events[other] = events[other], events[position]

    assert judge([ONE, TWO], heard(events), NONCE).verdict is not Verdict.PASS


def result(verdict: Verdict, reason: str = "") -> CheckResult:
    return CheckResult("a", "A", verdict, 0.0, reason)


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([], Verdict.ERROR),
        ([result(Verdict.PASS)], Verdict.PASS),
        ([result(Verdict.PASS), result(Verdict.UNJUDGED)], Verdict.UNJUDGED),
        ([result(Verdict.UNJUDGED), result(Verdict.ERROR)], Verdict.ERROR),
        ([result(Verdict.ERROR, "bug"), result(Verdict.TIMEOUT)], Verdict.TIMEOUT),
        ([result(Verdict.ERROR, "bug"), result(Verdict.FAIL)], Verdict.FAIL),
        ([result(Verdict.ERROR, "machine-too-slow"), result(Verdict.FAIL)], Verdict.ERROR),
        ([result(Verdict.ERROR, "service-lost"), result(Verdict.TIMEOUT)], Verdict.ERROR),
    ],
)
def test_one_failure_decides_unless_machine_or_service_is_in_doubt(
    checks: list[CheckResult], expected: Verdict
) -> None:
    """A failure is a failure beside our bug, but not beside a lost service or a machine that was too slow."""
    assert expected is milestone_verdict(checks)


def test_expected_checks_come_from_the_syntax_tree() -> None:
    """Functions at module level, also async ones; nothing that only importing would make, no methods, no helpers."""
    source = '''
"""Module."""
def test_one(server):
    """One thing.

    More."""
async def test_two(): pass
def helper(): pass
class TestX:
    def test_three(self): pass
for name in "ab": globals()["test_" + name] = helper
'''
    assert (
        Expected("redis/hold/test_one", "One thing."), Expected("redis/hold/test_two", "test_two"),
    ) == expected_checks("redis/hold", source)


def test_so_far_tells_of_a_finished_check_only() -> None:
    """A live line is for a check that has finished."""
    assert so_far(ONE, GOOD[:5], NONCE) is None
    found = so_far(ONE, GOOD[:7], NONCE)
    assert found is not None
    assert Verdict.PASS is found.verdict


class Litter:
    """Is only found by the collector, which may run at any allocation, and then lets other threads in."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(0)


def test_judges_read_their_checks_at_the_same_time() -> None:
    """Python 3.11 itself fails when two threads make syntax trees at once; here one waits for the other."""
    source = "\n".join(f"def test_{number}(explore):\n    assert [(1, [2, {{3: 4}}])] == explore.cut(lambda: (1, 2))\n"
                       for number in range(60))

    def read(_: int) -> int:
        for _ in range(30):
            Litter()
        return len(expected_checks("shop/one", source))

    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(read, range(80)))
    finally:
        gc.set_threshold(*before)
    assert found == [60] * 80
