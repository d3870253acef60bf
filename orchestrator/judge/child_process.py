"""The process that a pytest child runs in: what the judge must know of any, and one that is a program of its own.

It has a session, a folder and an environment of its own, and is ended as a group, by a number that is its own until it
is reaped. ``forking.py`` has the other kind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

PATIENCE = 5.0
"""Seconds for the end of what was killed."""
Command = Callable[[int], tuple[Sequence[str], Mapping[str, str]]]
"""From the number of the inherited descriptor to a program's argv and whole environment."""
Launch = Callable[[int, IO[bytes], Path], "ChildProcess"]
"""From the channel's descriptor, the file for its output and its folder to a process that has begun."""


class ChildProcess(Protocol):
    """One that has begun."""

    @property
    def pid(self) -> int | None:
        """Its number, which is its group's; None if it never came to be."""

    def ended(self) -> bool:
        """Whether it has ended. Where the system can tell without, it is not reaped by this question."""

    def kill(self) -> None:
        """SIGKILL for it and all of its group, if the number is still its own."""

    def reap(self) -> int | None:
        """Its exit status as ``subprocess`` counts, waited for; None if nobody knows."""


class Spawned:
    """A program of its own. Its channel is inherited under the number that ``channel`` has here."""

    def __init__(self, command: Command, channel: int, output: IO[bytes], folder: Path) -> None:
        argv, environment = command(channel)
        self._popen = subprocess.Popen(
            list(argv), env=dict(environment), cwd=folder, start_new_session=True, pass_fds=[channel],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._popen.pid

    def ended(self) -> bool:
        """By ``waitid`` where there is one (Linux, newer macOS)."""
        if self._popen.returncode is None and hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
        return self._popen.poll() is not None

    def kill(self) -> None:
        """Not reaped yet: the group's number is still ours, whatever the child left in it."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """The status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(PATIENCE)
        return None
