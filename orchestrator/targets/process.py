"""The target: the learner's server as a process of ours, from start to ready to gone."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from orchestrator.model import Workspace
from orchestrator.system.listeners import listening_ports, owned_by
from orchestrator.system.ports import answers
from orchestrator.system.strays import VARIABLE
from orchestrator.system.toolchains import how_to_get
from orchestrator.targets.daemons import serving_daemon
from orchestrator.targets.health import Health, ask_health
from orchestrator.targets.patience import LATER, Patience, Waiting, more_time
from orchestrator.targets.program import KeptProcess, launch
from orchestrator.targets.scratch import remove_tree
from orchestrator.workspace.budgets import Budget
from orchestrator.workspace.content import is_file

EMPTY_LOOKS = 5
POLL_EVERY = 0.015
LOG_LINES = 40


BUSY = "machine-too-slow"
OURS = frozenset({"port-taken-by-other", "keeper-lost", "other-build", BUSY})


class TargetInvalid(Exception):
    """The server cannot be built or run. ``reason`` is a reason id; some of them are not its fault (``OURS``).

    ``advice`` is the next step, where there is one.
    """

    def __init__(self, reason: str, message: str, log: str = "", *, advice: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.log = log
        self.advice = advice

    @property
    def ours(self) -> bool:
        return self.reason in OURS


class Target:
    """One server on one port. ``start`` returns when ``GET /health`` has answered any HTTP status.

    ``scratch`` is its TMPDIR, made here and removed by ``close``. ``run_id`` is not used by another target at the
    same time: it is how processes are known as this one's where nothing better can be had.
    """

    def __init__(self, workspace: Workspace, *, port: int, environment: Mapping[str, str], run_id: str,
                 start_budget: Budget, scratch: Path) -> None:
        self._workspace = workspace
        self._scratch = scratch.absolute()
        self._environment = {**environment, "PORT": str(port), VARIABLE: run_id, "TMPDIR": str(self._scratch)}
        self._start_budget = start_budget
        self._process: KeptProcess | None = None
        self.keeper_lost = False
        """Somebody killed the keeper of this server (``KeptProcess.keeper_lost``), and the server ended with it."""
        self.foreign = False
        """Another program than this server answered on its port when it was to end, or went on after its end."""
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Start it and wait until it is ready. Raises ``TargetInvalid``; what was started is then ended."""
        if self._process is not None:
            self._end(self._process, 0)
        if answers(self.port):
            raise TargetInvalid("port-taken-by-other", f"another program listens on port {self.port}")
        argv = self._argv()
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        started: list[KeptProcess] = []
        try:
            launch(argv, folder=self._workspace.folder, environment=self._environment, made=started.append)
            self._process = started[0]
            self._wait_ready(self._process)
        except BaseException:
            for process in started:
                process.end(0)
            raise

    def _argv(self) -> list[str]:
        """``run``, its program found: a path is the workspace's, a name is looked up on the target's PATH."""
        program, *arguments = self._workspace.run
        if "/" in program:
            path = self._workspace.folder / program
            if not is_file(path):
                built = "your build did not make it" if self._workspace.build else "was it built?"
                raise TargetInvalid("toolchain-missing", f"{program} of run in workspace.toml does not exist; {built}")
            return [str(path), *arguments]
        found = shutil.which(program, path=self._environment.get("PATH", os.defpath))
        if found is None:
            raise TargetInvalid("toolchain-missing", f"{program} was not found on this machine; {how_to_get(program)}")
        return [found, *arguments]

    @property
    def root(self) -> int:
        """The process below which the server and all that it started are; 0 while it does not run."""
        process = self._process
        return process.keeper if process is not None else 0

    def _wait_ready(self, process: KeptProcess) -> None:
        with Waiting(self._start_budget) as wait:
            wait.follow(process.keeper)
            while True:
                answer = ask_health(self.port, end=wait.end,
                                    go_on=lambda: process.running and wait.ask() is Patience.WAIT)
                if process.wait(0):
                    self._raise_ended(process, wait)
                if answer is Health.HTTP:
                    break
                if (state := wait.ask()) is not Patience.WAIT:
                    self._refuse_foreign(process)
                    self._raise_late(process, wait, state)
                process.wait(POLL_EVERY)
        self._refuse_foreign(process)

    def _raise_late(self, process: KeptProcess, wait: Waiting, state: Patience) -> None:
        log = process.output.text(LOG_LINES)
        if state is Patience.STARVED:
            raise TargetInvalid("machine-too-slow", wait.starved("whether your server starts"), log, advice=LATER)
        why, needs_time = self._why_not_bound(process, wait)
        raise TargetInvalid("never-bound", why, log, advice=more_time(
            self._start_budget, "labs run   (see what your server waits for)") if needs_time else "")

    def _refuse_foreign(self, process: KeptProcess) -> None:
        """What answers on the port must be this server and nothing that was quicker."""
        if owned_by(self.port, tree := process.tree()) is False and not process.wait(0):
            self._raise_foreign(process, tree)

    def _raise_foreign(self, process: KeptProcess, tree: set[int]) -> NoReturn:
        log = process.output.text(LOG_LINES)
        if daemon := serving_daemon(self.port, self._environment[VARIABLE], tree):
            raise TargetInvalid("daemonised", f"{daemon} runs your server, and was started before it: labs cannot stop "
                                "or restart the server there. Start the server itself: make a JAR in build and run "
                                "java -jar; or run the tool without its daemon (gradle --no-daemon)", log)
        raise TargetInvalid("port-taken-by-other", f"another program answers on port {self.port}", log)

    def _raise_ended(self, process: KeptProcess, wait: Waiting) -> None:
        """The first process is over: say how, and whether something that it left behind serves in its place."""
        if process.keeper_lost:
            raise TargetInvalid("keeper-lost", "the process of labs that watches over your server was killed while the "
                                "server started", process.output.text(LOG_LINES))
        if process.failure:
            raise TargetInvalid("exited", f"the server could not be started: {self._why_not_started(process.failure)}",
                                process.output.text(LOG_LINES))
        status = process.status if process.status is not None else 0
        if status == 0 and self._went_to_background(process, wait):
            raise TargetInvalid("daemonised", "the server moved itself to the background; run it in the foreground, "
                                "so that it can be stopped", process.output.text(LOG_LINES))
        tree = process.tree()
        if owned_by(self.port, tree) is False:
            self._raise_foreign(process, tree)
        if not tree:
            # Nobody writes any more: what was written is all there in a moment.
            process.output.finish(0.5)
        raise TargetInvalid("exited", f"the server ended by itself ({describe_status(status)}) before GET /health "
                            "was answered", process.output.text(LOG_LINES))

    def _went_to_background(self, process: KeptProcess, wait: Waiting) -> bool:
        """Whether something goes on after the first process: it serves, or is still there when the budget is over."""
        # A list of processes is no snapshot: one that forks and ends while it is read can be missed, once.
        empty = 0
        while empty < EMPTY_LOOKS:
            tree = process.tree()
            empty = 0 if tree else empty + 1
            if tree and (owned_by(self.port, tree) or wait.ask() is not Patience.WAIT):
                return True
            time.sleep(POLL_EVERY)
        return False

    def _why_not_started(self, failure: str) -> str:
        """The system's words, and what they mean in ``workspace.toml``'s terms."""
        program = self._workspace.run[0]
        if failure.endswith(os.strerror(errno.EACCES)):
            return f"{failure} (make it executable: chmod +x {program})"
        if failure.endswith(os.strerror(errno.ENOEXEC)):
            return f"{failure} (a script needs a first line like #!/bin/sh; a binary must be built for this machine)"
        return failure

    def _why_not_bound(self, process: KeptProcess, wait: Waiting) -> tuple[str, bool]:
        """What is wrong, and whether more time might help."""
        sockets = listening_ports(process.tree())
        if ("ipv4", self.port) in sockets or answers(self.port):
            return f"the server listens on port {self.port}, but GET /health got no HTTP answer {wait.within()}", True
        if ("ipv6", self.port) in sockets or answers(self.port, "::1"):
            return (f"the server listens on port {self.port} on ::1 only; it must listen on 127.0.0.1 "
                    "(or on all addresses)"), False
        if sockets:
            others = ", ".join(str(port) for port in sorted({port for _, port in sockets}))
            return (f"the server listens on port {others}, but must listen on the port that the variable PORT names "
                    f"({self.port} this time)"), False
        return f"the server did not listen on port {self.port} (the variable PORT) {wait.within()}", True

    def alive(self) -> bool:
        """Whether the server's first process runs."""
        return self._process is not None and self._process.running

    def status(self) -> int | None:
        """The exit status of the server's last first process; ``None`` while it runs."""
        return self._process.status if self._process is not None else None

    def stop(self, grace: float = 5.0) -> int:
        """SIGTERM, and SIGKILL to all that is left after ``grace`` seconds; the exit status (negative: a signal)."""
        if self._process is None:
            return 0
        status = self._end(self._process, grace)
        self._wait_port_free()
        self.foreign = self.foreign or answers(self.port)
        return -signal.SIGKILL if status is None else status

    def _end(self, process: KeptProcess, grace: float) -> int | None:
        # Asked again: what was this server's at the start may have become another one's.
        if process.running and owned_by(self.port, process.tree()) is False and process.running:
            self.foreign = True
        status = process.end(grace)
        self.keeper_lost = self.keeper_lost or process.keeper_lost
        return status

    def kill(self) -> None:
        """SIGKILL to all."""
        self.stop(0)

    def _wait_port_free(self) -> None:
        """The kernel closes a killed process's sockets a moment after it is gone."""
        end = time.monotonic() + 2.0
        while answers(self.port) and time.monotonic() < end:
            time.sleep(POLL_EVERY)

    def log(self, lines: int = 40) -> str:
        """The last lines of the server's output, escaped."""
        return self._process.output.text(lines) if self._process is not None else ""

    def close(self) -> None:
        """End everything at once and remove the scratch folder. Harmless twice."""
        self.kill()
        remove_tree(self._scratch)


def describe_status(status: int) -> str:
    """``exit status 1`` or ``killed by SIGSEGV``."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
