"""A time line as one page: nothing from elsewhere, no script, light and dark, from a phone's width on."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.model import Verdict
from orchestrator.report.page import page, text
from orchestrator.report.timeline import Timeline
from orchestrator.report.trace import Block, Line, blocks, is_wrong
from orchestrator.report.trace_terminal import LEGEND, answers, cut, figures, one_line, summary, took

MOST_TEXT = 600
"""Characters of one statement that are shown; `labs trace --json` has more."""

STYLE = """
ol{list-style:none;margin:0;padding:0}
.block{border-left:3px solid var(--edge);padding:.1rem 0 .8rem 1rem;margin-left:.35rem;position:relative}
.block:before{content:"";position:absolute;left:-8px;top:.45rem;width:13px;height:13px;border-radius:50%;
background:var(--paper);border:3px solid var(--soft)}
.mark:before{border-color:var(--warn);border-radius:2px}
.ask{display:flex;gap:.8rem;align-items:baseline;flex-wrap:wrap}.ask time{color:var(--soft);min-width:4.5em}
.rows{border:1px solid var(--edge);border-radius:8px;margin:.4rem 0;background:var(--card);overflow:hidden}
.row{display:grid;grid-template-columns:9.8rem 1fr auto;gap:.1rem .8rem;padding:.25rem .7rem;
border-top:1px solid var(--edge)}
.row:first-child{border-top:0}.row .sql{white-space:pre-wrap}.row .note{grid-column:2/-1}
.s0{color:var(--a)}.s1{color:var(--b)}.s2{color:var(--c)}.s3{color:var(--d)}
.many{color:var(--warn);font-weight:600;grid-column:2/-1}
@media(max-width:40rem){.row{grid-template-columns:1fr auto}.row .sql,.row .note,.many{grid-column:1/-1}}
"""


def render(timeline: Timeline, *, everything: bool = False) -> str:
    """The page. Everything foreign is escaped; the policy in its head forbids scripts all the same."""
    services = {name: f"s{number % 4}" for number, name in enumerate(timeline.products)}
    good = timeline.verdict is Verdict.PASS
    body = "".join(_blocks(timeline, services, everything=everything))
    gaps = "".join(f"<p class=soft>{text(service)}: {text(gap)}</p>" for service, gap in timeline.gaps.items())
    head = (f"<h1>{text(timeline.milestone)} <span class={'good' if good else 'bad'}>{text(timeline.verdict)}"
            f" {text(timeline.reason)}</span></h1>\n<p>{text(timeline.title)}</p>\n"
            f"<p class=soft>{text(', '.join(timeline.products.values()))} · seed {timeline.seed}</p>\n")
    legend = "".join(f"<p class=soft>{text(line)}</p>" for line in LEGEND)
    return page(f"{timeline.milestone}: {timeline.verdict}", head + body + legend + gaps, style=STYLE)


def _blocks(timeline: Timeline, services: dict[str, str], *, everything: bool) -> Iterator[str]:
    check = ""
    yield "<ol>"
    for block in blocks(timeline, everything=everything):
        if block.kind == "request" and block.check != check:
            check = block.check
            word = "<span class=bad>failed</span>" if is_wrong(timeline, check) else "<span class=good>passed</span>"
            yield f"</ol>\n<h2>{word} {text(timeline.checks.get(check, check))}</h2>\n<ol>"
        yield _block(block, services)
    yield "</ol>\n"


def _block(block: Block, services: dict[str, str]) -> str:
    clock = f"<time>{block.at:.3f} s</time>"
    if block.kind in ("mark", "skipped"):
        return f'<li class="block mark"><div class=ask>{clock}<span class=warn>{text(block.text)}</span></div></li>\n'
    heads = {"start": "your server starts", "between": "between requests"}
    head = heads.get(block.kind) or summary(block.requests)
    asked = block.requests[0].body if len(block.requests) == 1 else ""
    rows = "".join(_row(line, services) for line in block.lines)
    counts = " · ".join(f'<span class={services.get(name, "s0")}>{count} in {text(name)}</span>'
                        for name, count in block.counts.items())
    answer = ""
    if block.requests:
        wrong = any(one.status is None or one.status >= 500 for one in block.requests)
        parts = [text(took(block)), counts]
        if block.sessions:
            parts.append(f"{block.sessions} new session{'' if block.sessions == 1 else 's'}")
        said = text(one_line(answers(block.requests)))
        answer = (f'<div class=answer><code class={"bad" if wrong else "good"}>{said}</code>'
                  f" <span class=soft>{' · '.join(part for part in parts if part)}</span></div>")
    return (f"<li class=block><div class=ask>{clock}<b class=t>{text(head)}</b> <code>{text(asked)}</code></div>"
            f"{f'<div class=rows>{rows}</div>' if rows else ''}{answer}</li>\n")


def _row(line: Line, services: dict[str, str]) -> str:
    record = line.record
    note = f"<span class='note bad'>{text(record.note)}</span>" if record.note else ""
    many = f"<span class=many>{line.count} times in all, with other values</span>" if line.count > 1 else ""
    return (f'<div class=row><span class="t {services.get(record.service, "s0")}">{text(record.service)}'
            f" <span class=soft>{text(record.source)}</span></span>"
            f'<code class="sql{" bad" if record.refused else ""}">{text(cut(one_line(record.text), MOST_TEXT))}</code>'
            f"<span class=soft>{text(figures(line))}</span>{note}{many}</div>")
