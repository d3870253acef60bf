"""Run the processes of an instance: its service, and the steps that make its data."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.engines.base import PortBusy
from orchestrator.engines.embedded.folder import InstanceFolder, RecordedProcess, open_log
from orchestrator.engines.embedded.launch import ServiceUser, base_environment, exit_code, launch, wait
from orchestrator.errors import EnvironmentFault
from orchestrator.model import InstanceSpec, ProcessSpec, Step
from orchestrator.system.listeners import listening_ports
from orchestrator.system.ports import is_taken
from orchestrator.system.processes import POLL, Identity, destroy, look, tree

STEP_SECONDS = 120.0
LISTEN_SECONDS = 10.0
"""How long a start watches a service that neither listens nor dies. Nobody waits longer for that: what does not
listen cannot be ready, and that is the caller's to judge."""
OLD_TREE_SECONDS = 10.0
_ADDRESS_TAKEN = "address already in use"
_DISK_FULL = os.strerror(errno.ENOSPC)
_DETAIL_LINES, _DETAIL_BYTES = 20, 64 * 1024


def refuse_taken(spec: InstanceSpec) -> None:
    """``PortBusy`` if somebody else has one of its ports."""
    for port in spec.ports.values():
        if is_taken(port):
            raise _port_busy(port)


def _port_busy(port: int) -> PortBusy:
    return PortBusy(f"port {port} on 127.0.0.1 is taken by another program", port=port,
                    hint=f"see which: lsof -i :{port}")


def run_service(folder: InstanceFolder, spec: InstanceSpec, process: ProcessSpec, user: ServiceUser | None, *,
                still_ending: str = "") -> None:
    """Start the service and watch its first moments.

    ``still_ending``: what it says, in lower case, while processes of its last run are still ending; then once more.

    Raises ``PortBusy`` if somebody has a port of it, or takes one before the service does. A service that dies for
    another reason is left as it is: its exit code and its log tell the caller more than we could.
    """
    refuse_taken(spec)
    give_up = time.monotonic() + OLD_TREE_SECONDS
    while True:
        with _log(folder.log) as output:
            before = os.fstat(output).st_size
            folder.note_log(before)
            identity = launch(process.argv, cwd=folder.path, env={**base_environment(folder.path), **process.env},
                              user=user, output=output,
                              record=lambda identity: folder.write_run(RecordedProcess(identity)))
        if not _died_early(identity, spec.port):
            return
        folder.write_run(RecordedProcess(identity, exit_code(identity)))
        with folder.log.open("rb") as log:
            log.seek(before)
            said = log.read().decode("utf-8", "replace").lower()
        if _ADDRESS_TAKEN in said:
            refuse_taken(spec)
            raise _port_busy(spec.port)
        if not still_ending or still_ending not in said or time.monotonic() > give_up:
            return
        time.sleep(10 * POLL)


def _died_early(identity: Identity, port: int) -> bool:
    """Whether it ended before it listened; ``False`` also if it does neither within ``LISTEN_SECONDS``."""
    end = time.monotonic() + LISTEN_SECONDS
    for turn in itertools.count(1):
        if exit_code(identity) is not None:
            return True
        # Nearly always the first process listens; to look for the others costs more than all the rest.
        pids = [identity.pid] if turn % 10 else [process.pid for process in tree(identity, look())]
        if port in {number for _, number in listening_ports(pids)} or time.monotonic() > end:
            break
        time.sleep(POLL)
    return False


def run_step(folder: InstanceFolder, process: ProcessSpec, user: ServiceUser | None, step: Step) -> None:
    """Run a step to its end as the service's user. ``engine-failed`` with its last lines if it fails."""
    with _log(folder.log) as output:
        before = os.fstat(output).st_size
        identity = launch(step.argv, cwd=folder.path, env={**base_environment(folder.path), **process.env}, user=user,
                          output=output, record=lambda identity: folder.write_run(RecordedProcess(identity), "step"),
                          stdin=step.stdin)
    try:
        code = wait(identity, seconds=STEP_SECONDS)
    finally:
        destroy(identity)
    if code != 0:
        ended = f"did not end within {STEP_SECONDS:.0f} s" if code is None else f"failed with exit code {code}"
        with folder.log.open("rb") as log:
            log.seek(before)
            lines = log.read(_DETAIL_BYTES).decode("utf-8", "replace").splitlines()
        full = any(_DISK_FULL in line for line in lines)
        raise EnvironmentFault(f"{Path(step.argv[0]).name} {ended} while making the data of {folder.name}",
                               code="disk-full" if full else "engine-failed",
                               hint="labs clean" if full else "labs doctor", details=lines[-_DETAIL_LINES:])


@contextlib.contextmanager
def _log(path: Path) -> Iterator[int]:
    descriptor = open_log(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
