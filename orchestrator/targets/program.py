"""A program under a keeper, seen from `labs`: start it, ask how it is, end it with everything that it started."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.errors import EnvironmentFault
from orchestrator.system.strays import VARIABLE, end_strays
from orchestrator.system.together import Together
from orchestrator.targets import keeper
from orchestrator.targets.keeper import tree_below
from orchestrator.targets.output import Output

KEEPER = Path(keeper.__file__)
SPARE = 7.0
"""Seconds beyond the grace that the keeper has to end everything."""


class KeptProcess:
    """One program and its descendants. ``status``: the first process's exit status, negative for a signal.

    ``argv[0]`` is a path; ``environment`` holds a ``LABS_RUN`` that no other program has at the same time.
    ``on_line`` gets every line that is written, made harmless, on the thread that reads it.
    """

    def __init__(self, argv: Sequence[str], *, folder: Path, environment: Mapping[str, str],
                 on_line: Callable[[str], None] | None = None) -> None:
        self.pid: int | None = None
        self.status: int | None = None
        self.failure = ""
        self._run_id = environment.get(VARIABLE, "")
        self._changed = threading.Condition()
        self._gone = False
        self._clean = False
        self._shot = False
        control_read, self._control = os.pipe()
        status_read, status_write = os.pipe()
        output_read, output_write = os.pipe()
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), str(control_read), str(status_write), str(folder), "--",
                 *argv],
                cwd="/",
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(control_read, status_write),
                start_new_session=True,
            )
        except OSError as error:
            self._close_control()
            os.close(status_read)
            os.close(output_read)
            raise EnvironmentFault(f"no process can be started: {error.strerror or error}", code="no-process",
                                   hint="close some programs, then run the command again") from error
        finally:
            for descriptor in (control_read, status_write, output_write):
                os.close(descriptor)
        self.output = Output(output_read, on_line)
        self._reader = threading.Thread(target=self._read, args=(status_read,), name="labs-keeper", daemon=True)
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as lines:
            for line in lines:
                message = json.loads(line)
                with self._changed:
                    self.pid = message.get("pid", self.pid)
                    self.status = message.get("exited", self.status)
                    self.failure = message.get("failed", self.failure)
                    self._clean = bool(message.get("gone", self._clean) or self.failure)
                    self._changed.notify_all()
        self._keeper.wait()
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    @property
    def running(self) -> bool:
        """The first process runs, as far as is known."""
        return self.status is None and not self.failure and not self._gone

    @property
    def keeper_lost(self) -> bool:
        """The keeper was killed, and not by us; on Linux its program ends with it."""
        return self._gone and self._keeper.returncode != 0 and not self._shot

    @property
    def keeper(self) -> int:
        """The pid of its keeper: the program and everything that it started is below it."""
        return self._keeper.pid

    def tree(self) -> set[int]:
        """Pids of the program and everything that it started."""
        return set() if self._gone else tree_below(self._keeper.pid)

    def wait(self, seconds: float) -> bool:
        """Wait until the first process has ended or could not be started; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.running, timeout=max(0.0, seconds))

    def end(self, grace: float) -> int | None:
        """SIGTERM to the program, SIGKILL to all after ``grace`` seconds (at once for 0); the program's status.

        Harmless twice: a second call may shorten the first one's grace. ``None``: nobody saw how it ended.
        """
        with contextlib.suppress(OSError):
            os.write(self._control, f"stop {grace}\n".encode() if grace > 0 else b"kill\n")
        with self._changed:
            gone = self._changed.wait_for(lambda: self._gone, timeout=grace + SPARE)
        if not gone:
            # The keeper itself hangs (a process in uninterruptible sleep): its death signal takes the program along.
            self._shot = True
            self._keeper.kill()
        self._reader.join(SPARE)
        self._close_control()
        if not self._clean and self._run_id:
            # The server killed its keeper, or the keeper could not end all.
            end_strays(self._run_id)
        self.output.finish()
        return self.status

    def _close_control(self) -> None:
        # Two threads may end it at once when a start is given up; a number closed twice may be somebody else's by then.
        with self._changed:
            descriptor, self._control = self._control, -1
        if descriptor >= 0:
            os.close(descriptor)


def launch(argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], made: Callable[[KeptProcess], None],
           on_line: Callable[[str], None] | None = None) -> None:
    """Start a program and hand it to ``made``; an interruption meanwhile cannot lose it.

    Ctrl-C is raised in the main thread only, so what is started is started, and handed over, in another one.
    """
    job = Together(
        lambda _: made(KeptProcess(argv, folder=folder, environment=environment, on_line=on_line)), [None])
    try:
        job.start()
        job.wait()
    except BaseException:
        job.settle(SPARE)
        raise
