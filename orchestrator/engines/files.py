"""Services that are a file and no process (SQLite): each instance has a folder, and is there while it is started.

::

    FOLDER/<name>/instance.json, spare.json   whose it is, see ``folders``
                  state.json                  the start that was last; gone when only the data is left
                  data/app.sqlite3            the file, while the instance is started; what it writes beside goes along
                  stopped/app.sqlite3         the same while it is not

Nothing runs, so nothing can be killed or frozen, and both are refused: a check must not believe that a fault is there
when it is not. ``stop`` moves the file out of its place: who opens it then, or a journal beside it, finds nothing. Who
has it open can read and write it, and ``start`` brings the very same one back.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from orchestrator import __version__
from orchestrator.engines.base import EngineInfo
from orchestrator.engines.folders import (
    SpecFolder,
    checked_name,
    discard_empty,
    folders_in,
    locked_if_there,
    matches,
    remove_at_once,
    remove_tree,
)
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, InstanceSpec, Offer, State
from orchestrator.services.base import Recipe
from orchestrator.system.files import make_folder, read_json, sync_folder, unwritable, write_json
from orchestrator.system.locks import locked


class FileEngine:
    """The instances below ``folder``. It keeps no marks of environments: those are the engine's beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def info(self) -> EngineInfo:
        """Always there."""
        return EngineInfo("file", __version__, str(self._folder), f"file:{self._folder}")

    def offer(self, recipe: Recipe) -> Offer:
        """There is always a file."""
        return Offer(recipe.name, available=True, expected=f"a file below {self._folder}")

    def fetch(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """Nothing is fetched."""

    def size(self, recipe: Recipe) -> int | None:  # noqa: ARG002 - the protocol's shape
        """Nothing is downloaded."""
        return 0

    def file(self, name: str, recipe: Recipe) -> str:
        """Where the file is while the instance is started."""
        return str(_Folder(self._folder / checked_name(name)).data / (recipe.file or recipe.name))

    # --- life ------------------------------------------------------------------------------------------------

    def holds(self, name: str) -> bool:
        """Whether there is an instance of this name, or data of one."""
        return (self._folder / checked_name(name)).exists()

    def create(self, spec: InstanceSpec, recipe: Recipe) -> None:
        """A folder with no file in it: the service makes its file when it is first used. Data that is there stays."""
        if spec.file != self.file(spec.name, recipe):
            raise EnvironmentFault(f"{spec.name} is to be at {spec.file or 'no place'}: no file is kept there",
                                   code="engine-failed")
        folder = _Folder(self._folder / spec.name)
        with _faults(folder):
            for last in (False, False, True):
                make_folder(folder.path)
                try:
                    with locked(folder.path):
                        folder.refuse_foreign(spec, there=folder.there())
                        folder.write_spec(spec)
                        folder.put_away()
                        folder.write_start("")
                    break
                except FileNotFoundError:  # another command found the folder still empty, and removed it: once more
                    if last:
                        raise

    def start(self, name: str) -> None:
        """Put the file in its place. There already: nothing happens."""
        with self._instance(name) as folder:
            if not folder.there():
                raise EnvironmentFault(f"there is no instance {name} to start", code="engine-failed",
                                       hint="labs doctor")
            if not folder.started():
                folder.write_start(secrets.token_hex(6))
                folder.bring_back()

    def stop(self, name: str) -> None:
        """Take the file out of its place."""
        with self._instance(name) as folder:
            folder.put_away()

    def kill(self, name: str) -> None:
        """Nothing runs that could be killed. Not started: nothing happens."""
        instance = self.inspect(name)
        if instance is not None and instance.state is State.RUNNING:
            _refuse(name, "killed")

    def pause(self, name: str) -> None:
        """Nothing runs that could be frozen."""
        _refuse(checked_name(name), "paused")

    def unpause(self, name: str) -> None:
        """It is never paused."""

    def remove(self, name: str, *, data: bool) -> None:
        """Remove its folder; without ``data`` the data and the spec stay."""
        with self._instance(name) as folder:
            spec = folder.spec()
            if not folder.path.exists():
                return
            if data or spec is None or not spec.keep_data:
                remove_at_once(folder.path)
            else:
                folder.state.unlink(missing_ok=True)
                folder.put_away()

    # --- looking ---------------------------------------------------------------------------------------------

    def inspect(self, name: str) -> Instance | None:
        """The instance now."""
        return _Folder(self._folder / checked_name(name)).instance()

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> Sequence[Instance]:
        """All instances of this owner. Removes what a killed command left half-made or half-removed."""
        found = []
        for path in folders_in(self._folder):
            folder = _Folder(path)
            instance = folder.instance()
            if instance is None:
                discard_empty(folder)
            elif matches(instance.spec, user=user, installation=installation, environment=environment, lease=lease):
                found.append(instance)
        return found

    def logs(self, name: str, *, tail: int | None = None,  # noqa: ARG002 - the protocol's shape
             since_start: bool = False) -> str:  # noqa: ARG002
        """A file says nothing."""
        return ""

    def follow(self, name: str) -> Sequence[str] | None:  # noqa: ARG002 - the protocol's shape
        """There is nothing to follow."""
        return None

    @contextlib.contextmanager
    def _instance(self, name: str) -> Iterator[_Folder]:
        """The instance's folder, locked. One that is not there reads as empty."""
        folder = _Folder(self._folder / checked_name(name))
        with _faults(folder), locked_if_there(folder.path):
            yield folder


class _Folder(SpecFolder):
    """One instance's."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.data, self.stopped, self.state = path / "data", path / "stopped", path / "state.json"

    def there(self) -> bool:
        """Whether there is an instance, and not only its data."""
        return self.state.exists()

    def write_start(self, incarnation: str) -> None:
        """From now on there is an instance, and this is its last start."""
        write_json(self.state, {"incarnation": incarnation}, durable=True)

    def started(self) -> bool:
        """Whether the file is in its place. What somebody makes there while it is stopped is not the file."""
        return self.there() and not self.stopped.exists()

    def put_away(self) -> None:
        """The file is not in its place any more."""
        if self.stopped.exists():
            return
        if self.data.exists():
            self.data.rename(self.stopped)
        else:
            self.stopped.mkdir(mode=0o700)
        sync_folder(self.path)

    def bring_back(self) -> None:
        """The file is in its place again."""
        if self.data.exists():
            remove_tree(self.data)
        self.stopped.rename(self.data)
        sync_folder(self.path)

    def instance(self) -> Instance | None:
        """What can be seen of it."""
        spec = self.spec()
        if spec is None or not self.there():
            return None if spec is None else Instance(spec, State.MISSING)
        state = read_json(self.state)
        incarnation = str(state.get("incarnation", "")) if isinstance(state, dict) else ""
        return Instance(spec, State.RUNNING if self.started() else State.EXITED, incarnation=incarnation)


def _refuse(name: str, what: str) -> NoReturn:
    raise EnvironmentFault(f"{name} is a file: nothing runs that could be {what}", code="unsupported",
                           hint="stop it instead: then nobody can open it")


@contextlib.contextmanager
def _faults(folder: SpecFolder) -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except OSError as error:
        raise unwritable(folder.path, error) from error
