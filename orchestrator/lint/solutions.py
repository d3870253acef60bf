"""Rules for ``solutions/``: what a proof of the lab needs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from orchestrator.errors import LabInvalid, WorkspaceInvalid, did_you_mean
from orchestrator.lint.checks import FRAMEWORK_REASONS, shared
from orchestrator.lint.declared import Declared
from orchestrator.lint.model import Finding
from orchestrator.lint.source import Source
from orchestrator.target.workspace import read_workspace
from orchestrator.verify.solutions import Patch, Solutions, applies, read_solutions

FOLDERS = ("accepted", "wrong", "variants", "proof.toml")


def lint_solutions(lab: Path, declared: Collection[Declared], sources: Mapping[str, Source]) -> Iterator[Finding]:
    """All rules. Nothing is said of a lab without the folder where its solutions are kept elsewhere."""
    folder = lab / "solutions"
    if not folder.is_dir():
        yield Finding("solutions", 0, "no-solutions", "is missing: nothing proves that the checks are right",
                      "solutions/accepted/python/, solutions/wrong/TRACK-STEP-SLUG.patch")
        return
    for path in sorted(folder.iterdir()):
        if path.name not in FOLDERS:
            yield Finding(f"solutions/{path.name}", 0, "unknown-file",
                          f"is nothing that a proof reads{did_you_mean(path.name, FOLDERS)}")
    for path in sorted((folder / "wrong").glob("*")):
        if path.suffix != ".patch":
            yield Finding(f"solutions/wrong/{path.name}", 0, "unknown-file", "is no .patch, so no proof tries it")
    try:
        solutions = read_solutions(folder)
    except LabInvalid as error:
        yield from (Finding(one.file, one.line or 0, "solutions", one.message) for one in error.problems)
        return
    for name in solutions.accepted:
        yield from _accepted(folder / "accepted" / name, lab.name)
    milestones = {one.id: one for one in declared}
    for patch in (*solutions.wrong, *solutions.variants):
        yield from _patch(solutions, patch, milestones, sources)
    proved = {patch.milestone for patch in solutions.wrong}
    for one in declared:
        if one.id not in proved:
            yield Finding("lab.toml", one.line, "no-wrong-solution", f"no wrong server is known to fail {one.id}",
                          f"solutions/wrong/{one.id.replace('/', '-')}-SLUG.patch")


def _accepted(folder: Path, lab: str) -> Iterator[Finding]:
    name = f"solutions/accepted/{folder.name}/workspace.toml"
    try:
        workspace = read_workspace(folder)
    except WorkspaceInvalid as error:
        yield from (Finding(name, one.line or 0, "solutions", one.message) for one in error.problems)
        return
    if workspace.lab != lab:
        yield Finding(name, 0, "solutions", f"is for the lab {workspace.lab!r}", f'lab = "{lab}"')


def _patch(solutions: Solutions, patch: Patch, milestones: Mapping[str, Declared],
           sources: Mapping[str, Source]) -> Iterator[Finding]:
    kind = "wrong" if patch.milestone else "variants"
    name = f"solutions/{kind}/{patch.name}.patch"
    if patch.milestone:
        one = milestones.get(patch.milestone)
        if one is None:
            yield Finding(name, 1, "unknown-milestone", f"is for {patch.milestone}, which the lab does not have"
                          + did_you_mean(patch.milestone, milestones))
        else:
            if not patch.name.startswith(f"{one.id.replace('/', '-')}-"):
                yield Finding(name, 0, "file-name", f"is for {one.id}, so its name begins with "
                              f"{one.id.replace('/', '-')}-")
            source = sources.get(one.checks)
            texts = (file.texts for file in ([source] if source else []) + shared(sources))
            if source is not None and patch.reason not in FRAMEWORK_REASONS.union(*texts):
                yield Finding(name, 1, "unknown-reason", f"must fail for {patch.reason}, which no check of {one.id} "
                              "can give", f"name a reason= of {one.checks}")
    if shutil.which("git") is None:
        yield Finding(name, 0, "patch", "cannot be tried: git is not on this machine", "install git")
        return
    try:
        why = applies(solutions.folder / "accepted" / patch.on, patch)
    except (OSError, subprocess.SubprocessError) as error:
        why = str(error)
    if why:
        yield Finding(name, 0, "patch", f"does not apply to accepted/{patch.on}: {why}",
                      "make it anew from the accepted solution as it is now")
