"""A time line for the terminal, readable from 40 columns on, with and without colours."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping

from orchestrator.report.terminal import MARKS, Paint, plain
from orchestrator.report.timeline import Request, Timeline, Words
from orchestrator.report.trace import Block, Line, blocks, is_wrong
from orchestrator.system.text import escape

LEAST_WIDTH, MOST_WIDTH = 40, 120
BY_TIME = "What belongs to which request is told by the time at which the service recorded it."


def render(timeline: Timeline, *, width: int = 80, paint: Paint = plain, everything: bool = False) -> str:
    """The time line as text, ``width`` columns wide. Everything foreign is escaped."""
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    word, colour = MARKS[timeline.verdict]
    reason = f"  {timeline.reason}" if timeline.reason else ""
    out = [f"{paint(timeline.milestone, 'bold')}  {paint(word, colour)}{escape(reason)}",
           *_wrapped(escape(timeline.title), width)]
    out += _wrapped(f"{', '.join(timeline.products.values())} · seed {timeline.seed}", width, paint)
    check = ""
    shown = blocks(timeline, everything=everything)
    for block in shown:
        if block.kind == "request" and block.check != check:
            check = block.check
            title = escape(timeline.checks.get(check, check))
            mark = paint("FAIL", "red") if is_wrong(timeline, check) else paint("pass", "green")
            first, *rest = _wrapped(title, width - 6, paint, "bold")
            out += ["", f"{mark}  {first}", *(f"      {line}" for line in rest)]
        out += _block(block, timeline.words, width, paint)
    if not shown:
        out += ["", *_wrapped("Nothing was recorded: your server was not asked anything.", width)]
    out += ["", *(line for text in legend(timeline) for line in _wrapped(escape(text), width, paint))]
    for service, gap in timeline.gaps.items():
        out += _wrapped(f"{service}: {escape(gap)}", width, paint)
    hidden = len(timeline.checks) - len(timeline.failed)
    if timeline.failed and hidden and not everything:
        out += _wrapped(f"more: labs trace {timeline.milestone} --all (the checks that passed, too)", width)
    return "\n".join(out)


def summary(requests: tuple[Request, ...]) -> str:
    """``POST /orders``, or what a crowd of requests was: ``200 at once: 150 x GET /events, 50 x POST /orders``."""
    if len(requests) == 1:
        return f"{requests[0].method} {requests[0].path}"
    kinds = Counter(f"{one.method} {re.sub(r'[0-9]+', 'N', one.path.split('?')[0])}" for one in requests)
    shown = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(3))
    return f"{len(requests)} at once: {shown}" + (", ..." if len(kinds) > 3 else "")


def answers(requests: tuple[Request, ...]) -> str:
    """``201 {"order": ...}``, or ``200 x 48, 409 x 2``."""
    if len(requests) == 1:
        one = requests[0]
        return f"{one.status} {one.response}".strip() if one.status is not None else "no answer"
    statuses = Counter("no answer" if one.status is None else str(one.status) for one in requests)
    return ", ".join(f"{status} x {count}" for status, count in sorted(statuses.items()))


def counted(block: Block, words: Mapping[str, Words]) -> dict[str, str]:
    """Service -> ``9 statements in postgres``."""
    found = {}
    for service, count in block.counts.items():
        said = words.get(service, Words())
        found[service] = f"{count} {said.entry if count == 1 else said.entries} in {service}"
    return found


def legend(timeline: Timeline) -> list[str]:
    """What stands below a time line: each service's own words for its records, once."""
    return [*dict.fromkeys(said.legend for said in timeline.words.values() if said.legend), BY_TIME]


def took(block: Block) -> str:
    """How long the requests took together, from the first to the last answer."""
    if not block.requests:
        return ""
    end = max(one.at + one.seconds for one in block.requests)
    return f"{(end - block.requests[0].at) * 1000:.0f} ms"


