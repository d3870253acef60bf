"""A time line as one page: ``trace.html``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.model import Verdict
from orchestrator.report.page import page
from orchestrator.report.timeline import Timeline, Words
from orchestrator.report.trace import Block, Line, blocks, is_wrong
from orchestrator.report.trace_terminal import answers, counted, cut, figures, legend, one_line, summary, took

MOST_TEXT = 600
"""Characters of one statement that are shown; `labs trace --json` has more."""
HEADS = {"start": "your server starts", "between": "between requests"}


def render(timeline: Timeline, *, everything: bool = False) -> str:
    """The page, check by check; before the first of them, the server's start."""
    colours = {name: f"s{number % 4}" for number, name in enumerate(timeline.products)}
    checks: list[dict[str, Any]] = [{"name": None, "wrong": False, "blocks": []}]
    check = ""
    for block in blocks(timeline, everything=everything):
        if block.kind == "request" and block.check != check:
            check = block.check
            checks.append({"name": timeline.checks.get(check, check), "wrong": is_wrong(timeline, check), "blocks": []})
        checks[-1]["blocks"].append(_block(block, colours, timeline.words))
    return page(
        "trace.html", title=f"{timeline.milestone}: {timeline.verdict}", milestone=timeline.milestone,
        good=timeline.verdict is Verdict.PASS, verdict=timeline.verdict, reason=timeline.reason, name=timeline.title,
        products=timeline.products.values(), seed=timeline.seed, checks=[one for one in checks if one["blocks"]],
        legend=legend(timeline), gaps=timeline.gaps.items())


def _block(block: Block, colours: Mapping[str, str], words: Mapping[str, Words]) -> dict[str, Any]:
    clock = f"{block.at:.3f}"
    if block.kind in ("mark", "skipped"):
        return {"clock": clock, "mark": block.text}
    shown = {
        "clock": clock, "mark": "", "head": HEADS.get(block.kind) or summary(block.requests),
        "asked": block.requests[0].body if len(block.requests) == 1 else "",
        "lines": [_line(line, colours) for line in block.lines], "answered": bool(block.requests),
    }
    if block.requests:
        shown |= {
            "wrong": any(one.status is None or one.status >= 500 for one in block.requests),
            "said": one_line(answers(block.requests)), "took": took(block), "sessions": block.sessions,
            "counts": [(said, colours.get(name, "s0")) for name, said in counted(block, words).items()],
        }
    return shown


def _line(line: Line, colours: Mapping[str, str]) -> dict[str, Any]:
    record = line.record
    return {"colour": colours.get(record.service, "s0"), "service": record.service, "source": record.source,
            "refused": record.refused, "text": cut(one_line(record.text), MOST_TEXT), "figures": figures(line),
            "note": record.note, "count": line.count, "mark": line.mark}
