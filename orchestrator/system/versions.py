"""Versions of programs, number by number."""

from __future__ import annotations


def at_least(version: str, least: str) -> bool:
    """Whether a dotted version is this one or later; missing parts count as 0."""
    found, wanted = ([int(part) for part in value.split(".")] for value in (version, least))
    length = max(len(found), len(wanted))
    return found + [0] * (length - len(found)) >= wanted + [0] * (length - len(wanted))
