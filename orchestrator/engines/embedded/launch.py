"""Start a program so that it outlives us, and is on record before it does anything.

Between starting a process and writing down its pid, `labs` itself can be killed; the process would run for ever and
nobody would know whose it is. So the new process first waits at a gate: a shell that reads one line. The line comes
after the record is written. If we die before, the shell reads end of file and ends, and the program never ran.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.system.processes import POLL, Identity, identify

_GATE_SERVICE = 'IFS= read -r go && exec "$@" </dev/null'
_GATE_STEP = 'IFS= read -r go && exec "$@"'


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """Whom services run as when we are root: PostgreSQL refuses to be root, and nothing here needs to be."""

    name: str
    uid: int
    gid: int


class Detached(subprocess.Popen[bytes]):
    """A process that may outlive the command that started it: forgetting the handle is not a leak, so no warning."""

    def __del__(self) -> None:
        """Nothing to warn about."""


_children: dict[Identity, Detached] = {}
"""Processes that this Python process started: only their parent can learn their exit status. They belong to the
whole Python process, not to one engine object."""


def launch(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], user: ServiceUser | None, output: int,
           record: Callable[[Identity], None], stdin: str | None = None) -> Identity:
    """Start ``argv`` (the first word is a path) in a session of its own; its output goes to the descriptor ``output``.

    ``record`` is called with its identity before the program runs. ``stdin`` is what it reads; ``None``: nothing,
    from ``/dev/null``. Raises ``OSError`` if it cannot be started.
    """
    gate = _GATE_SERVICE if stdin is None else _GATE_STEP
    process = Detached(
        ["/bin/sh", "-c", gate, "labs-gate", *argv], stdin=subprocess.PIPE, stdout=output, stderr=output,
        cwd=cwd, env=dict(env), start_new_session=True, umask=0o077,
        user=user.uid if user else None, group=user.gid if user else None, extra_groups=[] if user else None)
    pipe = process.stdin
    assert pipe is not None  # asked for above
    try:
        identity = identify(process.pid)
        if identity is None:
            raise OSError("a new process ended before it began")
        record(identity)
        _children[identity] = process
        with contextlib.suppress(BrokenPipeError):
            pipe.write(b"go\n" + (stdin or "").encode())
            pipe.flush()
    finally:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        if process not in _children.values():
            process.wait()
    return identity


def exit_code(identity: Identity) -> int | None:
    """How a process that we started ended (negative: the signal); ``None`` while it runs or if it is not our child."""
    process = _children.get(identity)
    return None if process is None else process.poll()


def wait(identity: Identity, *, seconds: float) -> int | None:
    """Wait for a process that we started; its exit code, or ``None`` if it still runs after that. Others: ``None``."""
    end = time.monotonic() + seconds
    while (code := exit_code(identity)) is None and identity in _children and time.monotonic() < end:
        time.sleep(POLL)  # `Popen.wait` with a limit would sleep up to ten times as long
    return code


def base_environment(home: Path) -> dict[str, str]:
    """What every service and step gets: nothing of the learner's shell, English messages, UTC as in a container."""
    return {"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}
