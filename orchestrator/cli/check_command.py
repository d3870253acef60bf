"""``labs check``."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, engine_option, option
from orchestrator.cli.outcome import Outcome, as_wide, paint, say

if TYPE_CHECKING:
    from orchestrator.cli.talker import Talker
    from orchestrator.errors import LabsError
    from orchestrator.model import Lab, Milestone
    from orchestrator.report.result import MilestoneResult, Report


FORMATS = ("terminal", "json", "junit", "github", "html")
"""Names in ``report/formats.py``, here without its imports."""


@command("check")
@argument("milestone", required=False)
@option("--all", "everything", is_flag=True, help="Every milestone of the lab.")
@option("--only", is_flag=True, help="Leave out the milestones that passed before, and what MILESTONE needs.")
@option("--on", metavar="SERVICE", help="The same milestones on another service, which plays that role.")
@option("--jobs", type=click.IntRange(min=1, max=16),
        help="Milestones at the same time; by itself 2, if your machine has 2 processors.")
@option("--seed", type=click.IntRange(min=0), help="Repeat a run with the same values.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@option("--format", "formats", multiple=True, metavar="FORMAT[=FILE]",
        help=f"{', '.join(FORMATS)}; may be repeated, as in --format terminal --format junit=report.xml.")
@engine_option
def cli(
    milestone: str | None, everything: bool, only: bool, on: str | None, jobs: int | None, seed: int | None,
    workspace: Path | None, formats: tuple[str, ...], engine: str | None,
) -> Outcome:
    """Judge your server, with evidence from the services.

    Without MILESTONE: the next milestone first, with its verdict at once, then those that passed before. MILESTONE is a
    track (`postgres`) or one milestone (`redis/expiry`); with `--on mysql` that on MySQL.
    """
    from orchestrator.cli.talker import Talker
    from orchestrator.report.json import to_data

    if everything and on:
        raise click.UsageError("--all judges every milestone where it belongs; give --on with a track or a milestone")
    if everything and only:
        raise click.UsageError("--all judges everything and --only leaves milestones out; give one of them")
    wanted = [wish(word) for word in formats] or [("terminal", None)]
    if sum(file is None for _, file in wanted) > 1:
        raise click.UsageError("two formats cannot both go to the screen; give one of them a file: FORMAT=FILE")
    as_json = bool(click.get_current_context().params.get("as_json"))
    on_screen = ("terminal", None) in wanted and not as_json
    with Talker(_show if on_screen else None) as talker:
        report = judged(workspace, milestone, talker, everything=everything, only=only, seed=seed, engine=engine,
                        jobs=jobs, on=on)
    text, errors = write_formats(report, wanted, told=talker.told)
    code = exit_code(report, asked=bool(milestone or on) or everything)
    return Outcome(to_data(report), text, exit_code=code or (3 if errors else 0), errors=errors)


def judged(workspace: Path | None, milestone: str | None, talker: Talker, *, everything: bool, only: bool,
           seed: int | None, engine: str | None, jobs: int | None = None, on: str | None = None) -> Report:
    """The report of this run."""
    from orchestrator.judge.forking import ForkServer
    from orchestrator.workspace.workspace_toml import read_folder

    found = read_folder(workspace)
    with ForkServer() as forks:
        forks.begin()  # it imports while this process does
        from orchestrator.attach.check import CheckOrder, check
        from orchestrator.catalog.commit import commit_of
        from orchestrator.catalog.labs import find_lab
        from orchestrator.cli.toolbox import open_toolbox
        from orchestrator.environments.warm import may_stay

        lab = find_lab(found.lab)
        order = CheckOrder(lab, commit_of(lab.folder), found, asked_for(lab, milestone, on), everything, seed, only,
                           keep_failed=may_stay(os.environ), judges=jobs, forks=forks)
        report, remembered = check(order, lambda: open_toolbox(engine), talker, talker.on_plan)
    if not remembered:
        say("note: your folder cannot be written, so this run does not count towards your progress")
    return report


def asked_for(lab: Lab, milestone: str | None, on: str | None) -> tuple[Milestone, ...]:
    """The milestones of a command line; none, where it names none. What there is not on the other service is said."""
    from orchestrator.catalog.labs import find_milestones, on_service

    if on is None:
        return find_milestones(lab, milestone) if milestone else ()
    chosen = find_milestones(lab, milestone) if milestone else lab.milestones
    found = on_service(lab, chosen, on)
    steps = {one.step for one in found}
    if left := [one.id for one in chosen if milestone and one.step not in steps]:
        say(f"note: not judged on {on}: {', '.join(left)}")
    return found


def wish(word: str) -> tuple[str, Path | None]:
    """``junit=report.xml`` -> name and file; a name alone goes to the screen."""
    name, sign, file = word.partition("=")
    if name not in FORMATS or (sign and not file):
        from orchestrator.errors import did_you_mean

        raise click.UsageError(f"there is no format {name!r}{did_you_mean(name, FORMATS)}; there are "
                               f"{', '.join(FORMATS)}, each also as FORMAT=FILE")
    return name, Path(file) if file else None


def _show(milestone: MilestoneResult) -> None:
    """Print the verdict of a milestone as soon as it is known, where the report will end."""
    from orchestrator.report.terminal import milestone_text

    sys.stdout.write(as_wide(milestone_text(milestone, _paint), sys.stdout) + "\n\n")
    sys.stdout.flush()


def _paint(words: str, colour: str) -> str:
    return paint(words, colour, stream=sys.stdout)


def write_formats(
    report: Report, wanted: Sequence[tuple[str, Path | None]], *, told: Collection[str] = ()
) -> tuple[str, tuple[LabsError, ...]]:
    """The text for the screen, without the details of the milestones that were ``told`` already; files are written.

    One that cannot be is an error, and the verdict stays.
    """
    from orchestrator.report import formats, github, terminal

    text = ""
    errors: list[LabsError] = []
    for name, file in wanted:
        if file is None and name == "terminal":
            text = as_wide(terminal.render(report, paint=_paint, told=told), sys.stdout)
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
