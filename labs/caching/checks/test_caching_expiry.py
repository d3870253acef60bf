"""caching/expiry: each event has one key, which ends by itself, at a time of its own."""

import time

from orchestrator.checks import Late, expect, promises

EVENTS, TRIES = 40, 3
SPREAD, CROWD, WINDOW = 10.0, 20, 2.0
"""The ends of 40 entries lie over ten seconds at least, and in no two seconds are more than 20 of them.

Each is drawn from 20 seconds or more. So one of a right server would be called wrong less than once in ten million runs: all
within ten seconds, 40 * 0.5 ** 39 (1e-10) at most; 20 in two seconds, 40 * C(39, 19) * 0.1 ** 19 * 0.9 ** 20 (4e-8)."""
LONG = 10_000
"""Milliseconds within which every key ends that is no entry."""


@promises("one-entry-each", "entry-ends", "others-end-soon", "ends-apart")
def test_entries_end_and_not_together(server, redis, make_event, read, kept, bounded, evidence):
    """Forty events are read: each has a key of its own, which ends in 30 to 60 seconds, and not with the others."""
    addresses, lives = [make_event() for _ in range(EVENTS)], []
    redis.flush()
    before = set()
    for address in addresses:
        began = time.monotonic()
        read(server, address)
        now = kept()
        gone = time.monotonic() - began
        bounded(f"after GET /events/{address}")
        new = {key: left for key, left in now.items() if key not in before}
        before |= set(now)
        expect.true(new, f"which keys came into Redis with GET /events/{address}", reason="not-one-key",
                    expected="one that holds this event", seen="none")
        entries = [left / 1000 for left in new.values() if left > LONG]
        expect.at_least(1, len(entries), f"how many keys that live 30 to 60 seconds GET /events/{address} made; its keys "
                        f"live {expect.shown(sorted(left / 1000 for left in new.values()))} seconds", reason="ends-wrong")
        expect.equal(1, len(entries), f"how many keys with more than 10 seconds to live GET /events/{address} made",
                     reason="other-keys-stay")
        expect.at_least(30 - gone - 0.1, entries[0], "in how many seconds the entry ends that was just made", reason="ends-wrong")
        lives += entries
    lives.sort()
    crowd = max(sum(one <= other <= one + WINDOW for other in lives) for one in lives)
    shown = f"the times to live of {EVENTS} entries, from {lives[0]:.1f} to {lives[-1]:.1f} seconds"
    expect.at_least(SPREAD, round(lives[-1] - lives[0], 1), f"over how many seconds the ends lie apart: {shown}", reason="ends-together")
    expect.at_most(CROWD, crowd, f"how many entries end within the same two seconds: {shown}", reason="ends-together")
    evidence(f"{EVENTS} keys in Redis live {lives[0]:.1f} to {lives[-1]:.1f} seconds, at most {crowd} of them end within two seconds")


@promises("entry-ends")
def test_reading_does_not_move_the_end(server, twin, redis, make_event, read, kept, evidence):
    """An entry that is read again and again ends when it should, also one that is about to end."""
    for rest in (25, 4):
        for _ in range(TRIES):
            address = make_event()
            redis.flush()
            read(server, address)
            began = time.monotonic()
            for key, left in kept().items():
                redis.client.pexpire(key, min(left, rest * 1000))
            for one in (server, twin, server):
                read(one, address)
            ends = kept()
            if time.monotonic() - began < rest:  # else it has ended by itself, and was made anew
                break
        else:
            raise Late(f"three reads within {rest} seconds", ends)
        for key, left in ends.items():
            what = f"in how many seconds the key {key} ends, which was to end in {rest}, after three reads"
            expect.between(0, rest, left / 1000, what, reason="end-moves")
    evidence("an entry with 25 seconds to live, and one with 4, had no more after three reads")


@promises("ended-is-read-anew", "keys-may-vanish")
def test_an_ended_entry_is_read_anew(server, twin, redis, wait, make_event, read, replaced, truth, kept, fresh, evidence):
    """The time of an entry is over, and the row has changed: the next read answers the row."""
    address = make_event()
    for one in (server, twin):
        read(one, address)
    replaced(address, fresh.integer(10_000_000, 20_000_000))
    for key in kept():
        redis.client.pexpire(key, 1)
    wait.until(lambda: not kept(), deadline=5, what="the end of all keys in Redis")
    found = truth(address)
    for one in (server, twin):
        expect.equal(found, read(one, address), "a read after the entry has ended, beside the row in PostgreSQL",
                     reason="ended-still-answered")
    evidence("the entry ended in Redis, and both processes answered the new row")


@promises("never-without-end")
def test_a_killed_server_leaves_no_key_for_ever(explore, server, make_event, new_fields, bounded, fresh, evidence):
    """Whenever your server is killed while it reads an event, or none, or writes one: each key that is in Redis ends by itself."""
    body, tried = new_fields(), 0
    for method, prepare in (("GET", make_event), ("GET", lambda: f"n-{fresh.token().lower()}"), ("PUT", make_event)):
        tried += explore.crash(
            lambda address, method=method: server.request(method, f"/events/{address}", json=body if method == "PUT" else None),
            lambda address, _, method=method: bounded(f"after your server was killed in {method} /events/{address}"),
            prepare=prepare,
        ).tried
    evidence(f"your server was killed at {tried} points of reads and of a change: Redis has no key without an end")
