"""Runs one program and outlives nothing: started as ``python -I -S keeper.py CONTROL STATUS FOLDER -- ARGV``.

It needs the standard library only. CONTROL is the number of a descriptor from which it reads lines: ``stop SECONDS``
(SIGTERM, and SIGKILL to all that is left after the grace) or ``kill``. Its end, because `labs` ended however it did,
means ``stop 5``. To STATUS it writes JSON lines: ``{"pid": n}`` or ``{"failed": text}``; ``{"exited": status}`` when
the first process ended (negative: a signal); ``{"gone": true}`` when no descendant is left (``false``: some could not
be ended), then it ends itself.

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
from collections.abc import Callable

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
DEFAULT_GRACE = 5.0
KILL_SECONDS = 5.0
LOOK_EVERY = 0.05
"""Seconds between looks where no signal tells: a child's end is told by SIGCHLD, an orphan's (macOS) by nobody."""


def tree_below(pid: int) -> set[int]:
    """All living descendants of ``pid``."""
    parents = _parents()
    return _below(pid, {one: parent for one, (parent, zombie) in parents.items() if not zombie})


def _below(pid: int, parents: dict[int, int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for one, parent in parents.items():
        children.setdefault(parent, []).append(one)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _parents() -> dict[int, tuple[int, bool]]:
    """pid -> its parent, and whether it is a zombie."""
    if sys.platform != "linux":
        return _parents_by_ps()
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all we need
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs the keeper its start
                # The name in parentheses is the program's own choice and may hold anything, also parentheses.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        found[int(name)] = (int(fields[1]), fields[0] in b"ZX")
    return found


def _parents_by_ps() -> dict[int, tuple[int, bool]]:
    found = {}
    run = f"LABS_RUN={os.environ.get('LABS_RUN', '')}"
    answer = subprocess.run(["ps", "axeww", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True,
                            errors="replace", check=False)
    for line in answer.stdout.splitlines():
        pid, parent, state, command = [*line.split(None, 3), "", "", "", ""][:4]
        if pid.isdigit() and int(pid) != os.getpid():
            # An orphan has init as its parent; the run's id in its environment says that it is ours.
            orphan = parent == "1" and run in command.split()
            found[int(pid)] = (os.getpid() if orphan else int(parent), state.startswith("Z"))
    return found


class Keeper:
    """The loop: control lines in, status lines out, children reaped."""

    def __init__(self, control: int, status: int, wakeup: int) -> None:
        self.control: int | None = control
        self.status = status
        self.wakeup = wakeup
        self.orders = b""
        self.main: subprocess.Popen[bytes] | None = None
        self.grace: float | None = None
        """Seconds that the last order grants; ``None`` before the first."""

    def tell(self, **message: object) -> None:
        with contextlib.suppress(OSError):
            os.write(self.status, json.dumps(message).encode() + b"\n")

    def run(self, folder: str, argv: list[str]) -> None:
        if sys.platform == "linux":
            _prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            # A session of its own: a script that signals its whole process group does not hit its keeper.
            self.main = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, close_fds=True,
                                         start_new_session=True, preexec_fn=_die_with_parent)
        except (OSError, ValueError) as error:
            named = getattr(error, "filename", None) or argv[0]
            self.tell(failed=f"{named}: {getattr(error, 'strerror', None) or error}")
            return
        # Only the program and its children may hold the pipe of its output, or its end would never be seen.
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        self.tell(pid=self.main.pid)
        self.wait(lambda: self.grace is not None, None)
        self.end()

    def end(self) -> None:
        """SIGTERM to the program, then to what it left behind; SIGKILL to all when the grace is over.

        Not to all at once: a program that passes the signal on to its workers would have them hear it twice.
        """
        began = time.monotonic()

        def over() -> bool:
            return time.monotonic() >= began + (self.grace or 0.0)

        if self.main is not None and self.main.returncode is None and not over():
            self.signal([self.main.pid], signal.SIGTERM)
            self.wait(lambda: over() or self.main is None or self.main.returncode is not None, LOOK_EVERY)
        if not over() and not self.empty():
            self.signal(self.tree(), signal.SIGTERM)
            self.wait(lambda: over() or self.empty(), LOOK_EVERY)
        self.kill_all()
        self.tell(gone=self.empty())

    def kill_all(self) -> None:
        """SIGKILL until nobody is left, for ``KILL_SECONDS`` at most; `labs` has a net below this."""
        deadline = time.monotonic() + KILL_SECONDS
        while not self.empty() and time.monotonic() < deadline:
            self.freeze()
            self.signal_groups(self.tree(), signal.SIGKILL)
            soon = time.monotonic() + LOOK_EVERY
            while not self.empty() and time.monotonic() < soon:
                time.sleep(0.002)

    def freeze(self) -> None:
        """Stop all, and look again, so that a fork bomb cannot outrun the list."""
        frozen: set[int] = set()
        for _ in range(20):
            new = self.tree() - frozen
            if not new:
                return
            self.signal(new, signal.SIGSTOP)
            frozen |= new

    def wait(self, done: Callable[[], bool], every: float | None) -> None:
        """Reap children and read orders until ``done`` is true; asked after every event, and ``every`` seconds."""
        while True:
            self.reap()
            if done():
                return
            sources = [self.wakeup] if self.control is None else [self.wakeup, self.control]
            readable, _, _ = select.select(sources, [], [], every)
            if self.wakeup in readable:
                os.read(self.wakeup, 4096)
            if self.control in readable:
                self.read_order()

    def read_order(self) -> None:
        """One line of control, or its end: `labs` is gone, and what runs has the usual grace at most."""
        assert self.control is not None
        data = os.read(self.control, 1024)
        if not data:
            self.control = None
            self.grace = DEFAULT_GRACE if self.grace is None else min(self.grace, DEFAULT_GRACE)
            return
        *lines, self.orders = (self.orders + data).split(b"\n")
        for line in lines:
            words = line.split()
            self.grace = float(words[1]) if words[:1] == [b"stop"] else 0.0

    def reap(self) -> None:
        """Collect every child that has ended; tell of the first one."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if self.main is not None and pid == self.main.pid:
                    self.main.returncode = os.waitstatus_to_exitcode(status)
                    self.tell(exited=self.main.returncode)

    def empty(self) -> bool:
        """Nobody is left. The kernel's own word on Linux, where every orphan becomes our child."""
        self.reap()
        if sys.platform != "linux":
            return not tree_below(os.getpid())
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        return False

    def tree(self) -> set[int]:
        """Whom to signal. With zombies: a process whose first thread has ended looks like one and runs on."""
        return _below(os.getpid(), {pid: parent for pid, (parent, _) in _parents().items()})

    def signal_groups(self, pids: set[int], number: int) -> None:
        """Whole process groups, since the kernel lets nobody be born in one while it is signalled.

        The program began a session of its own, so its groups hold nobody but its descendants.
        """
        own = os.getpgid(0)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                group = os.getpgid(pid)
                if group != own:
                    os.killpg(group, number)
        self.signal(pids, number)

    def signal(self, pids: set[int] | list[int], number: int) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    """Should even the keeper be killed, its program goes with it (Linux)."""
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """The program's entry."""
    control, status, folder = int(arguments[0]), int(arguments[1]), arguments[2]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        # A handler, not SIG_IGN: that would be inherited by the program. SIGCHLD's wakes the loop.
        signal.signal(number, lambda *_: None)
    wakeup, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    os.set_inheritable(control, False)
    os.set_inheritable(status, False)
    Keeper(control, status, wakeup).run(folder, arguments[4:])


if __name__ == "__main__":
    main(sys.argv[1:])
