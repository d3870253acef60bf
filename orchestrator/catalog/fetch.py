"""Foreign labs as plain files: from a git repository or a folder, nothing of which is run, followed or believed.

A repository is never checked out: hooks, filters and submodules have no part in reading objects. Only regular files
are taken, within limits; anything else is refused with its path.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.errors import EnvironmentFault, LabInvalid, Problem, UsageError

MOST_BYTES, MOST_FILES, MOST_TOGETHER = 5_000_000, 5_000, 100_000_000
PATIENCE = 300.0
"""Seconds for one call to git."""
SCHEMES = ("https", "ssh", "git", "file")
SCP = re.compile(r"[\w.-]+@[\w.-]+:[^/].*")
PERSONAL = re.compile(r"GIT_(ASKPASS|SSH\w*|SSL_\w+|HTTP_\w+|PROXY_\w+|CONFIG_\w+)")
"""Variables of a person's that say how git reaches a repository."""
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
LEFT_OUT = frozenset({".git", "__pycache__", "node_modules", ".venv", ".labs"})
FILES = "files-"
"""How the commit of a plain folder begins."""
PROGRAM = "100755"
PLAIN_MODES = ("100644", PROGRAM, "100664")


@dataclass(frozen=True, slots=True)
class Source:
    """Where labs come from. ``url`` as git takes it, or an absolute folder; ``ref``: branch, tag, commit, or ``""``."""

    url: str
    ref: str = ""

    def __str__(self) -> str:
        return f"{self.url}@{self.ref}" if self.ref else self.url

    @property
    def name(self) -> str:
        """The repository's name, which a lab at its top has, too."""
        return PurePosixPath(self.url.rstrip("/").replace(":", "/")).name.removesuffix(".git")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What is at a source now. ``commit``: git's, or ``files-`` and a hash for a plain folder.

    ``files``: path -> bytes; ``programs``: those of them that may be run.
    """

    source: Source
    commit: str
    files: dict[str, bytes]
    programs: frozenset[str]


def parse_source(text: str) -> Source:
    """``URL[@REF]`` or a folder; ``UsageError`` for what git must not be given."""
    folder = Path(text)
    if text and not text.startswith("-") and folder.is_dir():
        return Source(str(folder.resolve()))
    before, slash, last = text.rpartition("/")
    last, _, ref = last.partition("@")
    url = f"{before}{slash}{last}"
    scheme = url.partition("://")[0] if "://" in url else ""
    bad = any(part.startswith("-") or not part.isprintable() for part in (url, ref)) or "::" in url
    if bad or not (scheme in SCHEMES or (not scheme and SCP.fullmatch(url))):
        why = "http can be changed on its way" if scheme == "http" else "neither a git address nor a folder"
        raise UsageError(f"{text!r} cannot be added: {why}", code="bad-source",
                         hint="labs add https://HOST/ORG/REPOSITORY[@TAG]")
    return Source(url, ref)


def fetch(source: Source, scratch: Path) -> Fetched:
    """Read everything that is at the source. ``scratch``: an empty folder that the caller removes.

    ``EnvironmentFault``: no git, not reached, no such ref. ``LabInvalid``: something that no lab has, with its path.
    """
    folder = Path(source.url)
    if folder.is_absolute() and not (folder / ".git").exists() and not (folder / "HEAD").is_file():
        entries = list(_folder_entries(folder))
        _refuse(entries)
        files = {one.name: (folder / one.name).read_bytes() for one in entries}
        return Fetched(source, f"{FILES}{_hash(files)}", files, _programs(entries))
    commit = _fetch_commit(source, scratch)
    entries = list(_git_entries(commit, scratch))
    _refuse(entries)
    return Fetched(source, commit, dict(_git_files(entries, scratch)), _programs(entries))


@dataclass(frozen=True, slots=True)
class _TreeEntry:
    """``mode`` as git says it; ``size`` in bytes; ``object`` git's id."""

    mode: str
    size: int
    name: str
    object: str = ""


def _programs(entries: Iterable[_TreeEntry]) -> frozenset[str]:
    return frozenset(one.name for one in entries if one.mode == PROGRAM)


