"""Fixtures that start real servers."""

from __future__ import annotations

from support.target import make, run_id

__all__ = ["make", "run_id"]
