"""The end of a log that is worth the place: an exception's own line before the many frames below it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

FRAME = re.compile(r"\s+(?:at \S|\.\.\. \d+ (?:more|common frames))")
"""A line below a Java exception, or one of JavaScript. What threw it stands in the line above the first of them."""
LEFT_OUT = "   (more frames left out)"


def last_lines(lines: Sequence[str], count: int) -> list[str]:
    """The last ``count`` lines. Where there are more, frames of a stack are left out first.

    Of each exception two frames stay, or one if that is still too much.
    """
    kept = list(lines)
    for frames in (2, 1):
        if len(kept) > count:
            kept = list(_folded(lines, frames))
    return kept[-count:]


def _folded(lines: Sequence[str], frames: int) -> Iterator[str]:
    below = 0
    for number, line in enumerate(lines):
        below = below + 1 if FRAME.match(line) else 0
        follows = number + 1 < len(lines) and FRAME.match(lines[number + 1])
        if below < frames or (below == frames and not follows):
            yield line
        elif below == frames:
            yield line.removesuffix(LEFT_OUT) + LEFT_OUT
