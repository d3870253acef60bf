"""``labs`` alone: where you stand and what to do next."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.command import guarded
from orchestrator.cli.outcome import Outcome, paint, render, table

if TYPE_CHECKING:
    from orchestrator.workspace.standing import Standing

NEWCOMER = """\
labs gives you real databases and judges the server that you write.

labs list                                             list available labs
labs start databases                                  real services, to look around in
labs init databases --language python my-server       your server's folder (or go, node, other)
cd my-server && labs check                            judge it
labs --help                                           everything else"""


def show(*, as_json: bool = False) -> int:
    """Print it; the exit code."""
    outcome = guarded(_home)
    render("", outcome, as_json=as_json)
    return outcome.exit_code


def _home() -> Outcome:
    from orchestrator.workspace.workspace_toml import find_workspace

    folder = find_workspace(Path.cwd())
    return Outcome({"workspace": None}, NEWCOMER) if folder is None else _standing(folder)


def _standing(folder: Path) -> Outcome:
    from orchestrator.catalog.labs import find_lab
    from orchestrator.model import Verdict
    from orchestrator.report.terminal import MARKS
    from orchestrator.system.text import escape
    from orchestrator.workspace.progress import read_passed, read_report, read_runs
    from orchestrator.workspace.standing import brief_of, goal, standing
    from orchestrator.workspace.tracks import own_part
    from orchestrator.workspace.workspace_toml import read_workspace

    workspace = read_workspace(folder)
    lab = own_part(find_lab(workspace.lab), workspace)
    now = standing(lab, read_passed(folder, lab), read_report(folder), read_runs(folder))
    rows = [(f"  {track.title}", f"{track.passed} of {track.total}", "#" * track.passed + "." * (
        track.total - track.passed)) for track in now.tracks]
    lines = [f"{paint(lab.title, 'bold', stream=sys.stdout)}: {_counted(now)}", table(rows)]
    last = now.last
    data = {
        "workspace": str(folder), "lab": lab.name, "passed": now.passed, "milestones": len(lab.milestones),
        "core": dict(zip(("passed", "milestones"), now.core, strict=True)),
        "tracks": [dataclasses.asdict(track) for track in now.tracks],
        "next": now.following and {"id": now.following.id, "title": now.following.title},
        "last": last and {"verdict": str(last.verdict), "reason": last.reason},
    }
    if now.following is None:
        return Outcome(data, "\n".join([*lines, "", "All of them. labs check --all judges everything once more; "
                                      "labs share makes a page of it."]))
    deeper = now.following.level != "core"
    lines += ["", f"next{', going deeper' if deeper else ''}: {now.following.id}  {now.following.title}",
              *textwrap.wrap(goal(brief_of(now.following)), 78, initial_indent="  ",
                             subsequent_indent="  ")]
    if now.last is not None and now.last.verdict is not Verdict.PASS:
        word, colour = MARKS[now.last.verdict]
        lines += ["", f"last time: {paint(word, colour, stream=sys.stdout)} {escape(now.last.reason)}"]
        commands = ["labs check", "labs trace", "labs hint"]
    else:
        commands = ["labs brief", "labs check"] if now.runs == 0 else ["labs check", "labs brief"]
    words = {"labs check": "judge your server", "labs trace": "what the services saw of the last run",
             "labs hint": "a hint for what failed", "labs brief": "what to build, on one screen"}
    return Outcome(data, "\n".join([*lines, "", table([(command, words[command]) for command in commands])]))


def _counted(now: Standing) -> str:
    """``7 of 16 core milestones passed, 2 of 11 deeper ones``; in a lab of one kind, or when all have, one number."""
    passed, core = now.core
    every = len(now.lab.milestones)
    if core in (0, every) or now.passed == every:
        return f"{now.passed} of {every} milestones passed"
    deeper = f"{now.passed - passed} of {every - core} deeper ones"
    if passed == core:
        return f"done: all {core} core milestones passed, and {deeper}"
    return f"{passed} of {core} core milestones passed, {deeper}"
