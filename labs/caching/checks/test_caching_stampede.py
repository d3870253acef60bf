"""caching/stampede: many ask for what Redis does not have, and PostgreSQL hears one question."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from orchestrator.checks import Call, Late, expect, promises

READERS, ROUNDS, MOST = 8, 2, 2
CROWD = 1.9
"""Seconds for which PostgreSQL is slow, from the first question on: a read waits for two at least, and asks no second time."""
EARLY, SOON = 0.3, 3
"""Seconds that the one that asks lives when the others have come, and those within which they are answered then."""


@pytest.fixture
def slow(postgres, wait):
    """`with slow() as crowd`: whoever asks for an event waits; `crowd()`: until somebody waits, and then for the others.

    The block's end lets all go on. `crowd(1)` waits for the first one only.
    """
    def asking():
        return sum(one.state == "active" and "events" in one.query for one in postgres.sessions())

    def crowd(most=MOST + 1, patience=CROWD):
        try:
            wait.until(asking, deadline=3, what="a question to PostgreSQL")
            wait.until(lambda: asking() >= most, deadline=patience, what="more questions to PostgreSQL")
        except Late:
            pass  # nobody else asks, which is right

    @contextmanager
    def held():
        with postgres.as_learner() as db:
            db.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            yield crowd

    return held


@pytest.fixture
def right(truth):
    """`right(address, answers)`: each of them is the event."""

    def look(address, answers):
        found = truth(address)
        for answer in answers:
            expect.status(answer, 200, reason="read-refused")
            expect.fields(answer, found, "what one of many readers got", reason="answer-wrong")

    return look


@promises("asked-twice-at-most", "slow-is-fine")
def test_many_readers_ask_postgresql_once(server, twin, postgres, redis, make_event, slow, right, evidence):
    """Twenty-four readers at three processes, Redis without the entry, PostgreSQL slow: it gets two questions at most."""
    three, most = [server, twin, server.replica()], 0
    for _ in range(ROUNDS):
        address = make_event()
        redis.flush()
        calls = [Call("GET", f"/events/{address}")] * READERS
        with ThreadPoolExecutor(len(three)) as pool, postgres.statements() as asked:
            with slow() as crowd:
                readers = [pool.submit(one.parallel, calls, at_once=READERS, deadline=20) for one in three]
                crowd()
            answers = [answer for reader in readers for answer in reader.result()]
        expect.at_most(MOST, asked.calls, f"how many statements PostgreSQL got for {len(answers)} reads of one event at once, "
                       "at three processes", reason="asked-by-many")
        right(address, answers)
        most = max(most, asked.calls)
    evidence(f"{READERS * len(three)} readers at three processes: PostgreSQL got {most} {'question' if most == 1 else 'questions'}")


@promises("nobody-waits-for-the-dead")
def test_nobody_waits_for_the_dead(server, redis, make_event, slow, right, evidence):
    """The process that asks PostgreSQL is killed: the readers at another one are answered within three seconds."""
    asker, address = server.replica(), make_event()
    redis.flush()
    path = f"/events/{address}"
    with ThreadPoolExecutor(2) as pool:
        with slow() as crowd:
            lost = pool.submit(asker.parallel, [Call("GET", path)], deadline=10, unanswered="keep")
            crowd(1)
            readers = pool.submit(server.parallel, [Call("GET", path)] * READERS, at_once=READERS, deadline=20)
            crowd(patience=EARLY)
            asker.stop(grace=0)
        lost.result()
        answers = expect.within(SOON, readers.result, reason="stuck-behind-the-dead",
                                what=f"{READERS} readers, when the process that asked PostgreSQL for them was killed")
    right(address, answers)
    evidence(f"the process that asked was killed: {READERS} readers at another one had their answer within {SOON} s")
