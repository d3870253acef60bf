"""Single keys from a terminal, without Enter; the terminal is as before when this is left."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Any

SPECIAL = {b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"\x1b[5~": "b", b"\x1b[6~": " "}
"""Arrows; Page Up and Page Down are ``b`` and the space bar."""
LONGEST = 3
"""Bytes that come at once from fingers; more is something pasted."""
PAUSE = 0.25


class Keys:
    """A context manager; gives each key to ``press`` from a thread of its own. Without a terminal it does nothing."""

    def __init__(self, descriptor: int, press: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._press = press
        self._before: list[Any] | None = None
        self._wake, self._woken = -1, -1
        self._thread = threading.Thread(target=self._read, name="labs-watch-keys", daemon=True)

    @property
    def there(self) -> bool:
        """Whether keys can be pressed."""
        return self._before is not None

    def __enter__(self) -> Keys:
        try:
            # Another program in front has the keyboard: to set the terminal would stop us.
            if os.isatty(self._descriptor) and os.tcgetpgrp(self._descriptor) == os.getpgrp():
                before = termios.tcgetattr(self._descriptor)
                self._woken, self._wake = os.pipe()
                self._before = before
                self.take()
                self._thread.start()
        except (OSError, termios.error):
            self._before = None
        return self

    def take(self) -> None:
        """Keys come one by one and are not echoed, Ctrl-C stays a signal. To be said again after a pause."""
        if self._before is not None:
            with contextlib.suppress(OSError, termios.error):
                if os.tcgetpgrp(self._descriptor) == os.getpgrp():
                    tty.setcbreak(self._descriptor, termios.TCSANOW)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
            self._before = None
        if self._wake >= 0:
            os.write(self._wake, b".")
            if self._thread.is_alive():
                self._thread.join(2)
            os.close(self._wake)
            os.close(self._woken)
            self._wake = -1

    def _read(self) -> None:
        while True:
            try:
                ready, _, _ = select.select([self._descriptor, self._woken], [], [])
                if self._woken in ready:
                    return
                if os.tcgetpgrp(self._descriptor) != os.getpgrp():
                    # In the background the keyboard is another program's; to read would stop us.
                    time.sleep(PAUSE)
                    continue
                data = os.read(self._descriptor, 1024)
            except OSError:
                return
            if not data:
                return
            if data in SPECIAL:
                self._press(SPECIAL[data])
            # Other keys that begin with ESC mean nothing here; their letters are no keys.
            elif len(data) <= LONGEST and not data.startswith(b"\x1b"):
                for character in data.decode("utf-8", errors="ignore"):
                    self._press(character.lower())
