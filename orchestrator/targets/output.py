"""What a program wrote, capped: the beginning and the end are kept, the middle is counted and dropped."""

from __future__ import annotations

import codecs
import os
import threading
from collections import deque
from collections.abc import Callable

from orchestrator.system.tail import last_lines
from orchestrator.system.text import escape, without_colours

HEAD = 16 * 1024
TAIL = 64 * 1024
LINE = 2000


class Output:
    """A pump from a descriptor into memory. Never blocks the writer for longer than a read takes.

    ``on_line`` gets each line as it comes, like those of ``text``; it is meant for programs that say little.
    """

    def __init__(self, descriptor: int, on_line: Callable[[str], None] | None = None) -> None:
        self._descriptor = descriptor
        self._lines = _LineSplitter(on_line) if on_line is not None else None
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._pump, name="labs-output", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        while True:
            try:
                data = os.read(self._descriptor, 64 * 1024)
            except OSError:
                break
            if not data:
                break
            self.add(data)
            if self._lines is not None:
                self._lines.feed(data)
        if self._lines is not None:
            self._lines.feed(b"\n", final=True)
        os.close(self._descriptor)

    def add(self, data: bytes) -> None:
        """Keep or drop these bytes."""
        with self._lock:
            if len(self._head) < HEAD:
                cut = HEAD - len(self._head)
                self._head, data = self._head + data[:cut], data[cut:]
            if data:
                self._tail.append(data)
                self._tail_size += len(data)
            while (over := self._tail_size - TAIL) > 0:
                first = self._tail.popleft()
                gone = min(over, len(first))
                if gone < len(first):
                    self._tail.appendleft(first[gone:])
                self._tail_size -= gone
                self._dropped += gone

    def text(self, lines: int) -> str:
        """The last ``lines`` lines (``last_lines``), each cut to 2,000 characters, control characters made visible.

        Where bytes were dropped the first lines are shown, too: a flood's cause often stands before it.
        """
        with self._lock:
            head, tail, dropped = self._head, b"".join(self._tail), self._dropped
        if not dropped:
            return "\n".join(last_lines(_lines(head + tail), lines))
        begin = _lines(head)[: max(1, lines // 4)]
        end = last_lines(_lines(tail), max(1, lines - len(begin) - 1))
        return "\n".join([*begin, f"... {dropped} bytes are left out ...", *end])

    def finish(self, seconds: float = 1.0) -> None:
        """Wait until the writers are gone and all is read."""
        self._thread.join(seconds)


class _LineSplitter:
    """Bytes in, lines out; an endless line is cut, and its rest is not kept."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""

    def feed(self, data: bytes, *, final: bool = False) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(data, final)).split("\n")
        self._rest = self._rest[:LINE]
        for line in lines:
            if line or not final:
                self._on_line(_shown(line.rstrip("\r")))


def _lines(data: bytes) -> list[str]:
    return [_shown(line) for line in data.decode("utf-8", errors="backslashreplace").splitlines()]


def _shown(line: str) -> str:
    return escape(without_colours(line)[:LINE])
