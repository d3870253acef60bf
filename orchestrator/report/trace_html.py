"""A time line as one page: nothing from elsewhere, no script, light and dark, from a phone's width on."""

from __future__ import annotations

import html
from collections.abc import Iterator

from orchestrator.model import Verdict
from orchestrator.report.terminal import escape
from orchestrator.report.timeline import Timeline
from orchestrator.report.trace import Block, Line, blocks, is_wrong
from orchestrator.report.trace_terminal import LEGEND, answers, cut, figures, one_line, summary, took

MOST_TEXT = 600
"""Characters of one statement that are shown; `labs trace --json` has more."""

STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--paper:#fff;--edge:#d1d9e0;--card:#f6f8fa;
--good:#1a7f37;--bad:#c62828;--warn:#8a5d00;--a:#0b57b7;--b:#a8421c;--c:#6a3fb5;--d:#116d6e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--paper:#0d1117;--edge:#3d444d;--card:#151b23;
--good:#56d364;--bad:#ff8a80;--warn:#e3b341;--a:#79c0ff;--b:#ffa28b;--c:#d2a8ff;--d:#7ee0d6}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;padding:1rem;
max-width:72rem;overflow-wrap:anywhere}
code,.t{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.88em}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.05rem;margin:2rem 0 .4rem}
.meta,.legend,.fig,.src{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
ol{list-style:none;margin:0;padding:0}
.block{border-left:3px solid var(--edge);padding:.1rem 0 .8rem 1rem;margin-left:.35rem;position:relative}
.block:before{content:"";position:absolute;left:-8px;top:.45rem;width:13px;height:13px;border-radius:50%;
background:var(--paper);border:3px solid var(--soft)}
.mark:before{border-color:var(--warn);border-radius:2px}
.ask{display:flex;gap:.8rem;align-items:baseline;flex-wrap:wrap}.ask time{color:var(--soft);min-width:4.5em}
.ask b{font-weight:600}
.rows{border:1px solid var(--edge);border-radius:8px;margin:.4rem 0;background:var(--card);overflow:hidden}
.row{display:grid;grid-template-columns:9.8rem 1fr auto;gap:.1rem .8rem;padding:.25rem .7rem;
border-top:1px solid var(--edge)}
.row:first-child{border-top:0}.row .sql{white-space:pre-wrap}.row .note{grid-column:2/-1}
.s0{color:var(--a)}.s1{color:var(--b)}.s2{color:var(--c)}.s3{color:var(--d)}
.many{color:var(--warn);font-weight:600;grid-column:2/-1}
.answer b{font-weight:600}
@media(max-width:40rem){.row{grid-template-columns:1fr auto}.row .sql,.row .note,.many{grid-column:1/-1}}
"""


def render(timeline: Timeline, *, everything: bool = False) -> str:
    """The page. Everything foreign is escaped; the policy in its head forbids scripts all the same."""
    services = {name: f"s{number % 4}" for number, name in enumerate(timeline.products)}
    good = timeline.verdict is Verdict.PASS
    body = "".join(_blocks(timeline, services, everything=everything))
    gaps = "".join(f"<p class=legend>{_text(service)}: {_text(gap)}</p>" for service, gap in timeline.gaps.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(timeline.milestone)}: {timeline.verdict}</title><style>{STYLE}</style></head>\n<body><main>\n"
        f"<h1>{_text(timeline.milestone)} <span class={'good' if good else 'bad'}>{_text(timeline.verdict)}"
        f" {_text(timeline.reason)}</span></h1>\n<p>{_text(timeline.title)}</p>\n"
        f"<p class=meta>{_text(', '.join(timeline.products.values()))} · seed {timeline.seed}</p>\n{body}"
        f"{''.join(f'<p class=legend>{_text(text)}</p>' for text in LEGEND)}{gaps}\n</main></body></html>\n"
    )


def _blocks(timeline: Timeline, services: dict[str, str], *, everything: bool) -> Iterator[str]:
    check = ""
    yield "<ol>"
    for block in blocks(timeline, everything=everything):
        if block.kind == "request" and block.check != check:
            check = block.check
            word = "<span class=bad>failed</span>" if is_wrong(timeline, check) else "<span class=good>passed</span>"
            yield f"</ol>\n<h2>{word} {_text(timeline.checks.get(check, check))}</h2>\n<ol>"
        yield _block(block, services)
    yield "</ol>\n"


def _block(block: Block, services: dict[str, str]) -> str:
    clock = f"<time>{block.at:.3f} s</time>"
    if block.kind in ("mark", "skipped"):
        return f'<li class="block mark"><div class=ask>{clock}<span class=warn>{_text(block.text)}</span></div></li>\n'
    heads = {"start": "your server starts", "between": "between requests"}
    head = heads.get(block.kind) or summary(block.requests)
    asked = block.requests[0].body if len(block.requests) == 1 else ""
    rows = "".join(_row(line, services) for line in block.lines)
    counts = " · ".join(f'<span class={services.get(name, "s0")}>{count} in {_text(name)}</span>'
                        for name, count in block.counts.items())
    answer = ""
    if block.requests:
        wrong = any(one.status is None or one.status >= 500 for one in block.requests)
        parts = [_text(took(block)), counts]
        if block.sessions:
            parts.append(f"{block.sessions} new session{'' if block.sessions == 1 else 's'}")
        said = _text(one_line(answers(block.requests)))
        answer = (f'<div class=answer><code class={"bad" if wrong else "good"}>{said}</code>'
                  f" <span class=fig>{' · '.join(part for part in parts if part)}</span></div>")
    return (f"<li class=block><div class=ask>{clock}<b class=t>{_text(head)}</b> <code>{_text(asked)}</code></div>"
            f"{f'<div class=rows>{rows}</div>' if rows else ''}{answer}</li>\n")


def _row(line: Line, services: dict[str, str]) -> str:
    record = line.record
    note = f"<span class='note bad'>{_text(record.note)}</span>" if record.note else ""
    many = f"<span class=many>{line.count} times in all, with other values</span>" if line.count > 1 else ""
    return (f'<div class=row><span class="t {services.get(record.service, "s0")}">{_text(record.service)}'
            f" <span class=src>{_text(record.source)}</span></span>"
            f'<code class="sql{" bad" if record.refused else ""}">{_text(cut(one_line(record.text), MOST_TEXT))}</code>'
            f"<span class=fig>{_text(figures(line))}</span>{note}{many}</div>")


def _text(text: str) -> str:
    return html.escape(escape(str(text)))
