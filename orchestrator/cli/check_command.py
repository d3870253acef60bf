"""``labs check``."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import command, engine_option, option
from orchestrator.cli.outcome import Outcome, paint, say

if TYPE_CHECKING:
    from orchestrator.model import Workspace
    from orchestrator.report.model import CheckResult, MilestoneResult, Report
    from orchestrator.report.timeline import Timeline


@command("check")
@click.argument("milestone", required=False)
@option("--all", "everything", is_flag=True, help="Every milestone of the lab.")
@option("--seed", type=click.IntRange(min=0), help="Repeat a run with the same values.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@engine_option
def cli(
    milestone: str | None, everything: bool, seed: int | None, workspace: Path | None, engine: str | None
) -> Outcome:
    """Judge your server, with evidence from the services.

    Without MILESTONE: the next one in detail, and those that passed before. MILESTONE is a track (`postgres`) or one
    milestone (`redis/expiry`).
    """
    from orchestrator.report.json import to_data
    from orchestrator.report.terminal import render

    found = read_folder(workspace)
    report = judge(found, selector=milestone, everything=everything, seed=seed, engine=engine)
    return Outcome(to_data(report), render(report, paint=lambda text, colour: paint(text, colour, stream=sys.stdout)),
                   exit_code=exit_code(report, asked=bool(milestone) or everything))


def exit_code(report: Report, *, asked: bool) -> int:
    """The report's code; unjudged milestones count as machinery only if asked for by name, by ``--all`` or in CI."""
    from orchestrator.model import Verdict

    if report.exit_code == 3 and not asked and not os.environ.get("CI"):
        ran = [m.verdict for m in report.milestones if m.role != "later"]
        if Verdict.ERROR not in ran:
            return 0 if Verdict.PASS in ran else 5
    return report.exit_code


def read_folder(workspace: Path | None) -> Workspace:
    """The workspace that is meant; ``UsageError`` with the way to make one."""
    from orchestrator.errors import UsageError
    from orchestrator.target.workspace import find_workspace, read_workspace

    start = workspace or Path.cwd()
    folder = find_workspace(start)
    if folder is None:
        raise UsageError(f"{start} is not your server's folder: there is no workspace.toml in it or above",
                         code="no-workspace", hint="labs init databases --language python my-server")
    return read_workspace(folder)


def judge(workspace: Workspace, *, selector: str | None, everything: bool, seed: int | None,
          engine: str | None) -> Report:
    """One run: choose milestones, hold a lease, judge, remember what passed."""
    from orchestrator import leases
    from orchestrator.catalog import find_lab, find_milestones
    from orchestrator.checks.select import select
    from orchestrator.checks.supervisor import RunRequest, run
    from orchestrator.cli.session import open_session
    from orchestrator.progress import read_progress, record_progress, record_timelines
    from orchestrator.state import make_folder
    from orchestrator.target.build import content_key

    talker = Talker()
    lab = find_lab(workspace.lab)
    asked = find_milestones(lab, selector) if selector else ()
    content = content_key(workspace)
    chosen = select(lab, passed=read_progress(workspace.folder), asked=asked, everything=everything, content=content)
    with open_session(engine) as session:
        environment = f"check-{secrets.token_hex(4)}"
        with leases.hold(session.home, engine=session.engine.info().key, environment=environment,
                         purpose="judge") as owner:
            folder = make_folder(session.home.runs / owner.lease)
            request = RunRequest(lab=lab, workspace=workspace, milestones=chosen, lab_commit=commit_of(lab.folder),
                                 seed=secrets.randbelow(2**32) if seed is None else seed, cache=session.home.cache)
            report = run(request, engine=session.engine, engine_reason=session.engine_reason, recipes=session.recipes,
                         owner=owner, folder=folder, listener=talker)
    record_timelines(workspace.folder, talker.timelines.values())
    if not record_progress(workspace.folder, report, content):
        say("note: your folder cannot be written, so this run is not remembered")
    return report


def commit_of(folder: Path) -> str:
    """The commit that the lab is at, if it is in a git checkout; ``""`` elsewhere."""
    try:
        answer = subprocess.run(["git", "-C", str(folder), "log", "-1", "--format=%H", "--", "."],
                                capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


class Talker:
    """Says on standard error how far the run is, one line each; keeps the time lines."""

    def __init__(self) -> None:
        self.timelines: dict[str, Timeline] = {}

    def on_phase(self, milestone: str, phase: str) -> None:
        """A phase of a milestone's attempt begins (``build``, ``space``, ``start``, ``checks``)."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{milestone}: {phase} ...")
            sys.stderr.flush()

    def on_check(self, milestone: str, result: CheckResult) -> None:
        """A check has finished; the report will show it."""

    def on_timeline(self, timeline: Timeline) -> None:
        """What was recorded of an attempt; a second attempt at the same milestone replaces it."""
        self.timelines[timeline.milestone] = timeline

    def on_milestone(self, result: MilestoneResult) -> None:
        """A milestone has its verdict."""
        from orchestrator.report.terminal import milestone_line

        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K")
        say(milestone_line(result, paint))
