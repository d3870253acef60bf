"""A lab's ``solutions/``: what is in it, as values, and as folders in which a server can be built and changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import LabInvalid, Problem
from orchestrator.model import Lab
from orchestrator.workspace.tracks import own_part
from orchestrator.workspace.workspace_toml import read_workspace

HEADER = re.compile(r"^# (\w+): (.+)$", re.MULTILINE)
DEFAULT = "python"


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of an accepted solution. ``on``: which one; a wrong one has a milestone and a reason."""

    name: str
    text: str
    on: str
    story: str
    milestone: str = ""
    reason: str = ""

    @property
    def promises(self) -> tuple[str, ...]:
        """Those that it says it breaks."""
        return promises_of(self.text)


OPERATOR = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A mutant that no check can notice. ``milestone`` and ``mutant`` may have ``*``."""

    milestone: str
    mutant: str
    reason: str


@dataclass(frozen=True, slots=True)
class Solutions:
    """What ``solutions/`` holds. ``from_brief``: accepted ones written from the brief and the contracts alone.

    ``quickest``: the accepted one that starts quickest, if the lab names it: it is changed hundreds of times.
    """

    folder: Path
    accepted: tuple[str, ...]
    wrong: tuple[Patch, ...]
    variants: tuple[Patch, ...]
    from_brief: frozenset[str] = frozenset()
    equivalents: tuple[Equivalent, ...] = ()
    quickest: str = ""
    faults: tuple[Patch, ...] = ()
    """Each ``OPERATOR.SOLUTION.patch``: one known way to be wrong, done to an accepted solution."""

    @property
    def main(self) -> str:
        """The accepted solution that patches are for: ``python`` if there is one, else the first."""
        return DEFAULT if DEFAULT in self.accepted else self.accepted[0]

    def judged(self, lab: Lab, server: str) -> frozenset[str]:
        """The milestones that this accepted solution is for, by its ``workspace.toml``."""
        return frozenset(one.id for one in own_part(lab, read_workspace(self.folder / "accepted" / server)).milestones)

    def shares(self, lab: Lab, milestones: Sequence[str], *, quick: bool = False) -> dict[str, tuple[str, ...]]:
        """Which accepted solution stands for which of these milestones: the main one, then others for what is left.

        ``quick``: the quickest before the main one, if it can be built here.
        """
        order = sorted(self.accepted, key=lambda name: (name != self.main, not name.startswith(self.main), name))
        if quick and self.quickest and self._builds_here(self.quickest):
            order.insert(0, self.quickest)
        left, shares = list(milestones), dict[str, tuple[str, ...]]()
        for server in order:
            own = self.judged(lab, server) if left else ()
            if share := tuple(one for one in left if one in own):
                shares[server] = share
                left = [one for one in left if one not in share]
        return shares

    def _builds_here(self, server: str) -> bool:
        build = read_workspace(self.folder / "accepted" / server).build
        return all("/" in program or shutil.which(program) for program, *_ in build)


def read_solutions(folder: Path) -> Solutions:
    """Read the folder; ``LabInvalid`` with all problems at once."""
    problems: list[Problem] = []
    accepted = tuple(sorted(one.parent.name for one in folder.glob("accepted/*/workspace.toml")))
    if not accepted:
        problems.append(Problem("solutions/accepted", None, "has no server: a folder with a workspace.toml"))
    wrong = tuple(_patch(file, folder, accepted, problems, wrong=True) for file in sorted(folder.glob("wrong/*.patch")))
    variants = tuple(_patch(file, folder, accepted, problems, wrong=False)
                     for file in sorted(folder.glob("variants/*.patch")))
    faults = tuple(_fault(file, folder, accepted, problems) for file in sorted(folder.glob("faults/*.patch")))
    from_brief, equivalents, quickest = _proof_file(folder / "proof.toml", accepted, problems)
    if problems:
        raise LabInvalid(f"{folder.parent.name}: solutions/ has {len(problems)} problem(s)", problems)
    return Solutions(folder, accepted, wrong, variants, from_brief, equivalents, quickest, faults)


def _fault(file: Path, folder: Path, accepted: tuple[str, ...], problems: list[Problem]) -> Patch:
    """A fault says in its name what it does, and to which solution; its reason is whatever a check gives."""
    name = str(file.relative_to(folder.parent))
    patch = _patch(file, folder, accepted, problems, wrong=False)
    if not patch.milestone and patch.text:
        problems.append(Problem(name, 1, "has no line '# milestone: ...'"))
    if not OPERATOR.fullmatch(file.stem):
        problems.append(Problem(name, None, "is not named OPERATOR.SOLUTION.patch, as in drop-lock.python.patch"))
        return patch
    on = file.stem.partition(".")[2]
    if accepted and on not in accepted:
        problems.append(Problem(name, None, f"is on {on!r}, which is not in solutions/accepted"))
    return replace(patch, on=on)


def _patch(file: Path, folder: Path, accepted: tuple[str, ...], problems: list[Problem], *, wrong: bool) -> Patch:
    name = str(file.relative_to(folder.parent))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(name, None, f"cannot be read: {error}"))
        text = ""
    said = dict(HEADER.findall(text))
    needed = ("milestone", "reason", "story") if wrong else ("story",)
    problems += [Problem(name, 1, f"has no line '# {key}: ...'") for key in needed if key not in said and text]
    on = said.get("on", DEFAULT if DEFAULT in accepted else next(iter(accepted), DEFAULT))
    if accepted and on not in accepted:
        problems.append(Problem(name, 1, f"is on {on!r}, which is not in solutions/accepted"))
    return Patch(file.stem, text, on, said.get("story", ""), said.get("milestone", ""), said.get("reason", ""))


def promises_of(text: str) -> tuple[str, ...]:
    """What a patch says that it breaks: ``# promise: a``, ``# promises: a, b``."""
    said: dict[str, str] = dict(HEADER.findall(text))
    return tuple(re.findall(r"[^\s,]+", said.get("promise", said.get("promises", ""))))


