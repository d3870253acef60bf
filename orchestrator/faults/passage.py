"""One direction of one connection under faults: what came in, what goes on and when. Pure: it is told the time.

Each fault that shapes time is a shaper: ``plan(at, data)`` says when which pieces go on. When faults change, what is
still here is planned anew from that moment: nothing is lost, doubled or out of order, whatever is added or removed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from orchestrator.faults.toxics import Toxic

MOST_HERE = 256 * 1024
"""Bytes that wait in one passage: then its writer waits, as for a slow reader."""
MOST_IN_ALL = 8 * 1024 * 1024
"""Bytes that wait in all passages of a link. Then each read is of ``LEAST`` bytes, into an empty passage only."""
LEAST = 4096
CHUNK = 64 * 1024
SLICE = 0.05
"""Seconds of a narrow link's time that one piece takes: a trickle, not a gulp a second."""
Piece = tuple[float, bytes]
Ending = Literal["", "fin", "close", "reset"]


@dataclass(slots=True)
class Store:
    """How many bytes wait in all passages of a link together."""

    held: int = 0


class Shaper(Protocol):
    """One fault that decides when data goes on."""

    def plan(self, at: float, data: bytes) -> Iterable[Piece]:
        """When which pieces of data go on that was here at this moment; never before what was planned earlier."""


class _Latency:
    def __init__(self, toxic: Toxic, chance: Random) -> None:
        self._seconds, self._jitter = toxic.seconds(), toxic.seconds("jitter")
        self._chance = chance
        self._free = 0.0

    def plan(self, at: float, data: bytes) -> Iterable[Piece]:
        late = self._seconds + (self._chance.uniform(-self._jitter, self._jitter) if self._jitter else 0.0)
        self._free = max(self._free, at + late)
        yield self._free, data


class _Bandwidth:
    def __init__(self, toxic: Toxic) -> None:
        self._rate = toxic.numbers["rate"] * 1024
        self._size = min(CHUNK, max(1, int(self._rate * SLICE)))
        self._free = 0.0

    def plan(self, at: float, data: bytes) -> Iterable[Piece]:
        self._free = max(self._free, at)
        for piece in _pieces(data, self._size):
            self._free += len(piece) / self._rate
            yield self._free, piece


class _Slicer:
    def __init__(self, toxic: Toxic) -> None:
        self._size, self._apart = int(toxic.numbers["bytes"]), toxic.seconds()
        self._free = 0.0

    def plan(self, at: float, data: bytes) -> Iterable[Piece]:
        for piece in _pieces(data, self._size):
            when = max(self._free, at)
            self._free = when + self._apart
            yield when, piece


def _pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start:start + size] for start in range(0, len(data), size))


class Passage:
    """``take`` what came in, ``pop`` what is due, look again at ``next``."""

    def __init__(self, toxics: Sequence[Toxic], now: float, store: Store, chance: Random) -> None:
        self._store = store
        self._chance = chance
        self._waiting: deque[Piece] = deque()
        self._here = 0
        self._passed = 0
        self._ended: float | None = None
        self._gone = False
        self._since: dict[Toxic, tuple[float, int]] = {}
        """When each fault began here, and how much had passed before it."""
        self._shapers: list[Shaper] = []
        self.change(toxics, now)

    def change(self, toxics: Sequence[Toxic], now: float) -> None:
        """From now on these faults and no others."""
        self._since = {one: self._since.get(one, (now, self._passed)) for one in toxics}
        self._shapers = [shaper for one in toxics if (shaper := self._shaper(one)) is not None]
        waiting, self._waiting = b"".join(data for _, data in self._waiting), deque()
        self._plan(waiting, now)

    def _shaper(self, toxic: Toxic) -> Shaper | None:
        match toxic.kind:
            case "latency":
                return _Latency(toxic, self._chance)
            case "bandwidth":
                return _Bandwidth(toxic)
            case "slicer":
                return _Slicer(toxic)
        return None

    def _plan(self, data: bytes, now: float) -> None:
        pieces: Iterable[Piece] = [(now, data)] if data else []
        for shaper in self._shapers:
            pieces = [piece for at, part in pieces for piece in shaper.plan(at, part)]
        self._waiting.extend(pieces)

    def room(self) -> int:
        """How many bytes may be read into it now; 0: none, until some have gone on."""
        if self._store.held >= MOST_IN_ALL:
            return 0 if self._here else LEAST
        return max(0, min(CHUNK, MOST_HERE - self._here))

    def take(self, data: bytes, now: float) -> None:
        """This came in."""
        self._here += len(data)
        self._store.held += len(data)
        self._plan(data, now)

    def finish(self, now: float) -> None:
        """The end came in: nothing more will."""
        self._ended = now

    def pop(self, now: float) -> tuple[bytes, Ending] | None:
        """What goes on now, and whether the connection ends with it. Call it again until there is nothing."""
        if self._blocked:
            return None
        if self._waiting:
            if self._waiting[0][0] > now:
                return None
            _, data = self._waiting.popleft()
            self._let_go(len(data))
            left = min((int(one.numbers["bytes"]) - (self._passed - passed)
                        for one, (_, passed) in self._since.items() if one.kind == "limit_data"), default=len(data) + 1)
            self._passed += len(data)
            return (data[:max(0, left)], "close") if left <= len(data) else (data, "")
        if self._ended is None or self._gone or now < self._end_at:
            return None
        self._gone = True
        return b"", "fin"

    def over(self, now: float) -> Ending:
        """How the connection ends now because a fault's time has come, if it does."""
        return next((how for at, how in self._endings() if now >= at), "")

    def next(self, *, blocked: bool = False) -> float | None:
        """When to look again; ``None``: not before something comes in. ``blocked``: the other side takes nothing."""
        times = [at for at, _ in self._endings()]
        if not blocked and not self._blocked:
            if self._waiting:
                times.append(self._waiting[0][0])
            elif self._ended is not None and not self._gone:
                times.append(self._end_at)
        return min(times, default=None)

    @property
    def idle(self) -> bool:
        """Nothing is here and no fault either: the passage is of no use any more."""
        return not self._since and not self._waiting and (self._ended is None or self._gone)

    def clear(self) -> None:
        """The connection is closed: what waited here is nobody's."""
        self._waiting.clear()
        self._let_go(self._here)

    @property
    def _blocked(self) -> bool:
        return any(one.kind == "timeout" for one in self._since)

    @property
    def _end_at(self) -> float:
        slow = sum(one.seconds() for one in self._since if one.kind == "slow_close")
        return (self._ended or 0.0) + slow

    def _endings(self) -> list[tuple[float, Ending]]:
        return sorted((since + one.seconds(), "reset" if one.kind == "reset_peer" else "close")
                      for one, (since, _) in self._since.items()
                      if one.kind == "reset_peer" or (one.kind == "timeout" and one.numbers["ms"]))

    def _let_go(self, count: int) -> None:
        self._here -= count
        self._store.held -= count
