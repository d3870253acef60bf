"""Foreign text, made harmless and plain for a reader's terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What steers a terminal, or turns the direction of writing: all of it but tab and newline."""


SGR = re.compile(r"\x1b\[[0-9;]*m")
"""What sets a colour."""


def escape(text: str) -> str:
    """Control characters made visible, tabs left: what a server prints must not steer the reader's terminal."""
    return "".join(one if one == "\t" or one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def without_colours(text: str) -> str:
    """The text without what sets a colour: build tools print it, and nobody misses it."""
    return SGR.sub("", text)


ANCHOR = re.compile(r"""<a\s+(id|href)=["']?(#?)([^"'>\s]*)["']?\s*>\s*</a>""")
"""An empty anchor: the name of a sentence in a page of Markdown, or a pointer to one. Nobody sees it."""


def without_anchors(text: str) -> str:
    """The text as people read it."""
    return ANCHOR.sub("", text)


def without_steering(text: str) -> str:
    """A lab author's text of several lines, in any language: only what steers a terminal is made visible."""
    return STEERING.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


LABEL = re.compile(r" *(?:\| |\S+(?: \S+)? {2,}(?:\S+ {2,})?)")
"""What stands before a line's text: ``expected  ``, ``| `` before a log, ``FAIL   postgres/pool   ``."""


def filled(text: str, width: int) -> str:
    """Lines for a terminal of this width that would break words: broken at spaces instead, below their text.

    A command to be pasted (``by hand``) and a word longer than a line stay whole: the terminal breaks those.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        label = LABEL.match(without_colours(line))
        if columns(line) <= width or (label and label[0].split() == ["by", "hand"]):
            lines.append(line)
            continue
        deep = len(label[0]) if label and len(label[0]) <= width // 2 else None
        lines += fit(line, width, hang=deep, cut=False)
    return "\n".join(lines)


def fit(text: str, width: int, *, hang: int | None = None, cut: bool = True) -> list[str]:
    """The line as lines of at most ``width`` columns, broken at spaces where there are some, its indent kept.

    ``hang``: the indent of all but the first. Without ``cut`` a word that is longer than a line stays whole.
    Tabs become spaces: a terminal that only moves its cursor would leave old letters in between.
    """
    width, text = max(width, 8), text.expandtabs()
    indent = text[: min(len(text) - len(text.lstrip(" ")), width // 2)]
    lines, line = [], indent
    deeper = indent if hang is None else " " * hang
    for word in re.findall(r" *[^ ]+", text[len(indent):]):
        if columns(line + word) > width and line.strip():
            lines.append(line)
            line, word = deeper, word.lstrip(" ")
        while cut and columns(line + word) > width:
            most = _cut(word, width - columns(line))
            lines.append(line + word[:most])
            line, word = deeper, word[most:]
        line += word
    return [*lines, line] if line.strip() or not lines else lines


def _cut(word: str, width: int) -> int:
    """How many characters of a word fit, at least one."""
    used = 0
    for number, character in enumerate(word):
        used += columns(character)
        if used > width:
            return max(1, number)
    return len(word)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes; colours take none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in without_colours(text))


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
