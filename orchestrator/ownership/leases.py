"""Ownership: a command holds an ``flock`` on its lease file while it lives; what a dead lease owned is swept.

The lease file is the intent, too: it is written and synced before the first call to the engine, so that whatever that
call makes, even after our death, is found by the next command.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import EnvironmentBusy
from orchestrator.model import Owner, Purpose
from orchestrator.system.files import make_folder, read_json, sync_folder, unwritable
from orchestrator.system.home import Home, installation_id, user_id
from orchestrator.system.locks import try_lock, wait_lock
from orchestrator.system.processes import started_at
from orchestrator.system.shapes import fields_of


@dataclass(frozen=True, slots=True)
class Lease:
    """What is in a lease file. ``engine`` is the key of the engine on which objects may have been made."""

    id: str
    engine: str
    environment: str
    purpose: Purpose
    pid: int
    started_at: str


@contextlib.contextmanager
def hold(home: Home, *, engine: str, environment: str, purpose: Purpose) -> Iterator[Owner]:
    """Hold a new lease; yields the owner to put on every object. On a clean end the lease file goes.

    An exception keeps the file: unlocked by our end, it tells the next command to look for leftovers.
    """
    make_folder(home.leases)
    lease_id, path, descriptor = _create(home)
    try:
        lease = Lease(lease_id, engine, environment, purpose, os.getpid(), datetime.now(UTC).isoformat())
        _write(descriptor, path, lease)
        yield Owner(
            environment=environment,
            user=user_id(),
            installation=installation_id(home),
            lease=lease_id,
            pid=os.getpid(),
            pid_started=started_at(os.getpid()) or 0.0,
            purpose=purpose,
        )
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _create(home: Home) -> tuple[str, Path, int]:
    """A new lease file, locked. A sweeper may win the race for the fresh file: then take another name."""
    while True:
        lease_id = secrets.token_hex(8)
        path = home.leases / f"{lease_id}.json"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(path, error) from error
        if try_lock(descriptor) and os.fstat(descriptor).st_nlink == 1:
            return lease_id, path, descriptor
        os.close(descriptor)


def _write(descriptor: int, path: Path, lease: Lease) -> None:
    text = json.dumps({"v": 1, **{name: getattr(lease, name) for name in Lease.__slots__}})
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def exists(home: Home, lease_id: str) -> bool:
    """True if there is a lease file of this id, held or not."""
    return (home.leases / f"{lease_id}.json").exists()


def owner_alive(home: Home, owner: Owner) -> bool:
    """Whether the command that made an object still runs.

    Its held lease says so. If the lease file was lost, the process itself does: same pid, same start.
    """
    path = home.leases / f"{owner.lease}.json"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return started_at(owner.pid) == owner.pid_started
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def take_dead(home: Home) -> Iterator[list[tuple[str, Lease | None]]]:
    """All lease files that nobody holds, locked by us while the block runs, so that two sweepers do not meet.

    Each is ``(id, lease)``; ``None`` for a file that was torn: then any engine may have its objects.
    The files stay: ``forget`` removes one when its objects are gone.
    """
    taken: list[tuple[str, Lease | None]] = []
    descriptors: list[int] = []
    try:
        for path in sorted(home.leases.glob("*.json")) if home.leases.is_dir() else []:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            if not try_lock(descriptor):
                os.close(descriptor)
                continue
            descriptors.append(descriptor)
            taken.append((path.stem, _read(path)))
        yield taken
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def forget(home: Home, lease_id: str) -> None:
    """The lease's objects are gone: remove its file."""
    (home.leases / f"{lease_id}.json").unlink(missing_ok=True)


def _read(path: Path) -> Lease | None:
    try:
        return Lease(**fields_of(Lease, read_json(path)))
    except ValueError:
        return None


@contextlib.contextmanager
def lock(home: Home, environment: str, *, wait: float = 120.0, doing: str = "is changing this environment",
         hint: str = "labs status") -> Iterator[None]:
    """The exclusive right to one thing, mostly to change an environment.

    Waits up to ``wait`` seconds, then ``EnvironmentBusy``: who holds it, what that one is ``doing``, and ``hint``.
    """
    make_folder(home.locks)
    path = home.locks / f"{environment}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        if not wait_lock(descriptor, until=time.monotonic() + wait):
            holder = _holder(descriptor) or "another labs command"
            raise EnvironmentBusy(f"{holder} {doing}", hint=hint)
        words = f"labs (pid {os.getpid()}, since {datetime.now(UTC):%H:%M:%S} UTC)"
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, words.encode(), 0)
        except OSError as error:  # a full disk, or no regular file
            raise unwritable(path, error) from error
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    with contextlib.suppress(OSError):
        return os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    return ""
