"""What all our pages share: one file that needs nothing else, no script, light and dark, from a phone's width on."""

from __future__ import annotations

import html

from orchestrator.report.terminal import escape

STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--paper:#fff;--edge:#d1d9e0;--card:#f6f8fa;
--good:#1a7f37;--bad:#c62828;--warn:#8a5d00;--a:#0b57b7;--b:#a8421c;--c:#6a3fb5;--d:#116d6e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--paper:#0d1117;--edge:#3d444d;--card:#151b23;
--good:#56d364;--bad:#ff8a80;--warn:#e3b341;--a:#79c0ff;--b:#ffa28b;--c:#d2a8ff;--d:#7ee0d6}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;padding:1rem;
max-width:72rem;overflow-wrap:anywhere}
code,pre,.t{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.88em}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.05rem;margin:2rem 0 .4rem}
.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
"""


def page(title: str, body: str, *, style: str = "", mark: str = "") -> str:
    """The whole page. ``body`` is HTML whose foreign text went through ``text``; its policy forbids scripts anyway.

    ``mark`` is a comment near its beginning, by which we know a page of ours again.
    """
    return (
        f'<!doctype html>\n{mark}<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{text(title)}</title><style>{STYLE}{style}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def text(shown: object) -> str:
    """Foreign text in HTML: shown as it is, control characters written out."""
    return html.escape(escape(str(shown)))
