"""What a person wrote in a workspace, as one hash: "the same content" means the same key.

Left out: folders of version control, editors, package managers and caches (``TOOLS``), what an editor puts beside a
file (``EDITORS``), virtual environments, what the workspace's own ``.gitignore`` names (one file, at the top), and,
where a build makes them, ``OUTPUTS`` and the binary that ``run`` starts. Without a build those are what the learner
gives us, and belong to the content.
What `labs` itself wrote (a proof, a bundle, a trace as a page) is left out, too: it tells of the server and is no part
of it.
Links count as what they say, not as what they point to; what lies outside the folder is not seen.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model import Workspace
from orchestrator.system.own_files import is_ours

TOOLS = frozenset({
    ".git", ".github", ".hg", ".svn", ".jj", ".labs", ".idea", ".vscode", ".vs", "node_modules", ".venv", "__pycache__",
    ".tox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".gradle", ".direnv", ".DS_Store",
})
EDITORS = re.compile(r"""
    \..+\.sw[a-z] | 4913      # vim: swap files, and the file with which it tries whether a folder can be written
    | .+~ | \#.*\# | \.\#.*   # backups; Emacs: unsaved text, and the link that says who edits
    | \.goutputstream-\w+ | .*___jb_(?:tmp|old)___
""", re.VERBOSE)
"""Names of files that editors put beside the one that is edited, for a moment or until they are closed."""
OUTPUTS = frozenset({"target", "dist"})
BINARY = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How programs for Linux and macOS begin."""
LARGE = 64 * 1024 * 1024
"""Bytes; of a larger file size and time stand for its content."""
CHUNK = 1024 * 1024


def content_key(workspace: Workspace) -> str:
    """The hash: names, kinds, whether executable, contents. Reads files and nothing else; never raises for them."""
    digest = hashlib.blake2b(digest_size=12)
    for relative, path, status in _entries(workspace):
        name = os.fsencode(relative)
        digest.update(b"%d %s %d " % (len(name), name, bool(status.st_mode & 0o100)))
        _add(digest, path, status)
    return digest.hexdigest()


def source_files(workspace: Workspace) -> dict[str, Path]:
    """Path in the workspace -> file, of every plain file that counts for the key. Links are not among them."""
    found = {os.path.normpath(relative): path for relative, path, _ in _entries(workspace)}
    return {relative: path for relative, path in sorted(found.items())
            if path.is_file() and not path.is_symlink()}


@dataclass(frozen=True, slots=True)
class Stamps:
    """A look at a workspace that reads no file: by path what tells a changed file, and every folder that counts."""

    files: Mapping[str, tuple[int, int, int]]
    folders: tuple[Path, ...]


def stamps(workspace: Workspace) -> Stamps:
    """Of everything that counts for ``content_key``. What has the same stamp is the same but for a rare rewrite."""
    folders: list[Path] = []
    files = {relative: (status.st_mtime_ns, status.st_size, status.st_ino)
             for relative, _, status in _entries(workspace, folders)}
    return Stamps(files, tuple(folders))


def made_folders(workspace: Workspace) -> list[str]:
    """Folders at the top of the workspace that are left out of its content: what a build needs may be in them."""
    ignore = _Ignore(workspace)
    return [entry.name for entry in _scan(workspace.folder)
            if entry.is_dir(follow_symlinks=False) and ignore.leaves_out(entry.name, Path(entry.path), is_folder=True)]


def is_file(path: Path) -> bool:
    """``Path.is_file`` for words that may be anything, also longer than a name may be."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _add(digest: hashlib.blake2b, path: Path, status: os.stat_result) -> None:
    try:
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(path.readlink())
            digest.update(b"link %d %s" % (len(target), target))
        elif status.st_size > LARGE:
            digest.update(b"large %d %d" % (status.st_size, status.st_mtime_ns))
        else:
            with path.open("rb") as file:
                inner = hashlib.blake2b(digest_size=16)
                while chunk := file.read(CHUNK):
                    inner.update(chunk)
            digest.update(b"file " + inner.digest())
    except OSError as error:
        digest.update(b"error %d" % (error.errno or 0))


def _entries(
    workspace: Workspace, walked: list[Path] | None = None
) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Every file and link that counts, in an order that depends on names alone; ``walked`` gets the folders."""
    ignore = _Ignore(workspace)
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        folders = []
        if walked is not None:
            walked.append(workspace.folder / parent)
        for entry in _scan(workspace.folder / parent):
            relative = f"{parent}{entry.name}"
            path = Path(entry.path)
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            is_folder = stat.S_ISDIR(status.st_mode)
            if ignore.leaves_out(relative, path, is_folder=is_folder):
                continue
            if is_folder:
                folders.append(f"{relative}/")
            elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                # Pipes and devices are not opened: reading them could wait for ever.
                yield relative, path, status
        waiting += reversed(folders)
    if not workspace.build:
        for relative in ignore.given:
            path = workspace.folder / relative
            yield relative, path, path.stat()


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


class _Ignore:
    """What is left out of a workspace's content."""

    def __init__(self, workspace: Workspace) -> None:
        self._names = TOOLS | OUTPUTS if workspace.build else TOOLS
        self._rules = _rules(workspace.folder)
        words = {os.path.normpath(word) for word in workspace.run}
        files = {word for word in words if not word.startswith(("/", "..")) and is_file(workspace.folder / word)}
        self.given = sorted(files)
        """Files that ``run`` names. Without a build they count even if they are ignored."""
        program = os.path.normpath(workspace.run[0])
        built = workspace.build and program in files and _is_binary(workspace.folder / program)
        self._product = program if built else ""

    def leaves_out(self, relative: str, path: Path, *, is_folder: bool) -> bool:
        if path.name in self._names or relative == self._product:
            return True
        if is_folder and (path / "pyvenv.cfg").is_file():
            return True
        if not is_folder and (EDITORS.fullmatch(path.name) or is_ours(path)):
            return True
        ignored = False
        for rule in self._rules:
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(relative):
                ignored = not rule.negated
        return ignored


def _is_binary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in BINARY
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of ``.gitignore``, for paths relative to its folder."""

    pattern: re.Pattern[str]
    negated: bool
    folders_only: bool


def _rules(folder: Path) -> list[_Rule]:
    try:
        with (folder / ".gitignore").open("rb") as file:
            text = file.read(CHUNK).decode("utf-8", errors="surrogateescape")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        words = line.rstrip()
        if not words or words.startswith("#"):
            continue
        negated = words.startswith("!")
        words = words.removeprefix("!").removeprefix("\\")
        bare = words.rstrip("/")
        # A slash at the beginning or in the middle ties the pattern to the top; else it may match at any depth.
        anywhere = "" if "/" in bare else r"(?:.*/)?"
        try:
            pattern = re.compile(anywhere + _translate(bare.lstrip("/")), re.DOTALL)
        except re.error:
            # Such a line (``[z-a]``) matches nothing for git either.
            continue
        found.append(_Rule(pattern, negated, words.endswith("/")))
    return found


def _translate(pattern: str) -> str:
    """git's wildcards as a regular expression."""
    special = {"**/": r"(?:.*/)?", "/**": r"/.*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    parts = re.split(r"(\*\*/|/\*\*|\*\*|\*|\?|\[!?\]?[^\]/]*\])", pattern)
    text = ""
    for part in parts:
        if part.startswith("[") and part.endswith("]") and len(part) > 2:
            inner = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
            text += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
        else:
            text += special.get(part) or re.escape(part)
    return text
