"""``labs trace``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from orchestrator.cli.command import argument, command, option
from orchestrator.cli.outcome import Outcome, paint


@command("trace")
@argument("milestone", required=False)
@option("--all", "everything", is_flag=True, help="The checks that passed, too.")
@option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write it as a page to this file.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
def cli(milestone: str | None, everything: bool, html: Path | None, workspace: Path | None) -> Outcome:
    """The last run as a time line: each request, what the services recorded of it, the answer.

    Without MILESTONE: the first one that did not pass, else the last one.
    """
    from orchestrator.errors import UsageError, did_you_mean
    from orchestrator.model import Verdict
    from orchestrator.report import trace_terminal
    from orchestrator.report.timeline import to_data
    from orchestrator.workspace.progress import read_timelines
    from orchestrator.workspace.workspace_toml import read_folder

    timelines = read_timelines(read_folder(workspace).folder)
    if not timelines:
        raise UsageError("nothing has been judged in this folder yet, so there is nothing to show", code="no-trace",
                         hint="labs check")
    if milestone is not None and milestone not in timelines:
        raise UsageError(f"the last run did not judge {milestone}{did_you_mean(milestone, timelines)}",
                         code="no-trace", hint=f"labs check {milestone}   (then: labs trace {milestone})",
                         details=[f"it judged {', '.join(timelines)}"])
    chosen = milestone or next((name for name, one in timelines.items() if one.verdict is not Verdict.PASS),
                               next(reversed(timelines)))
    timeline = timelines[chosen]
    if html is not None:
        from orchestrator.report import trace_html
        from orchestrator.system.files import unwritable

        try:
            html.write_text(trace_html.render(timeline, everything=everything), encoding="utf-8")
        except OSError as error:
            raise unwritable(html, error) from error
        return Outcome({"milestone": chosen, "file": str(html)}, f"{html}: open it in a browser")
    width = shutil.get_terminal_size((80, 24)).columns
    text = trace_terminal.render(timeline, width=width, everything=everything,
                                 paint=lambda text, colour: paint(text, colour, stream=sys.stdout))
    return Outcome(to_data(timeline), text)
