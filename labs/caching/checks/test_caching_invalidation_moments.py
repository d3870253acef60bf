"""caching/invalidation: whatever comes between two steps of a read or a change, nobody sees an old state afterwards."""

import pytest

from orchestrator.checks import NoAnswer, expect, promises

SOON = 5
"""Seconds after which also a change that was not answered is seen, or was not made."""


@pytest.fixture
def cold(make_event, redis):
    """`cold() -> address` of an event of which Redis has nothing."""

    def make():
        address = make_event()
        redis.flush()
        return address

    return make


@pytest.fixture
def warm(make_event, read, server):
    """`warm() -> address` of an event that has its entry."""

    def make():
        address = make_event()
        read(server, address)
        return address

    return make


@pytest.fixture
def change(new_fields):
    """`change(server)(address)`: a `PUT` of new values."""
    return lambda one: lambda address: one.put(f"/events/{address}", json=new_fields())


@pytest.fixture
def right_after(agrees):
    """`right_after(address, answers, when, reason)`: at once, or soon where a change was not answered or said 503."""

    def look(address, answers, when, reason):
        for answer in answers:
            if not isinstance(answer, NoAnswer):
                expect.status(answer, 200, 204, 500, 503, reason="change-refused")
        done = all(not isinstance(answer, NoAnswer) and answer.status < 300 for answer in answers)
        agrees(address, when, reason, within=None if done else SOON)

    return look


@promises("nothing-stale")
def test_a_read_that_comes_late_fills_nothing_old(explore, server, twin, cold, change, right_after, evidence):
    """Between any two steps of a read the event is changed, or deleted: what the read had seen is not kept."""
    tried = 0
    for name, other in (("PUT", change(twin)), ("DELETE", lambda address: twin.delete(f"/events/{address}"))):
        tried += explore.interleave(
            lambda address: server.get(f"/events/{address}"),
            other,
            lambda address, _, answer, name=name: right_after(
                address, [answer], f"after a {name} that came in the middle of a read", "stale-fill"),
            prepare=cold,
            during=f"a {name} of the event was answered by another process",
        ).tried
    evidence(f"changes came before {tried} steps of reads: both processes answered what PostgreSQL has")


@promises("nothing-stale")
def test_a_read_in_the_middle_of_a_change(explore, server, twin, warm, change, right_after, evidence):
    """Between any two steps of a change another process reads the event: what it kept is not seen afterwards."""
    tried = 0
    for name, one in (("PUT", change(server)), ("DELETE", lambda address: server.delete(f"/events/{address}"))):
        tried += explore.interleave(
            one,
            lambda address: twin.get(f"/events/{address}"),
            lambda address, answer, _, name=name: right_after(
                address, [answer], f"after a {name} in whose middle it was read", "stale-fill"),
            prepare=warm,
            during="another process read the event",
        ).tried
    evidence(f"another process read the event before {tried} steps of changes: nobody saw the old state afterwards")


@promises("truth-wins", "nothing-stale")
def test_two_changes_at_once(explore, server, twin, warm, change, right_after, evidence):
    """Between any two steps of a change another process changes the event: all see what PostgreSQL has in the end."""
    seen = explore.interleave(
        change(server), change(twin),
        lambda address, *answers: right_after(address, answers, "after two PUTs at once", "changes-crossed"),
        prepare=warm,
        during="another process changed the event",
    )
    evidence(f"another change came before {seen} of a change: both processes answered what PostgreSQL has")


@promises("unanswered-soon-true", "never-without-end")
def test_a_kill_in_the_middle_of_a_change(explore, server, twin, warm, change, read, right_after, bounded, evidence):
    """Your server is killed before any step of a change, and another process reads just then: soon all see what PostgreSQL has."""

    def holds(address, answer):
        right_after(address, [answer], "after your server was killed in the middle of a change", "stale-after-crash")
        bounded("after your server was killed in the middle of a change")

    tried = sum(
        explore.crash(one, holds, prepare=warm, meanwhile=lambda address: read(twin, address)).tried
        for one in (change(server), lambda address: server.delete(f"/events/{address}"))
    )
    evidence(f"your server was killed at {tried} points of changes, another one read meanwhile: nobody saw an old state for long")


@promises("nothing-stale", "unanswered-soon-true")
def test_a_change_whose_word_to_redis_is_lost(explore, server, warm, change, right_after, evidence):
    """The connection to Redis breaks at any step of a change: it is seen, or refused and soon not seen any more."""
    tried = 0
    for how in ("never", "lost"):
        tried += explore.cut(
            change(server),
            lambda address, answer: right_after(
                address, [answer], "after the connection to Redis broke in the middle of a PUT", "stale-after-cut"),
            answer=how, services=("redis",), prepare=warm,
        ).tried
    evidence(f"the connection to Redis broke at {tried} steps of changes: both processes answered what PostgreSQL has")


@promises("keys-may-vanish", "nothing-stale")
def test_redis_is_emptied_in_the_middle_of_a_change(explore, server, twin, redis, warm, change, read, right_after, evidence):
    """Between any two steps of a change Redis loses all keys, and another process reads the event: nothing old stays."""

    def meanwhile(address):
        redis.flush()
        return read(twin, address)

    seen = explore.interleave(
        change(server), meanwhile,
        lambda address, answer, _: right_after(
            address, [answer], "after a PUT in whose middle Redis was emptied, and the event read", "stale-fill"),
        prepare=warm, during="Redis was emptied, and another process read the event",
    )
    evidence(f"Redis was emptied before {seen} of a change, and the event read: nobody saw the old state afterwards")


@promises("nothing-stale")
def test_who_comes_later_gets_what_is_then(explore, server, twin, cold, change, read, truth, evidence):
    """A read waits for its answer while the event is changed elsewhere: who then asks the same process gets the new state."""

    def later(address):
        answer = change(twin)(address)
        return answer, truth(address), read(server, address)

    def holds(_, first, second):
        if isinstance(second, NoAnswer):
            return
        answer, row, seen = second
        if answer.status == 200:
            expect.equal(row, seen, "a read that began when a change had been answered, beside the row in PostgreSQL", reason="stale-look")

    seen = explore.interleave(
        lambda address: server.get(f"/events/{address}"), later, holds, prepare=cold, answers=True,
        during="another process changed the event, and the same process was asked once more",
    )
    evidence(f"the event was changed after {seen} of a read: who came later got the new state")
