"""``explore``, in a real child, on a toy server behind a real proxy: what each exploration finds, at which step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.child import Run, run_checks
from support.exploring import World

from orchestrator.model import Verdict

CHECKS = '''
"""Explorations of a server that counts."""
import itertools
from orchestrator.checks import NoAnswer, expect

KEYS = (f"k{number}" for number in itertools.count())

def both(explore, server, way):
    twin = server.replica(wait=False)
    def holds(key, *answers):
        expect.equal([200, 200], [answer.status for answer in answers], "the answers", reason="refused")
        expect.equal(2, twin.get(f"/{key}").json()["count"], "the count", reason="lost")
    return explore.interleave(lambda key: server.post(f"/{way}/{key}"), lambda key: twin.post(f"/{way}/{key}"), holds,
                              prepare=lambda: next(KEYS), during="another one came")

def test_right(explore, server, evidence):
    evidence(str(both(explore, server, "right")))

def test_naive(explore, server):
    both(explore, server, "naive")

def test_locked(explore, server, evidence):
    evidence(str(both(explore, server, "locked")))

def test_cut_meanwhile(explore, server, evidence):
    twin = server.replica(wait=False)
    def holds(key, first, second):
        expect.true(isinstance(first, NoAnswer), "the answer of a server that lost its connection", reason="answered")
        expect.equal(200, second.status, "the answer of the other one", reason="refused")
        expect.equal(1, twin.get(f"/{key}").json()["count"], "the count", reason="arrived")
    evidence(str(explore.interleave(lambda key: server.post(f"/right/{key}"), lambda key: twin.post(f"/right/{key}"), holds,
                                    prepare=lambda: next(KEYS), cut=True)))

def join(explore, server, **how):
    twin = server.replica(wait=False)
    def second(key):
        twin.post(f"/right/{key}")
        return server.post(f"/shared/{key}")
    def holds(key, first, second):
        expect.equal(1, second.json()["count"], "the count of who came when it was 1", reason="anothers")
        expect.at_most(1, first.json()["count"], "the count of who came before", reason="wrong")
    return explore.interleave(lambda key: server.post(f"/shared/{key}"), second, holds, prepare=lambda: next(KEYS),
                              during="somebody counted and looked", **how)

def test_joined_before_the_look(explore, server, evidence):
    evidence(str(join(explore, server)))

def test_joined_after_the_look(explore, server):
    join(explore, server, answers=True)

def test_counted_before_the_answer(explore, server, evidence):
    twin, seen = server.replica(wait=False), []
    def holds(key, first, second):
        seen.append((first.status, second.status, twin.get(f"/{key}").json()["count"]))
    explore.interleave(lambda key: server.post(f"/naive/{key}"), lambda key: twin.post(f"/naive/{key}"), holds,
                       prepare=lambda: next(KEYS), answers=True)
    evidence(str(seen))

def test_dies_between(explore, server, evidence):
    def holds(key, answer):
        one, end = (server.get(f"/{name}").json()["count"] for name in (key, f"{key}-end"))
        expect.true(isinstance(answer, NoAnswer), "the answer of a dead server", reason="answered")
        expect.equal(one, end, "the second key", reason="half")
    explore.crash(lambda key: server.post(f"/two-keys/{key}"), holds, prepare=lambda: next(KEYS))

def test_seen_before_it_dies(explore, server, evidence):
    twin, half = server.replica(), []
    def look(key):
        half.append([twin.get(f"/{name}").json()["count"] for name in (key, f"{key}-end")])
    def holds(key, answer):
        one, end = half.pop()
        expect.equal(one, end, "the second key, before the server died", reason="seen-half")
    explore.crash(lambda key: server.post(f"/two-keys/{key}"), holds, prepare=lambda: next(KEYS), meanwhile=look)

def test_prepared_by_the_server(explore, server, evidence):
    def prepare():
        key = next(KEYS)
        expect.equal(200, server.get(f"/{key}").status, "what prepares a run", reason="held")
        return key
    evidence(str(explore.crash(lambda key: server.post(f"/right/{key}"), lambda key, answer: None, prepare=prepare)))

def answered_is_done(explore, server, way):
    def holds(key, answer):
        count = server.get(f"/{key}").json()["count"]
        expect.true(isinstance(answer, NoAnswer) or count == 1, "the count", reason="not-done")
    explore.crash(lambda key: server.post(f"/{way}/{key}"), holds, prepare=lambda: next(KEYS))

def test_answers_before_it_works(explore, server):
    answered_is_done(explore, server, "late")

def test_answers_while_it_works(explore, server):
    answered_is_done(explore, server, "beside")

def test_retries(explore, server, evidence):
    def holds(key, answer):
        expect.at_most(1, server.get(f"/{key}").json()["count"], "the count", reason="twice")
    evidence(str(explore.cut(lambda key: server.post(f"/retried/{key}"), holds, prepare=lambda: next(KEYS))))
    explore.cut(lambda key: server.post(f"/retried/{key}"), holds, answer="lost", prepare=lambda: next(KEYS))

def test_retries_while_it_is_under_way(explore, server, evidence):
    counts = []
    def holds(key, answer):
        counts.append((answer.status, server.get(f"/{key}").json()["count"]))
    explore.cut(lambda key: server.post(f"/retried/{key}"), holds, answer="late", prepare=lambda: next(KEYS))
    evidence(str(counts))

def test_retries_at_a_replica(explore, server):
    twin = server.replica()
    def holds(key, answer):
        expect.at_most(1, server.get(f"/{key}").json()["count"], "the count", reason="twice")
    explore.cut(lambda key: twin.post(f"/retried/{key}"), holds, answer="lost", prepare=lambda: next(KEYS), at=twin)

def test_delayed(explore, server, evidence):
    def holds(key, answer):
        expect.at_least(0.1, answer.elapsed, "seconds", reason="not-delayed")
    evidence(str(explore.delay(lambda key: server.post(f"/naive/{key}"), holds, prepare=lambda: next(KEYS))))
    evidence(str(explore.delay(lambda key: server.post(f"/naive/{key}"), holds, pick=lambda steps: steps[1:],
                               prepare=lambda: next(KEYS))))

def test_silent(explore, server):
    def holds(key, answer):
        expect.between(0.3, 2.0, answer.elapsed, "seconds without a word from the store", reason="heard-something")
        expect.equal(200, server.get(f"/{key}").status, "the status afterwards", reason="still-silent")
        expect.fail("what came of it", reason="as-it-should")
    explore.silence(lambda key: server.post(f"/impatient/{key}"), holds, pick=lambda steps: steps[-1:], prepare=lambda: next(KEYS))

def test_bounded(explore, server, evidence):
    evidence(str(explore.cut(lambda key: server.post(f"/two-keys/{key}"), lambda key, answer: None, most=1,
                             prepare=lambda: next(KEYS))))

def test_no_step(explore, server):
    explore.cut(lambda _: server.post("/naive/else"), lambda *_: None, services=("another",))

def test_steps(explore, server, evidence):
    evidence(" ".join(str(step) for step in explore.steps(lambda _: server.post("/naive/steps"))))
'''


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, World]]:
    world = World()
    try:
        run = run_checks(tmp_path_factory.mktemp("explore"), CHECKS, url=world.shop.url, answerer=world)
        assert run.judgement.flaw == "", run.output
        yield run, world
    finally:
        world.close()


def said(seen: tuple[Run, World], name: str) -> tuple[Verdict, str, str]:
    result = seen[0][name]
    return result.verdict, result.reason, result.what


def test_a_server_that_reads_and_writes_back_is_held_in_between(seen: tuple[Run, World]) -> None:
    """The failure names the step by the words that the server sent, in this very run."""
    verdict, reason, what = said(seen, "test_naive")

    assert (verdict, reason) == (Verdict.FAIL, "lost")
    key = what.split("`")[1].split()[1]
    assert what == (f"the count; your server was held between its `get {key}` and its `set {key} 1` "
                    "while another one came (step 2 of 2)")


def test_an_exploration_of_no_step_does_not_pass(seen: tuple[Run, World]) -> None:
    """A server that never asks the service has not been shown to be right."""
    assert said(seen, "test_no_step")[:2] == (Verdict.FAIL, "no-step")
    assert seen[0]["test_no_step"].seen == "none, and the answer 200"


def test_a_second_process_is_there_before_anything_is_held(seen: tuple[Run, World]) -> None:
    """It may start while the first one's steps are counted; then each exploration waits for it."""
    assert seen[1].waited >= 3


