"""``labs add``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from orchestrator.cli.command import argument, command, confirm, yes_option
from orchestrator.cli.outcome import Outcome, say

TRUST = (
    "The checks of a lab are programs. They run on this machine as you, at every labs check,",
    "and can do what you can: read your files, use your network.",
    "Add labs of people whose programs you would install.",
)


@command("add")
@argument("source", metavar="URL[@REF]|FOLDER", type=click.STRING)
@yes_option
def cli(source: str, yes: bool) -> Outcome:
    """Labs from a git repository or a folder, pinned to the commit that is there now.

    Nothing in it is run by adding it. Later versions come with `labs update`, never by themselves.
    """
    from orchestrator import services
    from orchestrator.catalog.fetch import fetch, parse_source
    from orchestrator.catalog.labs import built_in
    from orchestrator.catalog.sources import changing, install, is_trusted, stage
    from orchestrator.system.home import find_home

    home, wanted = find_home(), parse_source(source)
    with tempfile.TemporaryDirectory(prefix="labs-add-") as scratch:
        fetched = fetch(wanted, Path(scratch))
    with changing(home):
        labs = stage(home, fetched, services=services.names())
        if not is_trusted(home, wanted.url):
            trust(wanted.url, fetched.commit, list(labs), yes=yes)
        install(home, fetched, labs, taken=built_in())
    lines = [f"{name}: {lab.title}, {len(lab.milestones)} milestones, at {fetched.commit[:12]}"
             for name, lab in labs.items()]
    data = {"source": wanted.url, "ref": wanted.ref, "commit": fetched.commit, "labs": sorted(labs)}
    return Outcome(data, "\n".join([*lines, "", *(f"labs info {name}" for name in labs)]))


def trust(url: str, commit: str, labs: list[str], *, yes: bool) -> None:
    """Explain once what trust means here, and ask; without a terminal only ``--yes`` is an answer."""
    from orchestrator.errors import UsageError

    for line in (*TRUST, "", f"from  {url}", f"at    {commit}", f"labs  {', '.join(labs)}"):
        say(line)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{url} is not trusted yet, and nobody is here to ask", code="not-trusted",
                         hint=f"labs add {url} --yes")
    confirm("Add it?", yes=yes)
