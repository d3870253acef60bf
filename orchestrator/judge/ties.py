"""Which round trip of the server each record of a service came from: by connection and order; the clock is a hint.

A service's stamp may be a few milliseconds from ours (another clock, whole milliseconds, the moment at which a loop
began), and two requests may be less apart. What the proxy saw is by our own clock, as the requests are. On one
connection records and trips have the same order, so a trip that has its record already is not likely to be the next
one's. Some trips leave no record (a greeting, a ping), and some leave many (a pipeline). Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.model import Record

Trip = tuple[float, float]
"""When the server asked and when the first of the answer came, in seconds since 1970."""
SHARED, NEVER = 0.002, 1.0
"""Seconds that a record's stamp is rather from a free trip than from one that has a record already: where both stamps
fit into that trip, and where they do not."""
FAR = 0.05
"""Seconds from which on a record is of no trip that we saw."""
NEAR = 6
"""Trips before and after a stamp that are looked at."""
OPENED = 40
"""Connections that were opened before a session's first record, and may be its own."""
SAMPLES = 5


def tied(records: Sequence[Record], connections: Iterable[Sequence[Trip]]) -> tuple[Record, ...]:
    """One service's records in their order, with ``sent`` where it is known. ``connections``: the trips of each."""
    sessions: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        sessions.setdefault(record.session, []).append(place)
    free = sorted((trips for trips in connections if trips), key=lambda trips: trips[0])
    found = list(records)
    for places in sorted(sessions.values(), key=len, reverse=True):
        own = [records[place].at for place in places]
        place = bisect_right(free, (own[0], float("inf")), key=lambda trips: trips[0])
        some = free[max(0, place - OPENED): place + NEAR]
        if not some or _distance(own, trips := min(some, key=lambda one: _distance(own, one))) > FAR:
            continue
        free.remove(trips)
        for place, trip in zip(places, _aligned(own, trips), strict=True):
            found[place] = replace(found[place], sent=trips[trip][0])
    return tuple(found)


def _off(at: float, trip: Trip) -> float:
    """Seconds from a stamp to a trip; 0 within it."""
    asked, answered = trip
    return max(asked - at, at - answered, 0.0)


def _distance(stamps: Sequence[float], trips: Sequence[Trip]) -> float:
    """How far some of a session's records are from a connection's trips, on average."""
    if stamps[0] < trips[0][0] - FAR or stamps[-1] > trips[-1][1] + FAR:
        return float("inf")
    some = stamps[:: max(1, len(stamps) // SAMPLES)]
    return sum(min(_off(at, trips[place]) for place in _near(at, trips)) for at in some) / len(some)


def _near(at: float, trips: Sequence[Trip]) -> range:
    place = bisect_right(trips, (at, float("inf")))
    return range(max(0, place - NEAR), min(len(trips), place + NEAR))


def _aligned(stamps: Sequence[float], trips: Sequence[Trip]) -> list[int]:
    """A trip for each stamp, none before the last one's, at the least cost: what each is off, what is shared."""
    costs: dict[int, float] = {}
    ways: list[dict[int, int]] = []
    last = 0.0
    for at in stamps:
        here: dict[int, float] = {}
        way: dict[int, int] = {}
        first = min(costs, default=0)
        older = sorted(((cost, one) for one, cost in costs.items()), key=lambda one: -one[1])
        best = (float("inf"), 0)
        for place in [one for one in _near(at, trips) if one >= first] or [max(costs)]:
            while older and older[-1][1] < place:
                best = min(best, older.pop())
            asked, answered = trips[place]
            shared = SHARED if at - last <= answered - asked else NEVER
            again = (costs[place] + shared, place) if place in costs else best
            cost, way[place] = min(best, again) if costs else (0.0, place)
            here[place] = cost + _off(at, trips[place])
        costs, last = here, at
        ways.append(way)
    place = min(costs, key=lambda one: (costs[one], one))
    found = []
    for way in reversed(ways):
        found.append(place)
        place = way[place]
    return found[::-1]
