"""A time line cut into blocks as people read it: a request, what the services recorded meanwhile, the answer. Pure.

What belongs to which request is decided by when the server sent it, as the link to the service saw it; where that is
not known, by the service's own clock: the target says nothing of it. Requests that overlap are one block. Lines of the
same shape are one line with a count, so that fifty statements too many are seen as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.model import Record, Verdict
from orchestrator.report.timeline import Mark, Request, Timeline

SLACK = 0.003
"""Seconds: a service's clock and ours are read at different moments. What the link saw is by our clock."""
LONG = 12
"""Lines of a block from which on equal shapes are put together, wherever they stand in it."""
MOST_BLOCKS = 60
Kind = Literal["start", "request", "between", "mark", "skipped"]


@dataclass(frozen=True, slots=True)
class Line:
    """Records of one shape: the first of them, how many, and what they took and returned together.

    ``mark``: no record, but what the checker did at this place; the record's text says it.
    """

    record: Record
    count: int = 1
    seconds: float | None = None
    rows: int | None = None
    mark: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of time. ``at``: seconds since the time line's beginning; ``text`` for marks and what was skipped."""

    kind: Kind
    at: float
    check: str = ""
    requests: tuple[Request, ...] = ()
    lines: tuple[Line, ...] = ()
    text: str = ""
    sessions: int = 0
    """Connections that the services saw for the first time."""

    @property
    def counts(self) -> dict[str, int]:
        """Service -> how many records the block has of it."""
        found: dict[str, int] = {}
        for line in (line for line in self.lines if not line.mark):
            found[line.record.service] = found.get(line.record.service, 0) + line.count
        return found


@dataclass(slots=True)
class _Window:
    """Overlapping requests, and the records within."""

    begin: float
    end: float
    requests: list[Request] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


def blocks(timeline: Timeline, *, everything: bool = False) -> list[Block]:
    """The time line's blocks, in order. Without ``everything`` and if checks failed: only what those did."""
    wanted = set(timeline.checks) if everything or not timeline.failed else set(timeline.failed)
    windows = _windows(timeline.requests)
    loose = _distribute(windows, timeline.records)
    # A request that was held, killed or cut at a step: it is said between the records where it was.
    marks = _mark(windows, timeline.marks)
    seen: set[tuple[str, str]] = set()
    found: list[tuple[float, Block]] = []
    first = windows[0].begin if windows else float("inf")
    for begin, records in _runs(loose, [window.begin for window in windows], timeline.marks):
        kind: Kind = "start" if begin < first and not any(mark.at < begin for mark in timeline.marks) else "between"
        found.append((begin, Block(kind, begin - timeline.began, lines=lines(records))))
    for window in windows:
        found.append((window.begin, Block("request", window.begin - timeline.began, window.requests[0].check,
                                          tuple(window.requests), tuple(_with_marks(window)))))
    found += [(mark.at, Block("mark", mark.at - timeline.began, text=mark.text)) for mark in marks]
    ordered = [_with_sessions(block, seen) for _, block in sorted(found, key=lambda one: one[0])]
    return _shortened(list(_wanted(ordered, wanted, set(timeline.checks))))


def shape(record: Record) -> tuple[str, bool, int | str]:
    """Equal for records that differ in values only: as the service says, else in what is quoted and in numbers."""
    if record.shape is not None:
        return record.service, record.refused, record.shape
    text = re.sub(r"  \[.*\]$", "", record.text, flags=re.DOTALL)
    text = re.sub(r"'(?:[^']|'')*'", "?", text)
    return record.service, record.refused, " ".join(re.sub(r"\d+", "?", text).split())


def lines(records: Sequence[Record]) -> tuple[Line, ...]:
    """Neighbours of the same shape as one line; in a long block all of the same shape, where the first one stood."""
    found: list[tuple[object, list[Record]]] = []
    for record in records:
        if found and found[-1][0] == shape(record):
            found[-1][1].append(record)
        else:
            found.append((shape(record), [record]))
    if len(found) > LONG:
        together: dict[object, list[Record]] = {}
        for name, some in found:
            together.setdefault(name, []).extend(some)
        found = list(together.items())
    return tuple(_line(some) for _, some in found)