def figures(line: Line) -> str:
    """``1 row  0.4 ms``, as far as the service says it."""
    parts = []
    if line.rows is not None:
        parts.append(f"{line.rows} row" + ("" if line.rows == 1 else "s"))
    if line.seconds is not None:
        parts.append(f"{line.seconds * 1000:.1f} ms")
    return "  ".join(parts)


def one_line(text: str) -> str:
    """Statements as one line, without comments that lead it."""
    text = re.sub(r"\A(?:\s*(?:--[^\n]*\n|/\*.*?\*/))+", "", text, flags=re.DOTALL)
    return escape(re.sub(r"\s+", " ", text).strip())


def _block(block: Block, words: Mapping[str, Words], width: int, paint: Paint) -> Iterator[str]:
    clock = f"{block.at:7.3f} s"
    if block.kind in ("mark", "skipped"):
        yield f"{clock}  {paint(cut('~~ ' + escape(block.text), width - 11), 'yellow')}"
        return
    heads = {"start": "your server starts", "between": "between requests"}
    head = heads.get(block.kind) or summary(block.requests)
    body = block.requests[0].body if len(block.requests) == 1 else ""
    yield f"{clock}  {paint(cut(escape(f'{head} {body}'.strip()), width - 11), 'cyan')}"
    for line in block.lines:
        yield from _line(line, width, paint)
    if block.requests:
        counts = escape(", ".join(counted(block, words).values()))
        tail = "  ".join(part for part in (took(block), counts) if part)
        if block.sessions:
            tail += f"  {block.sessions} new session" + ("" if block.sessions == 1 else "s")
        answer = one_line(answers(block.requests))
        room = width - 11 - len(tail) - 2
        if room >= 20:
            yield f"{'':11}{cut(answer, room):<{room}}  {paint(tail, 'dim')}"
        else:
            yield f"{'':11}{cut(answer, width - 11)}"
            yield f"{'':11}{paint(cut(tail, width - 11), 'dim')}"


def _line(line: Line, width: int, paint: Paint) -> Iterator[str]:
    record = line.record
    label = f"{record.service} {record.source}"
    indent = 4 if width < 70 else 22
    if line.mark:
        said = textwrap.wrap(one_line(record.text), width - indent - 3, max_lines=2, placeholder=" ...")
        first, *rest = said or [""]
        yield " " * indent + paint(f"~~ {first}", "yellow")
        yield from (" " * (indent + 3) + paint(more, "yellow") for more in rest)
        return
    if width < 70:
        yield f"  {paint(label, 'dim')}"
        start = " " * indent
    else:
        start = f"  {paint(f'{label:<18}', 'dim')}  "
    tail = figures(line)
    room = width - indent - (len(tail) + 2 if tail else 0)
    first, second = _two_lines(one_line(record.text), room)
    text = f"{first:<{room}}" if tail else first
    yield start + (paint(text, "red") if record.refused else text) + (f"  {paint(tail, 'dim')}" if tail else "")
    if second:
        yield f"{'':{indent}}{paint(second, 'red') if record.refused else second}"
    if record.note:
        yield f"{'':{indent}}{paint(cut('! ' + one_line(record.note), width - indent), 'red')}"
    if line.count > 1:
        more = f"... {line.count} times in all, with other values"
        yield f"{'':{indent}}{paint(cut(more, width - indent), 'yellow')}"


def _two_lines(text: str, width: int) -> tuple[str, str]:
    """The text's beginning, parted between two words where there is room for them; cut after that."""
    if len(text) <= width:
        return text, ""
    place = text.rfind(" ", width // 2, width + 1)
    first = text[:place] if place > 0 else text[:width]
    return first, cut(text[len(first):].strip(), width)


def cut(text: str, width: int) -> str:
    """The text, its end replaced by dots if it is longer than ``width``."""
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def _wrapped(text: str, width: int, paint: Paint = plain, colour: str = "dim") -> list[str]:
    return [paint(line, colour) for line in textwrap.wrap(text, width)] or [""]