def test_servers_that_count_right_pass(seen: tuple[Run, World]) -> None:
    """Whether one step does it all, or a lock lets the second request wait: that is not taken for slowness."""
    assert seen[0]["test_right"].verdict is Verdict.PASS
    assert seen[0]["test_right"].evidence == ("its only step",)
    assert seen[0]["test_locked"].verdict is Verdict.PASS
    assert seen[0]["test_locked"].evidence == ("each of 4 steps (the second request had to wait 3 times)",)


def test_what_is_cut_while_another_comes_never_arrives(seen: tuple[Run, World]) -> None:
    """Only the connection that was held is reset: the second process keeps its own."""
    assert seen[0]["test_cut_meanwhile"].verdict is Verdict.PASS
    assert seen[0]["test_cut_meanwhile"].evidence == ("its only step",)


def test_who_joins_a_look_is_found_when_its_answer_is_held(seen: tuple[Run, World]) -> None:
    """A look that has not reached the service sees what was done meanwhile; only after it, it does not."""
    assert seen[0]["test_joined_before_the_look"].verdict is Verdict.PASS
    assert seen[0]["test_joined_before_the_look"].evidence == ("its only step (the second request had to wait once)",)
    verdict, reason, what = said(seen, "test_joined_after_the_look")

    assert (verdict, reason) == (Verdict.FAIL, "anothers")
    key = what.split("`")[1].split()[1]
    assert what == (f"the count of who came when it was 1; your server was held after its `get {key}`, before it heard "
                    "the answer, while somebody counted and looked (step 1 of 1)")


