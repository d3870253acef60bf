"""caching/absent: an address without an event is remembered for a while, and no longer than it is without one."""

import time

import pytest

from orchestrator.checks import NoAnswer, expect, promises

ASKED, OTHERS, WINDOW, MOST, REST = 100, 60, 5, 2, 4


@pytest.fixture
def nowhere(fresh):
    """`nowhere() -> address` without an event."""
    return lambda: f"n-{fresh.token().lower()}"


@promises("absent-remembered", "unknown-address", "get-events-404")
def test_nothing_is_asked_once(server, twin, postgres, nowhere, read, evidence):
    """An address without an event is read a hundred times, at two processes: PostgreSQL hears of few of them."""
    address, began = nowhere(), time.monotonic()
    with postgres.statements() as asked:
        for number in range(ASKED):
            expect.equal(None, read((server, twin)[number % 2], address), f"a read of {address}, which nobody has made",
                         reason="unknown-found")
    windows = 1 + int((time.monotonic() - began) // WINDOW)
    expect.at_most(MOST * windows, asked.calls, f"how many statements PostgreSQL got for {ASKED} reads of an address without an "
                   f"event, within {windows * WINDOW} seconds", reason="absent-asked-again")
    evidence(f"{ASKED} reads of an address without an event: PostgreSQL got {asked.calls} statements")


@promises("absent-ends-soon")
def test_what_is_not_there_does_not_fill_redis(server, redis, nowhere, make_event, read, kept, evidence):
    """Sixty addresses without an event are read, or deleted: every key that is kept of them ends within ten seconds."""

    def soon(how, longest=10.0):
        for key, left in kept().items():
            expect.true(0 <= left <= longest * 1000, f"in how many seconds the key {key} ends, which came with {how}",
                        reason="absent-stays", expected=f"at most {longest:g}", seen="never" if left < 0 else f"{left / 1000:.1f}")

    deleted = make_event()
    read(server, deleted)
    redis.flush()
    expect.status(server.delete(f"/events/{deleted}"), 204, reason="change-refused")
    soon("a DELETE of an event")
    for _ in range(OTHERS):
        read(server, nowhere())
        soon("a read of an address without an event")
    address = nowhere()
    read(server, address)
    for key in kept():
        redis.client.pexpire(key, REST * 1000)
    began = time.monotonic()
    read(server, address)
    if time.monotonic() - began < REST:  # else it has ended by itself, and was made anew
        soon(f"a read of an address without an event, was to end in {REST} seconds, and was read once more", REST)
    evidence(f"Redis had {len(kept())} keys after {OTHERS} addresses without an event, and each ends within 10 seconds")


@promises("nothing-stale", "put-events-201")
def test_what_is_made_is_seen_at_once(server, twin, nowhere, new_fields, agrees, evidence):
    """An address without an event is read by both processes; then the event is made, deleted, and made again."""
    for one in (server, twin):
        address = nowhere()
        for _ in range(2):
            agrees(address, "before it was made", "stale")
            expect.status(one.put(f"/events/{address}", json=new_fields()), 201, reason="create-refused")
            agrees(address, "after it was made", "absent-after-created")
            expect.status(one.delete(f"/events/{address}"), 204, reason="change-refused")
            agrees(address, "after it was deleted", "stale")
    evidence("four times an event was made where both processes had found none: both saw it at once")


@promises("nothing-stale")
def test_it_is_made_in_the_middle_of_a_read(explore, server, twin, nowhere, new_fields, agrees, evidence):
    """Between any two steps of a read of an empty address the event is made there: nobody misses it afterwards."""

    def made(address, _, answer):
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 201, reason="create-refused")
            agrees(address, "after it was made in the middle of a read", "absent-after-created")

    seen = explore.interleave(
        lambda address: server.get(f"/events/{address}"),
        lambda address: twin.put(f"/events/{address}", json=new_fields()),
        made,
        prepare=nowhere,
        during="another process made the event",
    )
    evidence(f"the event was made before {seen} of a read that found none: both processes saw it")
