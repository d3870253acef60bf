"""Runs one program and outlives nothing: started as ``python -I -S keeper.py CONTROL STATUS -- ARGV``, stdlib only.

CONTROL is the number of a descriptor from which it reads lines: ``stop SECONDS`` (SIGTERM to the whole tree, SIGKILL
after the grace) or ``kill``. Its end, because `labs` ended however it did, means ``stop 5``. To STATUS it writes JSON
lines: ``{"pid": n}`` or ``{"failed": text}``; ``{"exited": status}`` when the first process ended (negative: a signal);
``{"gone": true}`` when no descendant is left, after which it ends itself.

On Linux it is the subreaper of everything that the program starts, so a daemon that forks twice and makes its own
session is still its child. Elsewhere descendants are those that ``ps`` shows below it or with its ``LABS_RUN``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
DEFAULT_GRACE = 5.0
KILL_SECONDS = 5.0
TICK = 0.05


def tree_below(pid: int) -> set[int]:
    """All living descendants of ``pid``."""
    children: dict[int, list[int]] = {}
    for one, parent in _parents().items():
        children.setdefault(parent, []).append(one)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _parents() -> dict[int, int]:
    """pid -> parent of every process that is not a zombie."""
    if sys.platform != "linux":
        return _parents_by_ps()
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all we need
        if not name.isdigit():
            continue
        try:
            text = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
            fields = text.rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(name)] = int(fields[1])
    return found


def _parents_by_ps() -> dict[int, int]:
    found = {}
    run = f"LABS_RUN={os.environ.get('LABS_RUN', '')}"
    answer = subprocess.run(["ps", "axeww", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True,
                            errors="replace", check=False)
    for line in answer.stdout.splitlines():
        pid, parent, state, command = [*line.split(None, 3), "", "", "", ""][:4]
        if pid.isdigit() and not state.startswith("Z") and int(pid) != os.getpid():
            # An orphan has init as its parent; the run's id in its environment says that it is ours.
            orphan = parent == "1" and run in command.split()
            found[int(pid)] = os.getpid() if orphan else int(parent)
    return found


class Keeper:
    """The loop: control lines in, status lines out, children reaped."""

    def __init__(self, control: int, status: int) -> None:
        self.control = control
        self.status = status
        self.main: subprocess.Popen[bytes] | None = None
        self.exited = False

    def tell(self, **message: object) -> None:
        with contextlib.suppress(OSError):
            os.write(self.status, json.dumps(message).encode() + b"\n")

    def run(self, argv: list[str]) -> None:
        if sys.platform == "linux":
            _prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            self.main = subprocess.Popen(argv, stdin=subprocess.DEVNULL, close_fds=True, preexec_fn=_die_with_parent)
        except (OSError, ValueError) as error:
            self.tell(failed=f"{argv[0]}: {getattr(error, 'strerror', None) or error}")
            return
        # Only the program and its children may hold the pipe of its output, or its end would never be seen.
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        self.tell(pid=self.main.pid)
        grace = self.wait_for_order()
        if grace > 0:
            self.signal_tree(signal.SIGTERM)
            self.wait_until_empty(grace)
        self.kill_tree()
        self.reap()
        self.tell(gone=True)

    def wait_for_order(self) -> float:
        """Until ``labs`` says stop or kill, or is gone; the grace in seconds."""
        rest = b""
        while True:
            readable, _, _ = select.select([self.control], [], [], TICK)
            self.reap()
            if not readable:
                continue
            data = os.read(self.control, 1024)
            if not data:
                return DEFAULT_GRACE
            rest += data
            if b"\n" in rest:
                words = rest.split(b"\n")[0].split()
                return float(words[1]) if words and words[0] == b"stop" else 0.0

    def reap(self) -> None:
        """Collect every child that has ended; tell of the first one."""
        assert self.main is not None
        if not self.exited and self.main.poll() is not None:
            self.exited = True
            self.tell(exited=self.main.returncode)
        with contextlib.suppress(ChildProcessError):
            while True:
                # Not the main one: its status belongs to Popen.
                result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if result is None or (not self.exited and result.si_pid == self.main.pid):
                    return
                os.waitpid(result.si_pid, 0)

    def signal_tree(self, number: int) -> None:
        for pid in tree_below(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def wait_until_empty(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.reap()
            if not tree_below(os.getpid()):
                return
            time.sleep(0.01)

    def kill_tree(self) -> None:
        """SIGKILL until nobody is left. First all are stopped, so that a fork bomb cannot outrun the list."""
        end = time.monotonic() + KILL_SECONDS
        while tree_below(os.getpid()) and time.monotonic() < end:
            self.signal_tree(signal.SIGSTOP)
            self.signal_tree(signal.SIGKILL)
            self.wait_until_empty(0.1)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    """Should even the keeper be killed, its program goes with it (Linux)."""
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """The program's entry."""
    control, status = int(arguments[0]), int(arguments[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # A handler, not SIG_IGN: that would be inherited by the program.
        signal.signal(number, lambda *_: None)
    os.set_inheritable(control, False)
    os.set_inheritable(status, False)
    Keeper(control, status).run(arguments[3:])


if __name__ == "__main__":
    main(sys.argv[1:])
