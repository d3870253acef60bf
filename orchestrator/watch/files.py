"""Hears of every save in a workspace and says so when its content is another.

Only folders that count for the content are watched, each by itself: a watch on everything below would also be set on
tens of thousands of folders of packages, and tell of every change in them. What a change means is read from the files,
not from the system's events: those differ between systems, and an editor makes many of them for one save.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from orchestrator.errors import LabsError
from orchestrator.model import Workspace
from orchestrator.watch.events import Changed, Event, Gone
from orchestrator.workspace.content import Stamps, content_key, stamps
from orchestrator.workspace.workspace_toml import read_workspace

DEBOUNCE_MS = 50
STEP_MS = 25
LOOK_MS = 250
"""How often we look whether the folder is still there; and once after watches were set anew."""
SLOW_LOOK = 1.0
"""Seconds between two looks without an event: shared folders of virtual machines, network drives and some bind mounts
make none."""
TRUE_SAVE = 5.0
"""Seconds: a file's time that is older is not the time of a save: it was moved here."""
TRIES = 3
PAUSE = 0.05


class Watcher:
    """A context manager; posts ``Changed`` and ``Gone`` from a thread of its own. ``key``: the content at the start."""

    def __init__(self, workspace: Workspace, post: Callable[[Event], None]) -> None:
        self._workspace = workspace
        self._post = post
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labs-watch-files", daemon=True)
        self._stamps = stamps(workspace)
        self.key = self._key = content_key(workspace)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(2)

    def look(self) -> Changed | Gone | None:
        """What is different from the last look."""
        folder = self._workspace.folder
        if not folder.is_dir():
            return Gone()
        try:
            self._workspace = read_workspace(folder)
        except LabsError:
            # The run will say what is wrong with it; until it is mended, what counted before counts.
            if not folder.is_dir():
                return Gone()
        before, self._stamps = self._stamps, stamps(self._workspace)
        key = content_key(self._workspace)
        if key == self._key:
            return None
        self._key = key
        return Changed(key, *_difference(before, self._stamps))

    def _differs(self) -> bool:
        """Whether a file looks changed, without reading any."""
        return stamps(self._workspace) != self._stamps

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                if self._watch(self._stamps.folders, polling=failures >= TRIES):
                    return
                failures = 0
            except (OSError, RuntimeError):
                # A folder went away in between, or the system has no more watches for us: then we look by ourselves.
                failures += 1
                time.sleep(PAUSE)
                if not self._workspace.folder.is_dir():
                    self._post(Gone())
                    return

    def _watch(self, folders: tuple[Path, ...], *, polling: bool) -> bool:
        """Until the folders are others (``False``), or the end (``True``)."""
        from watchfiles import watch

        fresh, looked = True, time.monotonic()
        for changes in watch(*folders, watch_filter=None, debounce=DEBOUNCE_MS, step=STEP_MS, stop_event=self._stop,
                             rust_timeout=LOOK_MS, yield_on_timeout=True, recursive=False,
                             force_polling=polling or None, raise_interrupt=False):  # None: watchfiles knows WSL
            # What changed before the watches were set has made no event.
            due = time.monotonic() - looked >= SLOW_LOOK
            if changes or fresh or not self._workspace.folder.is_dir() or (due and self._differs()):
                fresh = False
                found = self.look()
                if found is not None:
                    self._post(found)
                if isinstance(found, Gone):
                    return True
                if self._stamps.folders != folders:
                    return False
            if due:
                looked = time.monotonic()
        return True


def _difference(before: Stamps, after: Stamps) -> tuple[frozenset[str], float]:
    """Which files are others, and when the last of them was saved."""
    names = before.files.keys() | after.files.keys()
    paths = frozenset(name for name in names if before.files.get(name) != after.files.get(name))
    now = time.time()
    saved = max((after.files[name][0] / 1e9 for name in paths if name in after.files), default=now)
    return paths, saved if now - TRUE_SAVE < saved <= now else now