def is_wrong(timeline: Timeline, check: str) -> bool:
    """Whether this check is one that did not pass."""
    return timeline.verdict is not Verdict.PASS and check in timeline.failed


def _line(records: Sequence[Record]) -> Line:
    times = [record.seconds for record in records if record.seconds is not None]
    rows = [record.rows for record in records if record.rows is not None]
    # The one with a word about it speaks for all.
    first = next((record for record in records if record.note), records[0])
    return Line(first, len(records), sum(times) if times else None, sum(rows) if rows else None)


def _windows(requests: Sequence[Request]) -> list[_Window]:
    found: list[_Window] = []
    for request in requests:
        if found and request.at < found[-1].end and request.check == found[-1].requests[0].check:
            found[-1].requests.append(request)
            found[-1].end = max(found[-1].end, request.at + request.seconds)
        else:
            found.append(_Window(request.at, request.at + request.seconds, [request]))
    return found


def _distribute(windows: Sequence[_Window], records: Sequence[Record]) -> list[Record]:
    """Put each record into the window in which it was sent, or began; those of none are returned."""
    loose: list[Record] = []
    for record in records:
        at, slack = (record.at, SLACK) if record.sent is None else (record.sent, 0.0)
        home = next((window for window in windows if window.begin - slack <= at <= window.end + slack), None)
        (home.records if home is not None else loose).append(record)
    return loose


def _mark(windows: Sequence[_Window], marks: Sequence[Mark]) -> list[Mark]:
    """Put each mark into the window in which it was made; those of none are returned."""
    loose: list[Mark] = []
    for mark in marks:
        home = next((window for window in windows if window.begin <= mark.at <= window.end), None)
        if home is not None:
            home.marks.append(mark)
        else:
            loose.append(mark)
    return loose


def _with_marks(window: _Window) -> Iterator[Line]:
    """The window's records, and between them what was done to the server meanwhile."""
    left = window.records
    for mark in window.marks:
        yield from lines([record for record in left if record.at < mark.at])
        yield Line(Record("", mark.at, mark.text, ""), mark=True)
        left = [record for record in left if record.at >= mark.at]
    yield from lines(left)


def _runs(
    records: Sequence[Record], begins: Sequence[float], marks: Sequence[Mark]
) -> Iterator[tuple[float, list[Record]]]:
    """Loose records, cut where a request or a mark comes in between."""
    cuts = sorted([*begins, *(mark.at for mark in marks)])
    run: list[Record] = []
    for record in records:
        if run and any(run[-1].at < cut <= record.at for cut in cuts):
            yield run[0].at, run
            run = []
        run.append(record)
    if run:
        yield run[0].at, run


def _with_sessions(block: Block, seen: set[tuple[str, str]]) -> Block:
    new = {(line.record.service, line.record.session) for line in block.lines if line.record.session} - seen
    seen |= new
    return Block(block.kind, block.at, block.check, block.requests, block.lines, block.text, len(new))


def _wanted(ordered: Sequence[Block], wanted: set[str], known: set[str]) -> Iterator[Block]:
    """Requests of the wanted checks, the start, and what happened between two of them."""
    inside = True
    for block in ordered:
        if block.kind == "request":
            inside = block.check in wanted or block.check not in known
        if inside or block.kind == "start":
            yield block


def _shortened(found: list[Block]) -> list[Block]:
    """At most ``MOST_BLOCKS``: the first and the last of them, and how many there were in between."""
    if len(found) <= MOST_BLOCKS:
        return found
    half = MOST_BLOCKS // 2
    left_out = found[half:-half]
    requests = sum(len(block.requests) for block in left_out)
    return [*found[:half], Block("skipped", left_out[0].at, text=f"{requests} more requests, left out here"),
            *found[-half:]]
