"""One live line for each service while something is done to it; plain lines, once each, where no terminal looks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from orchestrator.cli.outcome import say

if TYPE_CHECKING:
    from orchestrator.environments.execute import Progress

WORDS = {
    "create": "creating", "start": "starting", "unpause": "resuming", "wait": "waiting until it answers",
    "prepare": "preparing",
    "stop": "stopping", "remove": "removing", "keep": "keeping", "unkeep": "forgetting",
}


class Live:
    """Shows progress of operations; a context manager. Progress may come from several threads."""

    def __init__(self, services: Sequence[str]) -> None:
        self._lines = dict.fromkeys(services, "")
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._terminal = sys.stderr.isatty()
        self._drawn = 0

    def __enter__(self) -> Live:
        return self

    def progress(self, progress: Progress) -> None:
        """Note that an operation begins or has ended."""
        operation = progress.operation
        if not operation.service:
            return
        seconds = time.monotonic() - self._began
        word = WORDS[operation.verb]
        with self._lock:
            if self._terminal:
                self._lines[operation.service] = f"{word} ({seconds:.1f} s)" + (" done" if progress.done else "")
                self._draw()
            elif progress.done and operation.verb in ("wait", "stop", "remove"):
                say(f"{operation.service}: {operation.verb} done after {seconds:.1f} s")

    def _draw(self) -> None:
        lines = [f"  {service:<14} {text}" for service, text in self._lines.items() if text]
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        sys.stderr.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(lines)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live lines away: the result says it again, better."""
        with self._lock:
            if self._terminal and self._drawn:
                sys.stderr.write(f"\x1b[{self._drawn}F\x1b[J")
                sys.stderr.flush()
                self._drawn = 0
