"""Building the learner's server: once for each content, within its own budget, under a keeper."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model import Workspace
from orchestrator.state import read_json, write_json
from orchestrator.target.environ import build_environment
from orchestrator.target.kept import KeptProcess
from orchestrator.target.process import TargetInvalid, describe_status
from orchestrator.toolchains import how_to_get

IGNORED = {
    ".git", ".hg", ".svn", ".labs", ".idea", ".vscode", "node_modules", ".venv", "venv", "__pycache__", "target",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".gradle", ".DS_Store",
}
"""Folders and files that tools write; what ``.gitignore`` names is left out, too."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """``cached``: the same content was built before, and nothing was done now."""

    cached: bool
    seconds: float
    key: str


def build(workspace: Workspace, *, budget: float, cache: Path,
          on_line: Callable[[str], None] | None = None) -> BuildResult:
    """Run the build commands unless this content was built already. ``budget`` in seconds for all of them.

    Raises ``TargetInvalid``: ``toolchain-missing``, ``build-failed`` (with the tool's last lines), ``build-timeout``.
    """
    began = time.monotonic()
    key = _build_key(workspace)
    mark = cache / "builds" / f"{hashlib.sha256(str(workspace.folder).encode()).hexdigest()[:16]}.json"
    if not workspace.build or (read_json(mark) == {"key": key} and _product_exists(workspace)):
        return BuildResult(True, time.monotonic() - began, key)
    mark.unlink(missing_ok=True)
    environment = build_environment(run_id=f"build-{key[:12]}")
    for command in workspace.build:
        _run(workspace, command, environment, began + budget, budget, on_line)
    write_json(mark, {"key": key})
    return BuildResult(False, time.monotonic() - began, key)


def _run(workspace: Workspace, command: tuple[str, ...], environment: dict[str, str], end: float, budget: float,
         on_line: Callable[[str], None] | None) -> None:
    program = command[0]
    found = str(workspace.folder / program) if "/" in program else shutil.which(program, path=environment.get("PATH"))
    if found is None or not Path(found).is_file():
        raise TargetInvalid("toolchain-missing", f"{program} was not found on this machine; {how_to_get(program)}")
    if on_line is not None:
        on_line(" ".join(command))
    process = KeptProcess([found, *command[1:]], folder=workspace.folder, environment=environment)
    try:
        ended = process.wait(end - time.monotonic())
    finally:
        # Whatever the command left running ends with it.
        process.end(0)
    log = process.output.text(40)
    if not ended:
        raise TargetInvalid("build-timeout", f"`{' '.join(command)}` did not end within {budget:.0f} s", log)
    if process.failure or process.status != 0:
        how = process.failure or describe_status(process.status if process.status is not None else 1)
        raise TargetInvalid("build-failed", f"`{' '.join(command)}` failed ({how})", log)


def content_key(workspace: Workspace) -> str:
    """A hash of everything in the workspace that a person wrote: "the same content" means the same key."""
    digest = hashlib.sha256()
    for path in _sources(workspace.folder):
        digest.update(str(path.relative_to(workspace.folder)).encode(errors="surrogateescape") + b"\0")
        try:
            digest.update(str(path.readlink()).encode() if path.is_symlink() else path.read_bytes())
        except OSError as error:
            digest.update(str(error.errno).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:24]


def _build_key(workspace: Workspace) -> str:
    """The content and the tools: another compiler builds anew."""
    tools = []
    for command in workspace.build:
        found = shutil.which(command[0])
        tools.append(f"{found}:{Path(found).stat().st_mtime_ns if found else 0}")
    return hashlib.sha256("\0".join((content_key(workspace), *tools)).encode()).hexdigest()[:24]


def _product_exists(workspace: Workspace) -> bool:
    program = workspace.run[0]
    return "/" not in program or (workspace.folder / program).exists()


def _sources(folder: Path) -> Iterator[Path]:
    patterns = _ignore_patterns(folder)
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not _ignored(here / name, folder, patterns, is_folder=True))
        for name in sorted(files):
            path = here / name
            if not _ignored(path, folder, patterns, is_folder=False) and (path.is_file() or path.is_symlink()):
                yield path


def _ignore_patterns(folder: Path) -> list[str]:
    """The plain lines of the workspace's ``.gitignore``; negations are not understood and so ignore nothing."""
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "!"))]


def _ignored(path: Path, folder: Path, patterns: list[str], *, is_folder: bool) -> bool:
    if path.name in IGNORED and (is_folder or path.name == ".DS_Store"):
        return True
    relative = str(path.relative_to(folder))
    for pattern in patterns:
        if pattern.endswith("/") and not is_folder:
            continue
        bare = pattern.strip("/")
        anchored = "/" in pattern.rstrip("/")
        if fnmatch.fnmatchcase(relative if anchored else path.name, bare):
            return True
    return False
