"""Waiting for conditions, never for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(function: Callable[[], T], *, seconds: float = 10.0) -> T:
    """Call until the answer is truthy; fails with the last answer at the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = function()
        if value:
            return value
        assert time.monotonic() < end, f"still {value!r} after {seconds} s"
        time.sleep(0.01)
