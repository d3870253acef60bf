"""Docker's answers that mean no harm, and its changes that take a moment until they can be seen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from orchestrator.errors import EnvironmentFault

GONE_SECONDS = 20.0
"""How long a removal, ours or another command's, may take to be over."""


@contextlib.contextmanager
def ignoring(*statuses: int, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Answers of the engine that mean: it is so already, or it is gone; ``unless`` a look says otherwise."""
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        if error.status_code not in statuses or unless():
            raise


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it; ``engine-failed`` with ``what`` after ``GONE_SECONDS``."""
    end = time.monotonic() + GONE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise EnvironmentFault(f"{what} after {GONE_SECONDS:.0f} s", code="engine-failed", hint="labs doctor")
        time.sleep(0.01)


def insisting(call: Callable[[], None], *busy: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Remove something: gone already is well; with a ``busy`` status it is still in use, so tried again for a while.

    What is in use may be so by something that has just gone from sight, or has come only now (``meanwhile``).
    """
    from docker.errors import APIError, NotFound

    end = time.monotonic() + GONE_SECONDS
    while True:
        try:
            call()
            return
        except NotFound:
            return
        except APIError as error:
            if error.status_code not in busy or time.monotonic() > end:
                raise
        meanwhile()
        time.sleep(0.02)
