"""Foreign text, made harmless for a reader's terminal."""

from __future__ import annotations


def escape(text: str) -> str:
    """Control characters made visible, tabs left: what a server prints must not steer the reader's terminal."""
    return "".join(one if one == "\t" or one.isprintable() else f"\\x{ord(one):02x}" for one in text)