def test_a_step_whose_answer_is_held_has_been_done(seen: tuple[Run, World]) -> None:
    """After the first step of two the other one comes in between, after the second one it finds what was written."""
    assert seen[0]["test_counted_before_the_answer"].evidence == ("[(200, 200, 1), (200, 200, 2)]",)


def test_what_the_server_is_asked_for_a_runs_rows_is_not_held(seen: tuple[Run, World]) -> None:
    """Nor does it wait for a step that the run before it never came to."""
    assert seen[0]["test_prepared_by_the_server"].verdict is Verdict.PASS, seen[0]["test_prepared_by_the_server"]
    assert seen[0]["test_prepared_by_the_server"].seconds < 10


def test_a_server_is_killed_between_two_writes(seen: tuple[Run, World]) -> None:
    """And at every other point: without a word of the service about what is written, none is left out."""
    verdict, reason, what = said(seen, "test_dies_between")

    assert (verdict, reason) == (Verdict.FAIL, "half")
    assert "your server was killed between its `set k" in what
    assert what.endswith("(step 2 of 2)")


def test_what_is_done_before_the_kill_sees_what_is_half_done(seen: tuple[Run, World]) -> None:
    """``meanwhile`` runs while the server stands at the step: a replica sees one of the two keys."""
    verdict, reason, what = said(seen, "test_seen_before_it_dies")

    assert (verdict, reason) == (Verdict.FAIL, "seen-half")
    assert what.endswith("(step 2 of 2)")


def test_work_after_the_answer_is_found(seen: tuple[Run, World]) -> None:
    """A step that begins when the client has its answer is a step like others."""
    assert said(seen, "test_answers_before_it_works")[:2] == (Verdict.FAIL, "not-done")


def test_an_answer_that_does_not_wait_for_its_step_arrives(seen: tuple[Run, World]) -> None:
    """The server stands at the step, and what it says meanwhile has been said before it is killed."""
    verdict, reason, what = said(seen, "test_answers_while_it_works")

    assert (verdict, reason) == (Verdict.FAIL, "not-done")
    assert "your server was killed before its first step, `incr k" in what


