"""Solutions and starters: right servers that are there, wrong ones that say why, patches that still apply.

Whether they pass and fail as they must is for ``labs verify``, which runs them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import resources, services
from orchestrator.catalog.manifest import Outline, read_lab
from orchestrator.catalog.sources import commit_at
from orchestrator.errors import LabInvalid, LabsError, WorkspaceInvalid, did_you_mean
from orchestrator.lint.check_files import CheckFiles
from orchestrator.lint.finding import Finding, read_text
from orchestrator.lint.given import SHAPE, given
from orchestrator.system.home import find_home
from orchestrator.system.toolchains import TOOLCHAINS
from orchestrator.verify.solutions import DEFAULT, HEADER, read_solutions
from orchestrator.workspace.budgets import OVER_CAP, hold_budgets
from orchestrator.workspace.tracks import own_part
from orchestrator.workspace.workspace_toml import FILE, read_workspace

if TYPE_CHECKING:
    from orchestrator.model import Lab

FOLDERS = ("accepted", "wrong", "variants", "faults")
PATCHES = ("wrong", "variants", "faults")
STARTERS = (*TOOLCHAINS, "other")
"""Languages that ``labs init`` knows."""
FOLDER = "solutions"
PROOF = "proof.toml"
SECONDS = 30.0
"""For git to look at one patch."""


@dataclass(frozen=True)
class _PatchFile:
    """A file in ``wrong/``, ``variants/`` or ``faults/``: its lines of header, each with its place."""

    name: str
    text: str
    header: dict[str, tuple[str, int]]

    def said(self, key: str) -> str:
        return self.header[key][0] if key in self.header else ""

    def line(self, key: str) -> int:
        return self.header[key][1] if key in self.header else 1


def findings(lab: Path, outline: Outline | None, check_files: CheckFiles,
             framework: frozenset[str]) -> Iterator[Finding]:
    """Everything about ``solutions/`` and ``starter/``. ``framework``: reasons that need no check to say them."""
    whole = _whole(lab)
    if not any(one.is_dir() for one in (lab / "starter").glob("*")):
        yield Finding("starter", None, "no-starter", "has no server to begin with, so labs init has nothing to copy",
                      "add a server for each language that you offer, such as starter/other")
    for folder in sorted((lab / "starter").glob("*/")):
        if folder.is_dir() and folder.name not in STARTERS and not folder.name.startswith("."):
            yield Finding(f"starter/{folder.name}", None, "unknown-language", "is for a language that labs init does "
                          f"not know{did_you_mean(folder.name, STARTERS)}",
                          f"name it {', '.join(STARTERS[:-1])} or {STARTERS[-1]}")
        if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith("."):
            yield from _workspace(lab, folder, whole)
    root = lab / FOLDER
    if not root.is_dir():
        # The copy of an added lab has none, and somebody else's lab is not to be mended here.
        if resources.is_checkout() and not commit_at(find_home(), lab):
            yield Finding(FOLDER, None, "no-solutions", "is not there, so nobody can tell whether the checks are right",
                          f"put a server that passes into {FOLDER}/accepted/python")
        return
    yield from _entries(lab, root)
    for folder in sorted(one for one in (root / "accepted").glob("*") if one.is_dir() and not one.is_symlink()):
        yield from _workspace(lab, folder, whole)
    read = [_read(lab, path) for kind in PATCHES for path in sorted((root / kind).glob("*.patch"))]
    unread = [one for one in read if isinstance(one, Finding)]
    if (root / PROOF).exists() and isinstance(proof := read_text(lab, f"{FOLDER}/{PROOF}"), Finding):
        unread.append(proof)
    yield from unread
    if not unread:  # It opens whatever has the right name.
        yield from _contradictions(root)
    patches = [one for one in read if isinstance(one, _PatchFile)]
    yield from _applied(lab, patches)
    if outline is not None:
        yield from _wrong([one for one in patches if "/wrong/" in one.name], outline, check_files, framework)


def _contradictions(root: Path) -> Iterator[Finding]:
    """What ``labs verify`` would refuse."""
    try:
        read_solutions(root)
    except LabInvalid as error:
        for problem in error.problems:
            yield Finding(problem.file, problem.line, "bad-solutions", problem.message,
                          "write it as the other solutions of a lab are, or delete it")


def _whole(lab: Path) -> Lab | None:
    """The lab, if it is right so far."""
    try:
        return read_lab(lab, services=services.names())
    except LabsError:
        return None


def _workspace(lab: Path, folder: Path, whole: Lab | None) -> Iterator[Finding]:
    name = folder.relative_to(lab).as_posix()
    if not (folder / FILE).is_file():
        yield Finding(name, None, "no-workspace", f"has no {FILE}, so nobody knows how it runs",
                      f"add {FILE} with format, lab and run")
        return
    try:
        workspace = read_workspace(folder)
        if whole is not None:
            hold_budgets(whole, workspace)
            own_part(whole, workspace)
    except WorkspaceInvalid as error:
        fix = ("ask for less, or raise the cap in lab.toml" if error.code == OVER_CAP
               else "write it as labs schema workspace has it")
        for problem in error.problems:
            yield Finding(f"{name}/{FILE}", problem.line, "bad-workspace", problem.message, fix)
        return
    except LabsError as error:
        yield Finding(f"{name}/{FILE}", None, "bad-workspace", error.message, "put a readable file there")
        return
    if workspace.lab != lab.name:
        line = next((number for number, text in enumerate((folder / FILE).read_text("utf-8-sig").splitlines(), 1)
                     if re.match(r"\s*[\"']?lab[\"']?\s*=", text)), None)
        yield Finding(f"{name}/{FILE}", line, "other-lab", f"is for the lab {workspace.lab!r}, and is in {lab.name}",
                      f'lab = "{lab.name}"')


def _entries(lab: Path, root: Path) -> Iterator[Finding]:
    """What is there under a name that nobody reads."""
    for path in sorted(root.glob("*")):
        if path.is_dir() and path.name not in FOLDERS and not path.name.startswith("."):
            yield Finding(path.relative_to(lab).as_posix(), None, "nearly-named",
                          f"is a folder that nothing reads{did_you_mean(path.name, FOLDERS)}",
                          f"rename or delete it; {FOLDER}/ has {', '.join(FOLDERS)}")
    for kind in PATCHES:
        for path in sorted((root / kind).glob("*")):
            if (path.is_dir() or path.suffix != ".patch") and path.name != "README.md" and path.name[0] != ".":
                yield Finding(path.relative_to(lab).as_posix(), None, "not-a-patch", "is no patch, so nothing reads it",
                              "name it TRACK-STEP-SLUG.patch, with the output of git diff")


def _read(lab: Path, path: Path) -> _PatchFile | Finding:
    """A patch, or why it cannot be read."""
    name = path.relative_to(lab).as_posix()
    text = read_text(lab, name)
    if isinstance(text, Finding):
        return text
    header = {found.group(1): (found.group(2).strip(), text.count("\n", 0, found.start()) + 1)
              for found in HEADER.finditer(text)}
    return _PatchFile(name, text, header)


def _wrong(patches: list[_PatchFile], outline: Outline, check_files: CheckFiles,
           framework: frozenset[str]) -> Iterator[Finding]:
    milestones = {one.id: one for one in outline.milestones}
    for patch in patches:
        about, reason = patch.said("milestone"), patch.said("reason")
        if reason and not SHAPE.fullmatch(reason):
            yield Finding(patch.name, patch.line("reason"), "bad-reason", f"the reason {reason!r} is no id",
                          "use lower-case words with dashes, like not-stored")
        if not about:
            continue
        if about not in milestones:
            yield Finding(patch.name, patch.line("milestone"), "unknown-milestone",
                          f"is about {about}, which does not exist{did_you_mean(about, milestones)}",
                          "name a milestone of lab.toml")
            continue
        begins = about.replace("/", "-") + "-"
        if not Path(patch.name).name.startswith(begins):
            yield Finding(patch.name, None, "bad-patch-name", f"is about {about}, and its name does not say so",
                          f"let its name begin with {begins}")
        possible = given(check_files, milestones[about], framework)
        if reason and possible is not None and not possible.can(reason):
            yield Finding(patch.name, patch.line("reason"), "unknown-reason",
                          f"must fail for {reason}, which no check of {about} can give{possible.near(reason)}",
                          "name a reason of one of its checks")
    caught = {patch.said("milestone") for patch in patches}
    for milestone in outline.milestones:
        if milestone.id and milestone.id not in caught:
            yield Finding("lab.toml", milestone.line, "no-wrong-solution",
                          f"{milestone.id} has no wrong solution, so nothing shows that its checks catch one",
                          f"add {FOLDER}/wrong/{milestone.id.replace('/', '-')}-SLUG.patch")


def _applied(lab: Path, patches: list[_PatchFile]) -> Iterator[Finding]:
    """Try each patch on a copy of the files that it names."""
    if patches and shutil.which("git") is None:
        yield Finding(f"{FOLDER}/wrong", None, "patches-not-checked", "cannot be checked: git is not on this machine",
                      "install git, and lint again")
        return
    accepted = sorted(path.parent.name for path in (lab / FOLDER / "accepted").glob(f"*/{FILE}"))
    with tempfile.TemporaryDirectory(prefix="labs-lint-") as scratch:
        for number, patch in enumerate(patches):
            named = Path(patch.name).stem.partition(".")[2] if "/faults/" in patch.name else ""
            on = named or patch.said("on") or (DEFAULT if DEFAULT in accepted else next(iter(accepted), ""))
            if on in accepted:
                trouble = _trouble(lab / FOLDER / "accepted" / on, patch.text, Path(scratch) / str(number))
                if trouble:
                    yield Finding(patch.name, _hunk(patch.text, trouble), "patch-fails",
                                  f"does not apply to {FOLDER}/accepted/{on}: {trouble}",
                                  "make the change again and save git diff")


def _trouble(source: Path, text: str, copy: Path) -> str:
    """What git says against a patch; ``""`` if nothing."""
    copy.mkdir()
    for name in dict.fromkeys(re.findall(r"^--- a/(.+?)\t?$", text, re.MULTILINE)):
        original = source / name
        if original.is_file() and original.resolve().is_relative_to(source.resolve()) and ".." not in Path(name).parts:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, copy / name)
    # A folder of its own for git, and no settings of the person's.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CEILING_DIRECTORIES": str(copy.parent),
                   "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "apply", "--check", "-p1", "-"], cwd=copy, input=text.encode(), env=environment,
                              capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"git did not end within {SECONDS:g} s"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return (said or ["git apply failed"])[0].removeprefix("error: ") if done.returncode else ""


def _hunk(text: str, trouble: str) -> int | None:
    """The line in the patch that git speaks of (``patch failed: web.py:30``)."""
    told = re.search(r"patch failed: (.+):(\d+)$", trouble)
    here = ""
    for number, line in enumerate(text.splitlines(), 1) if told else ():
        here = line[6:] if line.startswith("--- a/") else here
        if told and here == told.group(1) and line.startswith(f"@@ -{told.group(2)},"):
            return number
    return None
