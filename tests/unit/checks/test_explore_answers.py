"""``explore``: answers that come late, are lost twice in a row, or are late and the last before a silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.child import Run, run_checks
from support.exploring import World

from orchestrator.model import Verdict

CHECKS = '''
"""Explorations of a server that counts."""
import itertools
from orchestrator.checks import NoAnswer, expect

KEYS = (f"k{number}" for number in itertools.count())

def test_late(explore, server, evidence):
    seen = []
    def holds(key, answer):
        expect.at_least(0.1, answer.elapsed, "seconds", reason="not-late")
        seen.append((answer.status, server.get(f"/{key}").json()["count"]))
    told = explore.delay(lambda key: server.post(f"/naive/{key}"), holds, answers=True, pick=lambda steps: steps[-1:],
                         prepare=lambda: next(KEYS))
    evidence(f"{told} {seen}")

def test_late_and_impatient(explore, server):
    def holds(key, answer):
        expect.equal(1, server.get(f"/{key}").json()["count"], "the count", reason="twice")
    explore.delay(lambda key: server.post(f"/impatient/{key}"), holds, answers=True, seconds=0.6,
                  pick=lambda steps: steps[-1:], prepare=lambda: next(KEYS))

def lost(explore, server, times):
    seen = []
    def holds(key, answer):
        seen.append("none" if isinstance(answer, NoAnswer) else answer.status)
    explore.cut(lambda key: server.post(f"/retried/{key}"), holds, answer="lost", times=times, prepare=lambda: next(KEYS))
    return seen

def test_lost_once_and_twice(explore, server, evidence):
    evidence(f"{lost(explore, server, 1)} {lost(explore, server, 2)}")

def test_lost_twice_is_said(explore, server):
    def holds(key, answer):
        expect.fail("the answer", reason="none")
    explore.cut(lambda key: server.post(f"/retried/{key}"), holds, answer="lost", times=2, prepare=lambda: next(KEYS),
                pick=lambda steps: steps[:1])

def test_picked(explore, server, evidence):
    evidence(str(explore.cut(lambda key: server.post(f"/two-keys/{key}"), lambda *_: None, prepare=lambda: next(KEYS),
                             pick=lambda steps: steps[:1])))

def test_late_then_silent(explore, server):
    def holds(key, answer):
        expect.between(0.3, 2.0, answer.elapsed, "seconds of a late answer, and then none", reason="heard-something")
        expect.equal(200, server.get(f"/{key}").status, "the status afterwards", reason="still-silent")
        expect.fail("what came of it", reason="as-it-should")
    explore.silence(lambda key: server.post(f"/impatient/{key}"), holds, late=0.1, pick=lambda steps: steps[:1],
                    prepare=lambda: next(KEYS))
'''


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    world = World()
    try:
        run = run_checks(tmp_path_factory.mktemp("explore"), CHECKS, url=world.shop.url, answerer=world)
        assert run.judgement.flaw == "", run.output
        yield run
    finally:
        world.close()


def test_an_answer_may_come_late_of_what_is_done_already(seen: Run) -> None:
    """The server waits, and the step has been done once."""
    assert seen["test_late"].evidence == ("1 of 2 steps [(200, 1)]",)


def test_who_does_it_again_while_the_answer_is_late_is_found(seen: Run) -> None:
    """A server with less patience than the delay does it once more."""
    result = seen["test_late_and_impatient"]

    assert (result.verdict, result.reason) == (Verdict.FAIL, "twice")
    assert "the count; your server heard the answer to its `set k" in result.what
    assert "1` only after 0.6 s (step 2 of 2)" in result.what


def test_an_answer_may_be_lost_twice_in_a_row(seen: Run) -> None:
    """Who tries again once has an answer after one loss, and none after two."""
    assert seen["test_lost_once_and_twice"].evidence == ("[200] ['none']",)
    assert "your server lost its connection to store 2 times in a row, the first time after its" in seen["test_lost_twice_is_said"].what


def test_only_picked_steps_are_cut(seen: Run) -> None:
    assert seen["test_picked"].evidence == ("1 of 2 steps",)


def test_a_silence_may_begin_after_a_late_answer(seen: Run) -> None:
    """The answer of the first step arrives late; nothing is heard of the second one, on any connection."""
    result = seen["test_late_then_silent"]

    assert (result.verdict, result.reason) == (Verdict.FAIL, "as-it-should")
    assert "your server heard the answer to its `get k" in result.what
    assert "` only after 0.1 s, and then nothing more from store (step 1 of 2)" in result.what
