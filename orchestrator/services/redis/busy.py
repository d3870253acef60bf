"""A Redis that answers nothing but BUSY: a script of the learner's has been running for more than five seconds."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentFault

if TYPE_CHECKING:
    from redis import Redis

SILENCE = 5.0
"""Seconds in which Redis answers nothing at all, BUSY neither, while a script runs (``busy-reply-threshold``)."""


def is_busy(error: Exception) -> bool:
    """Whether Redis refused a command because of a script that does not end."""
    return str(error).upper().startswith("BUSY ")


def end_script(client: Redis, seconds: float) -> None:
    """End a script of the learner's that never ends: Redis answers nothing else before that.

    A script that has already written cannot be ended: ``EnvironmentFault``, the instance must be made again.
    """
    import redis

    end = time.monotonic() + seconds
    while True:
        try:
            client.ping()
            return
        except redis.ResponseError as error:
            if not is_busy(error):
                raise
            if time.monotonic() > end:
                raise EnvironmentFault(f"a script in Redis does not end: {error}", code="service-refused",
                                       hint="labs stop redis") from error
        for kind in ("SCRIPT", "FUNCTION"):
            with suppress(redis.ResponseError):  # the other kind is what runs, or it has just ended
                client.execute_command(kind, "KILL")  # type: ignore[no-untyped-call]
        time.sleep(0.01)
