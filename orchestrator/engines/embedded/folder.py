"""The folder of one instance, and what stands in it.

::

    <name>/instance.json, spare.json   whose it is, see ``engines/folders.py``
           process.json    how to run it; there as long as the instance is, gone when only its data is left
           pid.json        the process that was started last, and how it ended if we saw it
           step.json       the process of a step (initdb) that runs or ran last
           preparing       there while ``data`` is being made: what is in ``data`` then is worth nothing
           credentials.json  hash of the credentials that ``data`` was made for
           data/           the service's own
           log             what the service writes, see ``Log``

A folder whose spec is lost twice is not listed. What
it holds is not thrown away, since nobody can say whose it is: ``create`` of its name adopts it, ``remove`` ends it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.engines.embedded.launch import ServiceUser
from orchestrator.engines.embedded.places import make_folder, our_mode
from orchestrator.engines.folders import SpecFolder, remove_tree
from orchestrator.model import InstanceSpec, ProcessSpec, Step
from orchestrator.services.base import LastRun
from orchestrator.system.files import read_json, write_json
from orchestrator.system.processes import Identity, boot_id, find, look

LOG_CAP = 16 * 2**20
LOG_KEPT = 2**20


@dataclass(frozen=True, slots=True)
class RecordedProcess:
    """A process on record, and its exit code once we saw it end (negative: the signal)."""

    identity: Identity
    exit_code: int | None = None


class InstanceFolder(SpecFolder):
    """Reads and writes the files of one instance."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.data_mark = path / "preparing"
        self.log = path / "log"

    def process(self) -> ProcessSpec | None:
        """How to run it; ``None`` if only data is left."""
        values = self._read("process.json")
        try:
            return None if values is None else _decode_process(values)
        except (KeyError, TypeError, ValueError):
            return None

    def write_process(self, process: ProcessSpec) -> None:
        """Put the process on the disk: from now on there is an instance."""
        values = dataclasses.asdict(process)
        write_json(self.path / "process.json", {**values, "data": str(process.data)}, durable=True)

    def run(self, kind: str = "pid") -> RecordedProcess | None:
        """The process started last: of the service (``pid``) or of a step (``step``)."""
        values = self._read(f"{kind}.json")
        try:
            return None if values is None else RecordedProcess(
                Identity(int(values["pid"]), str(values["started"]), str(values["boot"])), values["exit_code"])
        except (KeyError, TypeError, ValueError):
            return None

    def last_run(self, *, steps: bool = False) -> LastRun | None:
        """What the service is told of its own last run; with ``steps``, of a step's if it never ran itself."""
        run = self.run() or (self.run("step") if steps else None)
        return None if run is None else LastRun(run.identity.pid, run.identity.boot == boot_id())

    def write_run(self, run: RecordedProcess, kind: str = "pid") -> None:
        """Not synced: after a crash of the machine pids mean nothing anyway."""
        write_json(self.path / f"{kind}.json", {**dataclasses.asdict(run.identity), "exit_code": run.exit_code})

    def note_log(self, size: int) -> None:
        """The service is about to be started; its log has this many bytes."""
        write_json(self.path / "log.json", {"begins": size})

    def log_since_start(self) -> bytes:
        """What the log got since the last start; all of it if it was cut meanwhile."""
        values = self._read("log.json")
        begins = values.get("begins") if values is not None else 0
        with self.log.open("rb") as log:
            if isinstance(begins, int) and begins <= log.seek(0, os.SEEK_END):
                log.seek(begins)
                return log.read(LOG_CAP)
        return tail_bytes(self.log, LOG_CAP)

    def write_own_file(self, relative: str, content: str, user: ServiceUser | None) -> None:
        """Write a file that only the service reads; ``relative`` must stay below the folder.

        Its folder stays ours: a service's user must not be able to put a link where root writes.
        """
        path = self.path / relative
        if ".." in path.parts or self.path not in path.parents:
            raise ValueError(f"{relative} leaves the instance's folder")
        make_folder(path.parent, our_mode(user))
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            if user is not None:
                os.fchown(descriptor, user.uid, user.gid)

    def fits(self, spec: InstanceSpec) -> bool:
        """Whether the data was made for these credentials."""
        return bool(read_json(self.path / "credentials.json") == _credentials_key(spec))

    def write_fits(self, spec: InstanceSpec) -> None:
        """From now on the data is for these credentials."""
        write_json(self.path / "credentials.json", _credentials_key(spec))

    def alive(self) -> bool:
        """Whether the service runs, paused or not."""
        run = self.run()
        return run is not None and find(run.identity, look([run.identity.pid])) is not None

    def forget_process(self, process: ProcessSpec) -> None:
        """Remove everything but the data and whose it is.

        ``process.json`` goes first: without it there is no instance any more, however far we get.
        """
        (self.path / "process.json").unlink(missing_ok=True)
        stays = {"instance.json", "spare.json", "credentials.json", process.data.relative_to(self.path).parts[0]}
        for entry in self.path.iterdir():
            if entry.name not in stays:
                remove_tree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink(missing_ok=True)

    def _read(self, name: str) -> Mapping[str, Any] | None:
        values = read_json(self.path / name)
        return values if isinstance(values, dict) else None


def _credentials_key(spec: InstanceSpec) -> str:
    return hashlib.sha256(json.dumps(dataclasses.asdict(spec.credentials)).encode()).hexdigest()


def _decode_process(values: Mapping[str, Any]) -> ProcessSpec:
    def steps(name: str) -> tuple[Step, ...]:
        return tuple(Step(tuple(step["argv"]), step["stdin"]) for step in values[name])

    return ProcessSpec(
        argv=tuple(values["argv"]), data=Path(values["data"]), files=dict(values["files"]),
        initialise=steps("initialise"), template_key=str(values["template_key"]), personalise=steps("personalise"),
        env=dict(values["env"]), stop_signal=str(values["stop_signal"]), stop_grace=float(values["stop_grace"]))


def open_log(path: Path) -> int:
    """A descriptor that a service writes to. It appends wherever the end then is, so cutting the file is safe."""
    cap_log(path, LOG_KEPT)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def cap_log(path: Path, cap: int = LOG_CAP) -> None:
    """Cut a log that has grown over ``cap`` bytes to its last ``LOG_KEPT``.

    A service outlives the command that started it, so nobody stands between it and its file. The file is therefore
    cut at each start and whenever a command looks at the instances: it holds at most ``LOG_CAP`` and what was
    written since the last command. Lines written during the cut itself may be lost.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > cap:
            kept = tail_bytes(path, LOG_KEPT)
            with path.open("ab") as file:
                file.truncate(0)
                file.write(kept)


def tail_bytes(path: Path, size: int) -> bytes:
    """The last whole lines of a file, at most ``size`` bytes."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - size))
        text = file.read(size)
    return text if length <= size else text.partition(b"\n")[2]