def _proof_file(path: Path, accepted: tuple[str, ...],
                problems: list[Problem]) -> tuple[frozenset[str], tuple[Equivalent, ...], str]:
    name = f"solutions/{path.name}"
    if not path.exists():
        return frozenset(), (), ""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem(name, None, f"cannot be read: {error}"))
        return frozenset(), (), ""
    if data.get("format") != 1:
        problems.append(Problem(name, 1, "format = 1 is missing"))
    for key in data.keys() - {"format", "quickest", "accepted", "equivalent"}:
        problems.append(Problem(name, None, f"unknown key {key}"))
    quickest = data.get("quickest", "")
    if quickest and quickest not in accepted:
        problems.append(Problem(name, None, f"quickest is {quickest!r}, which is not in solutions/accepted"))
    told: Mapping[str, Any] = data.get("accepted", {})
    for one in told.keys() - set(accepted):
        problems.append(Problem(name, None, f"accepted.{one} is not in solutions/accepted"))
    equivalents = []
    for one in data.get("equivalent", []):
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) and one[key]
                                                for key in Equivalent.__slots__):
            problems.append(Problem(name, None, "each [[equivalent]] has milestone, mutant and reason"))
        elif not re.search(r"\w", one["mutant"]):
            problems.append(Problem(name, None, f"mutant = {one['mutant']!r} waves everything through: name a change"))
        else:
            equivalents.append(Equivalent(*(one[key] for key in Equivalent.__slots__)))
    return frozenset(key for key, value in told.items() if value.get("from_brief")), tuple(equivalents), quickest


def apply(folder: Path, patch: Patch) -> list[str]:
    """Apply a patch to a server's folder; the relative paths that it changes. ``LabInvalid`` if it does not apply."""
    why = _git_apply(folder, patch)
    if why:
        raise LabInvalid(f"{patch.name} does not apply to accepted/{patch.on}",
                         [Problem(f"solutions/{patch.name}", None, why)])
    return list(dict.fromkeys(re.findall(r"^(?:---|\+\+\+) [ab]/(.+?)\t?$", patch.text, re.MULTILINE)))


def check_patches(solutions: Solutions) -> None:
    """``LabInvalid`` names every patch that does not apply any more."""
    problems = [Problem(f"solutions/{kind}/{patch.name}.patch", None, f"does not apply to accepted/{patch.on}: {why}")
                for kind, patches in (("wrong", solutions.wrong), ("variants", solutions.variants),
                                  ("faults", solutions.faults))
                for patch in patches if (why := applies(solutions.folder / "accepted" / patch.on, patch))]
    if problems:
        raise LabInvalid(f"{solutions.folder.parent.name}: solutions/ has {len(problems)} problem(s)", problems)


def applies(folder: Path, patch: Patch) -> str:
    """Why the patch does not apply to a server's folder; ``""`` if it does. Changes nothing."""
    return _git_apply(folder, patch, "--check")


def _git_apply(folder: Path, patch: Patch, *options: str) -> str:
    # No repository above the folder: git would take the patch's paths for that one's.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.absolute().parent), "LC_ALL": "C"}
    done = subprocess.run(["git", "apply", "-p1", *options, "-"], cwd=folder, input=patch.text, text=True,
                          capture_output=True, env=environment, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["git apply failed"])[0]


def restore(folder: Path, source: Path, paths: list[str]) -> None:
    """The files as the source has them."""
    for path in paths:
        if (source / path).is_file():
            shutil.copy2(source / path, folder / path)
        else:
            (folder / path).unlink(missing_ok=True)