def _folder_entries(folder: Path) -> Iterator[_TreeEntry]:
    for path in _walk(folder):
        plain = PROGRAM if path.lstat().st_mode & 0o100 else "100644"
        mode = "120000" if path.is_symlink() else plain if path.is_file() else "other"
        yield _TreeEntry(mode, path.lstat().st_size, path.relative_to(folder).as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _fetch_commit(source: Source, scratch: Path) -> str:
    """Bring the objects of one commit into ``scratch``, a repository of its own; the commit."""
    _git(scratch, "init", "--quiet", "--bare", ".")
    wanted = source.ref or "HEAD"
    fetched = _git(scratch, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", source.url,
                   wanted, check=False, reaches_out=True)
    if fetched.returncode != 0 and COMMIT.fullmatch(wanted):
        # Not every server gives a commit by its name: then all of them, and this one among them.
        fetched = _git(scratch, "fetch", "--quiet", "--no-recurse-submodules", "--", source.url,
                       "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", check=False, reaches_out=True)
        found = _git(scratch, "rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}", check=False)
    else:
        found = _git(scratch, "rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}", check=False)
    commit = found.stdout.decode().strip()
    if fetched.returncode != 0 or found.returncode != 0 or not COMMIT.fullmatch(commit):
        said = fetched.stderr.decode(errors="replace").strip().splitlines()
        if any("couldn't find remote ref" in line for line in said) or fetched.returncode == 0:
            raise EnvironmentFault(f"{source.url} has no {wanted}", code="unknown-ref",
                                   hint=f"git ls-remote {source.url}")
        raise EnvironmentFault(f"{source.url} cannot be fetched: {(said or ['git gave no reason'])[-1]}",
                               code="fetch-failed", hint=f"git ls-remote {source.url}")
    return commit


def _git_entries(commit: str, scratch: Path) -> Iterator[_TreeEntry]:
    listed = _git(scratch, "ls-tree", "-r", "-l", "-z", commit).stdout.decode("utf-8", errors="surrogateescape")
    for line in listed.split("\0")[:-1]:
        head, _, name = line.partition("\t")
        mode, _, object_id, size = head.split()
        if not LEFT_OUT & set(name.split("/")[:-1]):
            yield _TreeEntry(mode, int(size) if size.isdigit() else 0, name, object_id)


def _git_files(entries: Iterable[_TreeEntry], scratch: Path) -> Iterator[tuple[str, bytes]]:
    entries = list(entries)
    data = _git(scratch, "cat-file", "--batch", stdin="".join(f"{one.object}\n" for one in entries).encode()).stdout
    at = 0
    for one in entries:
        at = data.index(b"\n", at) + 1
        yield one.name, data[at : at + one.size]
        at += one.size + 1


def _refuse(entries: Iterable[_TreeEntry]) -> None:
    """``LabInvalid`` with everything that is no part of a lab."""
    entries = list(entries)
    problems = []
    lower: dict[str, str] = {}
    kinds = {"120000": "is a link", "160000": "is a submodule"}

    def problem(name: str, message: str) -> None:
        problems.append(Problem(_shown(name), None, message))

    for one in entries:
        if one.mode not in PLAIN_MODES:
            problem(one.name, f"{kinds.get(one.mode, 'is no regular file')}; a lab has files only")
        if one.size > MOST_BYTES:
            problem(one.name, f"is larger than {MOST_BYTES // 1_000_000} MB")
        parts = PurePosixPath(one.name).parts
        if {"..", ".git"} & set(parts) or one.name.startswith("/") or not one.name.isprintable() or "\\" in one.name:
            problem(one.name, "is a path that no lab needs")
        other = lower.setdefault(one.name.lower(), one.name)
        if other != one.name:
            problem(one.name, f"differs from {_shown(other)} only in case")
    if len(entries) > MOST_FILES:
        problem(".", f"{len(entries)} files; a lab has at most {MOST_FILES}")
    if sum(one.size for one in entries) > MOST_TOGETHER:
        problem(".", f"more than {MOST_TOGETHER // 1_000_000} MB together")
    if problems:
        raise LabInvalid("this cannot be a lab", problems[:20], hint="ask its author")


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _hash(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:40]


def _git(folder: Path, *arguments: str, check: bool = True, stdin: bytes = b"",
         reaches_out: bool = False) -> subprocess.CompletedProcess[bytes]:
    """One call to git that asks nothing and runs nothing of a repository's.

    Only one that ``reaches_out`` reads the person's settings: other addresses, proxies, certificates, credential
    helpers and ssh commands are how a private course is reached. Objects are read with nobody's.
    """
    ours = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ":".join(SCHEMES), "GIT_DIR": str(folder), "LC_ALL": "C"}
    alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("GIT_") or (reaches_out and PERSONAL.fullmatch(name))}
    environment |= ours if reaches_out else ours | alone
    command = ["git"]
    for setting in (f"core.hooksPath={os.devnull}", "core.fsmonitor=", "protocol.ext.allow=never", "gc.auto=0",
                    "maintenance.auto=false"):
        command += ["-c", setting]
    command += arguments
    try:
        done = subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, timeout=PATIENCE,
                              check=False)
    except FileNotFoundError as error:
        raise EnvironmentFault("git is not on this machine, and labs come by it", code="no-git",
                               hint="install git   (https://git-scm.com/downloads)") from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFault(f"git did not end within {PATIENCE:g} s", code="fetch-failed",
                               hint="try again where the network is better") from error
    if check and done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise EnvironmentFault(f"git {arguments[0]} failed: {(said or ['no reason given'])[-1]}", code="fetch-failed")
    return done
