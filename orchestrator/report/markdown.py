"""Foreign text in Markdown, shown as it is."""

from __future__ import annotations

import re

from orchestrator.system.text import escape

MOST = 400
"""Characters of one line of code."""


def text(shown: str) -> str:
    """Text that Markdown shows as it is, also in a cell of a table: no markup, no HTML, no link, no mention."""
    shown = escape(shown).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Entities, not backslashes: those do not stop bare addresses from becoming links.
    return re.sub(r"[\\`*_{}\[\]#!|~$]|(?<=\w):(?=/)|@|(?<=www)\.", lambda found: f"&#{ord(found[0])};", shown)


def code(shown: str) -> str:
    """One line of code: nothing in it is markup, whatever it holds."""
    shown = escape(shown)
    shown = shown if len(shown) <= MOST else shown[: MOST - 1] + "…"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}"