def test_a_lost_answer_is_not_an_undone_step(seen: tuple[Run, World]) -> None:
    """Trying again is right when the service never got it, and wrong when it did."""
    verdict, reason, what = said(seen, "test_retries")

    assert (verdict, reason) == (Verdict.FAIL, "twice")
    assert "your server lost its connection to store after its `incr k" in what
    assert seen[0]["test_retries"].evidence == ("its only step",)


def test_what_was_cut_off_may_come_late(seen: tuple[Run, World]) -> None:
    """The server has its answer by another connection, and the service does what the first one had sent, too."""
    assert seen[0]["test_retries_while_it_is_under_way"].evidence == ("[(200, 2)]",)


def test_a_replica_can_be_the_one_whose_connection_is_cut(seen: tuple[Run, World]) -> None:
    """What is asked of it are its own steps, not those of the server."""
    verdict, reason, what = said(seen, "test_retries_at_a_replica")

    assert (verdict, reason) == (Verdict.FAIL, "twice")
    assert "your server lost its connection to store after its `incr k" in what


def test_a_silent_service_is_silent_on_every_connection_and_then_speaks(seen: tuple[Run, World]) -> None:
    """Who tries again elsewhere hears nothing there either; afterwards the next request is answered."""
    verdict, reason, what = said(seen, "test_silent")

    assert (verdict, reason) == (Verdict.FAIL, "as-it-should")
    assert what.startswith("what came of it; your server heard nothing more from store between its `get k")
    assert what.endswith("(step 2 of 2)")


def test_a_delay_and_a_bound_and_the_steps_themselves(seen: tuple[Run, World]) -> None:
    """What was left out is said; the steps of a request are evidence, too."""
    assert seen[0]["test_delayed"].evidence == ("each of 2 steps", "1 of 2 steps")
    assert seen[0]["test_bounded"].evidence == ("1 of 2 steps",)
    assert seen[0]["test_steps"].evidence == ("get steps set steps 2",)


def test_the_time_line_names_the_steps(seen: tuple[Run, World]) -> None:
    """What was held, killed and cut, and which step of how many."""
    marks = [mark.text for mark in seen[1].marks]

    assert any(text.startswith("step 2 of 2: your server is held before set k") for text in marks)
    assert "your server goes on" in marks
    assert "step 2 of 2: your server is killed there, and started again" in marks
    assert any(text.startswith("step 1 of 1: the connection is cut after incr k") for text in marks)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What is told in place of a verdict: check -> its first exploration."""
    world, names = World(), ("test_naive", "test_right", "test_retries")
    try:
        run = run_checks(tmp_path_factory.mktemp("shown"), CHECKS, url=world.shop.url, answerer=world,
                         only=[f"shop/step/{name}" for name in names], show={"step": 0})
        assert {one["check"] for one in run.events("finished")} == {f"shop/step/{name}" for name in names}
        yield {str(one["check"]).rpartition("/")[2]: one["told"] for one in reversed(run.events("explored"))}
    finally:
        world.close()


def test_a_failure_is_told_and_the_next_step_tried(shown: dict[str, dict[str, Any]]) -> None:
    """`labs explore` shows each step: what did not hold at one of them hides no other."""
    naive = shown["test_naive"]

    assert [step["kind"] for step in naive["steps"]] == ["get", "set"]
    assert [(row["step"], row["answers"], row["broken"] and row["broken"]["reason"]) for row in naive["rows"]] == [
        (1, ["200", "200"], None), (2, ["200", "200"], "lost")]
    assert naive["rows"][1]["broken"]["what"] == "the count"
    assert (naive["deed"], naive["during"]) == ("hold", "another one came")
    assert re.fullmatch(r"POST /naive/\{id\}", naive["request"])
    assert [row["broken"] for row in shown["test_right"]["rows"]] == [None]
    assert shown["test_retries"]["deed"] == "cut"


def test_one_step_can_be_told_alone(tmp_path: Path) -> None:
    """So that a failure that names its step can be looked at again."""
    world = World()
    try:
        run = run_checks(tmp_path, CHECKS, url=world.shop.url, answerer=world,
                         only=["shop/step/test_naive"], show={"step": 2})
        assert [row["step"] for one in run.events("explored") for row in one["told"]["rows"]] == [2]
    finally:
        world.close()
