"""What a program wrote, capped: the beginning and the end are kept, the middle is counted and dropped."""

from __future__ import annotations

import os
import threading
from collections import deque

HEAD = 16 * 1024
TAIL = 64 * 1024
LINE = 2000


class Output:
    """A pump from a descriptor into memory. Never blocks the writer for longer than a read takes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
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
        os.close(self._descriptor)

    def add(self, data: bytes) -> None:
        """Keep or drop these bytes."""
        with self._lock:
            if len(self._head) < HEAD:
                cut = HEAD - len(self._head)
                self._head, data = self._head + data[:cut], data[cut:]
            if data:
                data = data[-TAIL:]
                self._tail.append(data)
                self._tail_size += len(data)
            while self._tail_size - len(self._tail[0] if self._tail else b"") >= TAIL:
                gone = len(self._tail.popleft())
                self._tail_size -= gone
                self._dropped += gone

    def text(self, lines: int) -> str:
        """The last ``lines`` lines, each cut to 2,000 characters, control characters made visible."""
        with self._lock:
            middle = f"\n... {self._dropped} bytes are left out ...\n".encode() if self._dropped else b""
            data = self._head + middle + b"".join(self._tail)
        text = data.decode("utf-8", errors="backslashreplace")
        return "\n".join(visible(line[:LINE]) for line in text.splitlines()[-lines:])

    def finish(self, seconds: float = 1.0) -> None:
        """Wait until the writers are gone and all is read."""
        self._thread.join(seconds)


def visible(line: str) -> str:
    """Control characters as ``\\x1b``: what a server prints must not steer a terminal."""
    return "".join(c if c == "\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in line)
