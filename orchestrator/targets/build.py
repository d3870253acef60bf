"""Building the learner's server: once for each content, within its own budget, under a keeper."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Workspace
from orchestrator.system.files import make_folder, read_json, write_json
from orchestrator.system.interrupt import NEVER, TICK, Cancel
from orchestrator.system.locks import wait_lock
from orchestrator.system.toolchains import how_to_get, troubles
from orchestrator.targets.environ import build_environment, left_out
from orchestrator.targets.installs import Installed
from orchestrator.targets.patience import LATER, LONGEST, Patience, Waiting, more_time
from orchestrator.targets.process import TargetInvalid, describe_status
from orchestrator.targets.program import KeptProcess, launch
from orchestrator.workspace.budgets import Budget
from orchestrator.workspace.content import content_key, is_file, made_folders

__all__ = ["BuildResult", "TargetInvalid", "build", "content_key"]

LOG_LINES = 40
OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuildResult:
    """``cached``: the same content was built before, and nothing was done now. ``key``: of content and tools."""

    cached: bool
    seconds: float
    key: str


def build(workspace: Workspace, *, budget: Budget, cache: Path, on_line: OnLine | None = None,
          cancel: Cancel = NEVER) -> BuildResult:
    """Run the build commands unless this content was built already. ``budget`` is for all of them together.

    Of other content, commands that only install packages run if what they install from has changed.

    ``on_line`` gets each command and what it writes. Raises ``TargetInvalid``: ``toolchain-missing``, ``build-failed``
    (with the tool's last lines), ``build-timeout``, ``machine-too-slow``, ``other-build``; ``Cancelled`` when nothing
    of it runs any more.
    """
    began = time.monotonic()
    key = _build_key(workspace)
    if not workspace.build:
        return BuildResult(True, time.monotonic() - began, key)
    name = hashlib.sha256(os.fsencode(workspace.folder)).hexdigest()[:16]
    mark = cache / "builds" / f"{name}.json"
    with _alone(mark.with_suffix(".lock"), budget, cancel):
        known = _known(read_json(mark), key, workspace)
        if known:
            return BuildResult(True, time.monotonic() - began, known)
        with contextlib.suppress(OSError):
            mark.unlink()
        environment = build_environment(run_id=f"build-{secrets.token_hex(6)}")
        installed = Installed(workspace.folder, mark.with_suffix(".installs.json"))
        with Waiting(budget) as wait:
            for command in workspace.build:
                if not installed.done(command):
                    installed.forget(command)
                    _run(workspace, command, environment, wait, on_line, cancel)
                    installed.note(command)
        _remember(mark, key, workspace)
    return BuildResult(False, time.monotonic() - began, key)


def _known(record: Any, key: str, workspace: Workspace) -> str:
    """The key under which this content was built, or ``""``: it is new, or what was built has gone."""
    if not isinstance(record, dict) or key not in (record.get("before"), record.get("after")):
        return ""
    made = record.get("made")
    needed = [*made, *(word for word in workspace.run[:1] if "/" in word)] if isinstance(made, list) else [""]
    if all(isinstance(one, str) and one and os.path.lexists(workspace.folder / one) for one in needed):
        return str(record["before"])
    return ""


def _remember(mark: Path, key: str, workspace: Workspace) -> None:
    """Both keys: a build may write beside the sources what no list knows, and the next look must not see news in it."""
    made = [word for word in workspace.run if is_file(workspace.folder / word)] + made_folders(workspace)
    # Where nothing can be written we build each time; that is slow, not wrong.
    with contextlib.suppress(EnvironmentFault):
        write_json(mark, {"before": key, "after": _build_key(workspace), "made": made})


@contextlib.contextmanager
def _alone(path: Path, budget: Budget, cancel: Cancel) -> Iterator[None]:
    """One build of a folder at a time: a second waits as long as that may take, and then finds it done."""
    longest = budget.seconds * LONGEST
    with contextlib.ExitStack() as stack:
        try:
            make_folder(path.parent)
            file = stack.enter_context(path.open("a"))
            alone = wait_lock(file.fileno(), until=time.monotonic() + longest, look=cancel.look)
        except (OSError, EnvironmentFault):
            # A home that cannot be written, or knows no locks: nobody else could wait for us either.
            alone = True
        if not alone:
            raise TargetInvalid("other-build", f"another labs has been building this folder for {longest:.0f} s",
                                advice="labs check   (when the other one has ended)")
        yield


def _run(workspace: Workspace, command: tuple[str, ...], environment: dict[str, str], wait: Waiting,
         on_line: OnLine | None, cancel: Cancel) -> None:
    """Run one command. ``wait`` has been under way since the first one."""
    program, shown = command[0], " ".join(command)
    found = _find(workspace, program, environment)
    if found is None:
        raise TargetInvalid("toolchain-missing", f"{program} was not found on this machine; {how_to_get(program)}")
    if on_line is not None:
        on_line(shown)
    started: list[KeptProcess] = []
    try:
        launch([found, *command[1:]], folder=workspace.folder, environment=environment, made=started.append,
               on_line=on_line)
        (process,) = started
        wait.follow(process.keeper)
        ended, state = process.wait(0), Patience.WAIT
        while not ended and (state := wait.ask()) is Patience.WAIT:
            cancel.look()
            ended = process.wait(TICK)
    finally:
        # Whatever the command left running ends with it.
        for one in started:
            one.end(0)
    log = process.output.text(LOG_LINES)
    if not ended and state is Patience.STARVED:
        raise TargetInvalid("machine-too-slow", wait.starved(f"how long `{shown}` takes"), log, advice=LATER)
    if not ended:
        raise TargetInvalid("build-timeout", f"`{shown}` did not end {wait.within()}", log, advice=more_time(
            wait.budget, f"{shown}   (once in your server's folder, then labs check)"))
    if process.failure or process.status != 0:
        how = process.failure or describe_status(process.status if process.status is not None else 1)
        missed = left_out(log, environment)
        why = f"; not passed on from your shell: {', '.join(missed)}" if missed else ""
        why += "".join(f"; {what}: {remedy}" for _, what, remedy in troubles([command], workspace.folder))
        raise TargetInvalid("build-failed", f"`{shown}` failed ({how}){why}", log)


def _find(workspace: Workspace, program: str, environment: dict[str, str]) -> str | None:
    """A path is the workspace's, a name is looked up on PATH; ``None`` if there is no such program."""
    if "/" not in program:
        return shutil.which(program, path=environment.get("PATH", os.defpath))
    path = workspace.folder / program
    return str(path) if is_file(path) else None


def _build_key(workspace: Workspace) -> str:
    """The content, the commands and their tools: another compiler builds anew."""
    environment = build_environment(run_id="")
    digest = hashlib.blake2b(content_key(workspace).encode(), digest_size=12)
    for command in workspace.build:
        found = _find(workspace, command[0], environment)
        digest.update(os.fsencode(f"\0\0{found}\0" + "\0".join(command)))
        if found is not None and "/" not in command[0]:
            with contextlib.suppress(OSError):
                digest.update(b"%d" % Path(found).stat().st_mtime_ns)
    return digest.hexdigest()
