"""``labs check``."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, engine_option, option
from orchestrator.cli.outcome import Outcome, paint, say

if TYPE_CHECKING:
    from orchestrator.cli.session import Session
    from orchestrator.errors import LabsError
    from orchestrator.judge.supervisor import RunRequest
    from orchestrator.model import Workspace
    from orchestrator.ownership.kept_spaces import KeptSpace
    from orchestrator.report.result import CheckResult, MilestoneResult, Report
    from orchestrator.report.timeline import Timeline


FORMATS = ("terminal", "json", "junit", "github", "html")
"""Names in ``report/formats.py``, here without its imports."""


@command("check")
@argument("milestone", required=False)
@option("--all", "everything", is_flag=True, help="Every milestone of the lab.")
@option("--seed", type=click.IntRange(min=0), help="Repeat a run with the same values.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@option("--format", "formats", multiple=True, metavar="FORMAT[=FILE]",
        help=f"{', '.join(FORMATS)}; may be repeated, as in --format terminal --format junit=report.xml.")
@engine_option
def cli(
    milestone: str | None, everything: bool, seed: int | None, workspace: Path | None, formats: tuple[str, ...],
    engine: str | None,
) -> Outcome:
    """Judge your server, with evidence from the services.

    Without MILESTONE: the next one in detail, and those that passed before. MILESTONE is a track (`postgres`) or one
    milestone (`redis/expiry`).
    """
    from orchestrator.report.json import to_data

    wanted = [wish(word) for word in formats] or [("terminal", None)]
    if sum(file is None for _, file in wanted) > 1:
        raise click.UsageError("two formats cannot both go to the screen; give one of them a file: FORMAT=FILE")
    found = read_folder(workspace)
    report = judge(found, selector=milestone, everything=everything, seed=seed, engine=engine)
    text, errors = write_formats(report, wanted)
    code = exit_code(report, asked=bool(milestone) or everything)
    return Outcome(to_data(report), text, exit_code=code or (3 if errors else 0), errors=errors)


def wish(word: str) -> tuple[str, Path | None]:
    """``junit=report.xml`` -> name and file; a name alone goes to the screen."""
    name, sign, file = word.partition("=")
    if name not in FORMATS or (sign and not file):
        from orchestrator.errors import did_you_mean

        raise click.UsageError(f"there is no format {name!r}{did_you_mean(name, FORMATS)}; there are "
                               f"{', '.join(FORMATS)}, each also as FORMAT=FILE")
    return name, Path(file) if file else None


def write_formats(report: Report, wanted: Sequence[tuple[str, Path | None]]) -> tuple[str, tuple[LabsError, ...]]:
    """The text for the screen; files are written. One that cannot be is an error, and the verdict stays."""
    from orchestrator.report import formats, github, terminal

    text = ""
    errors: list[LabsError] = []
    for name, file in wanted:
        if file is None and name == "terminal":
            text = terminal.render(report, paint=lambda words, colour: paint(words, colour, stream=sys.stdout))
        elif file is None:
            text = formats.FORMATS[name](report)
        else:
            errors += _write(file, formats.FORMATS[name](report), append=False)
        summary_file = os.environ.get("GITHUB_STEP_SUMMARY")
        if name == "github" and summary_file:
            errors += _write(Path(summary_file), github.markdown(report), append=True)
    return text, tuple(errors)


def _write(file: Path, text: str, *, append: bool) -> list[LabsError]:
    from orchestrator.errors import EnvironmentFault

    try:
        with file.open("a" if append else "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        return [EnvironmentFault(f"{file} cannot be written: {error.strerror or error}", code="report-unwritable",
                                 hint="labs check --format FORMAT=/a/file/of/yours")]
    return []


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
    from orchestrator.workspace.workspace_toml import find_workspace, read_workspace

    start = workspace or Path.cwd()
    folder = find_workspace(start)
    if folder is None:
        raise UsageError(f"{start} is not your server's folder: there is no workspace.toml in it or above",
                         code="no-workspace", hint="labs init databases --language python my-server")
    return read_workspace(folder)


def judge(workspace: Workspace, *, selector: str | None, everything: bool, seed: int | None,
          engine: str | None) -> Report:
    """One run: choose milestones, judge the server that runs in `labs run` or one of our own, remember what passed."""
    from orchestrator.attach import host as attach
    from orchestrator.catalog.labs import find_lab, find_milestones
    from orchestrator.judge.supervisor import RunRequest
    from orchestrator.system.home import find_home
    from orchestrator.targets.build import content_key
    from orchestrator.workspace.progress import read_progress, record_progress, record_timelines
    from orchestrator.workspace.select import select

    talker = Talker()
    lab = find_lab(workspace.lab)
    asked = find_milestones(lab, selector) if selector else ()
    content = content_key(workspace)
    chosen = select(lab, passed=read_progress(workspace.folder), asked=asked, everything=everything, content=content)
    home = find_home()
    request = RunRequest(lab=lab, workspace=workspace, milestones=chosen, lab_commit=commit_of(lab.folder),
                         seed=secrets.randbelow(2**32) if seed is None else seed, cache=home.cache)
    report = attach.ask(home, request, talker) or judge_alone(request, engine, talker)
    record_timelines(workspace.folder, talker.timelines.values())
    if not record_progress(workspace.folder, report, content):
        say("note: your folder cannot be written, so this run is not remembered")
    return report


def judge_alone(request: RunRequest, engine: str | None, talker: Talker) -> Report:
    """One run on services of its own, under a lease; the first failure's services stay to be looked into."""
    from orchestrator.cli.session import open_session
    from orchestrator.judge.supervisor import run
    from orchestrator.ownership import kept_spaces, leases
    from orchestrator.ownership.kept_spaces import KeptSpace
    from orchestrator.system.files import make_folder

    folder = request.workspace.folder
    with open_session(engine) as session, removed_beside(session, folder):
        key, environment = session.engine.info().key, f"check-{secrets.token_hex(4)}"

        def keep(result: MilestoneResult, of: str) -> None:
            kept_spaces.remember(session.home, KeptSpace(
                of, key, str(folder), request.lab.name, result.id, result.reason, request.seed, result.port,
                time.time()))

        with leases.hold(session.home, engine=key, environment=environment, purpose="judge") as owner:
            return run(request, engine=session.engine, engine_reason=session.engine_reason, recipes=session.recipes,
                       owner=owner, folder=make_folder(session.home.runs / owner.lease), listener=talker,
                       keep=None if os.environ.get("CI") else keep)


@contextlib.contextmanager
def removed_beside(session: Session, workspace: Path) -> Iterator[None]:
    """Remove the space that the last check of this workspace left to be looked into, while the new one is judged.

    One that `labs run` uses stays until the next check.
    """
    from orchestrator.errors import EnvironmentBusy, LabsError
    from orchestrator.ownership import kept_spaces, leases
    from orchestrator.system.together import Together, surely

    key = session.engine.info().key
    old = [space for space in kept_spaces.find(session.home, workspace) if space.engine == key]

    def remove(space: KeptSpace) -> None:
        with contextlib.suppress(EnvironmentBusy), leases.lock(session.home, space.environment, wait=0):
            kept_spaces.remove(session.engine, session.home, space)

    removal = Together(remove, old)
    removal.start()
    try:
        yield
    finally:
        with contextlib.suppress(LabsError):  # it is nobody's any more: the next sweep takes it
            surely(removal.wait)


def commit_of(folder: Path) -> str:
    """The commit that the lab was added at, or is at in a git checkout; ``""`` elsewhere."""
    from orchestrator.catalog.sources import commit_at
    from orchestrator.system.home import find_home

    added = commit_at(find_home(), folder)
    if added:
        return added
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
