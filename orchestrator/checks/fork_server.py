"""A process that pytest children are forked from: what all of them import is imported once, before any of a lab's code.

``python -I -B -m orchestrator.checks.fork_server FD``: the supervisor's end of ``FD`` is a socket pair that
keeps messages apart. Each message is one JSON object::

    -> {"import": [module, ...]}               what the children of this lab need beside pytest
    -> {"fork": number, "pytest": [argument, ...], "environment": {...}, "folder": str}
       with two descriptors: the child's channel, and the file that its output goes to
    -> {"reap": number}                        the supervisor needs the child's process number no more
    <- {"forked": number, "pid": int}
    <- {"ended": number, "status": int}        as subprocess counts: -9 for SIGKILL. The process is not reaped yet

The end of the socket is the end of this process; children have channels of their own, and end with those. Linux only:
elsewhere the system's libraries need not survive a fork (``judge/forking.py`` starts a new process there).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from orchestrator.checks.protocol import CHANNEL_VARIABLE
from orchestrator.checks.seal import seal

LARGEST = 256 * 1024
"""Bytes of a message: an environment is the longest part."""
BROKEN = 3
"""Exit status of a child that could not be made, pytest's own for an internal error."""


def main(descriptor: int) -> None:
    """Import, then fork a child whenever the supervisor asks, until it hangs up."""
    seal()
    prepare()
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    # A child's end must wake the loop: the signal's handler need not do anything for that.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children = _Children(control, (control.fileno(), woken, wake))
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
        if control.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(control, LARGEST, 2, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
            if not data:
                return
            message = json.loads(data)
            if "import" in message:
                load(message["import"])
            elif "reap" in message:
                children.reap(message["reap"])
            else:
                children.fork(message, descriptors)
        children.look()


class _Children:
    """By the numbers that the supervisor gave them. ``ours``: descriptors of the loop, which are no child's."""

    def __init__(self, control: socket.socket, ours: Sequence[int]) -> None:
        self._control = control
        self._ours = ours
        self._pids: dict[int, int] = {}
        self._running: set[int] = set()

    def fork(self, message: dict[str, Any], descriptors: Sequence[int]) -> None:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for one in self._ours:
                os.close(one)
            become_child(message, *descriptors)
        for one in descriptors:
            os.close(one)
        self._pids[message["fork"]] = pid
        self._running.add(message["fork"])
        self._say({"forked": message["fork"], "pid": pid})

    def reap(self, number: int) -> None:
        self._running.discard(number)
        with contextlib.suppress(ChildProcessError, KeyError):
            os.waitpid(self._pids.pop(number), 0)

    def look(self) -> None:
        """Say which have ended."""
        for number in sorted(self._running):
            found = os.waitid(os.P_PID, self._pids[number], os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                self._running.discard(number)
                status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
                self._say({"ended": number, "status": status})

    def _say(self, message: dict[str, Any]) -> None:
        # The supervisor is gone: the next look at the socket says so.
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(message).encode())


def prepare() -> None:
    """Import what every child needs, pytest's own parts and what the checks' modules import late, too."""
    load(("pytest", "jsonschema", "yaml", "orchestrator.checks.plugin"))
    import pytest

    pytest.main(["--disable-plugin-autoload", "-p", "no:cacheprovider", "--version"])


def load(modules: Sequence[str]) -> None:
    """Import modules for good."""
    for name in modules:
        importlib.import_module(name)
    # What is here by now lives as long as a child, which need not look for garbage in it when it ends.
    gc.collect()
    gc.freeze()


def become_child(message: dict[str, Any], channel: int, output: int) -> NoReturn:
    """What a new process would be given: a session, descriptors, environment and folder of its own. Then pytest."""
    status = BROKEN
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.chdir(message["folder"])
        os.environ.clear()
        os.environ.update(message["environment"])
        os.environ[CHANNEL_VARIABLE] = str(channel)
        sys.argv = ["pytest", *message["pytest"]]
        import pytest

        status = int(pytest.main(message["pytest"]))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else BROKEN
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Not sys.exit(): the loop below us on the stack is not this process's.
        os._exit(status)


if __name__ == "__main__":
    main(int(sys.argv[1]))
