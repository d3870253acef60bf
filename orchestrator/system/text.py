"""Foreign text, made harmless and plain for a reader's terminal."""

from __future__ import annotations

import re

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What steers a terminal, or turns the direction of writing: all of it but tab and newline."""


def escape(text: str) -> str:
    """Control characters made visible, tabs left: what a server prints must not steer the reader's terminal."""
    return "".join(one if one == "\t" or one.isprintable() else f"\\x{ord(one):02x}" for one in text)


ANCHOR = re.compile(r"""<a\s+(id|href)=["']?(#?)([^"'>\s]*)["']?\s*>\s*</a>""")
"""An empty anchor: the name of a sentence in a page of Markdown, or a pointer to one. Nobody sees it."""


def without_anchors(text: str) -> str:
    """The text as people read it."""
    return ANCHOR.sub("", text)


def without_steering(text: str) -> str:
    """A lab author's text of several lines, in any language: only what steers a terminal is made visible."""
    return STEERING.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))
