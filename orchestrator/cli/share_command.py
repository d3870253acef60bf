"""``labs share``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import argument, command, option
from orchestrator.cli.outcome import Outcome, say


@command("share")
@argument("folder", required=False, type=click.Path(path_type=Path))
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
def cli(folder: Path | None, workspace: Path | None) -> Outcome:
    """Make a page and a badge of what passed, for others to see.

    Writes PROOF.md, badge.svg and index.html into FOLDER (proof/ in your server's folder if you name none), made from
    the last report. A milestone that the last run did not judge counts if it passed before and your files are the same
    since; otherwise it is shown as not judged, and `labs check --all` judges it.
    Nothing is sent anywhere, and no other file is touched.
    """
    from orchestrator.catalog.labs import find_lab
    from orchestrator.errors import UsageError
    from orchestrator.report.shared_proof import shared_proof
    from orchestrator.services import sights
    from orchestrator.sharing.bundle import Person
    from orchestrator.sharing.redact import KnownSecrets
    from orchestrator.sharing.share import files, has_changed, passed_before, write
    from orchestrator.workspace.progress import read_report
    from orchestrator.workspace.tracks import own_part
    from orchestrator.workspace.workspace_toml import read_folder

    found = read_folder(workspace)
    report = read_report(found.folder)
    if report is None:
        raise UsageError("nothing has been judged in this folder yet, so there is nothing to show", code="no-report",
                         hint="labs check --all")
    target = folder or found.folder / "proof"
    lab = find_lab(report.lab)
    lab = own_part(lab, found) if lab.name == found.lab else lab
    shown = shared_proof(report, lab.milestones, changed=has_changed(found, report), before=passed_before(found, lab),
                  clean=Person.here(known=KnownSecrets.of(sights())).clean)
    contents = files(shown)
    write(target, contents)
    if shown.notes:
        for note in shown.notes:
            say(f"note: {note}")
        say("note: for a page of everything: labs check --all, then labs share again")
    text = "\n".join([shown.headline, "", *(str(target / name) for name in contents), "",
                      f"In a README:  ![{shown.lab} {shown.score}]({target.name}/badge.svg)"])
    return Outcome({"folder": str(target), "files": list(contents), "passed": shown.passed,
                    "milestones": len(shown.rows), "notes": list(shown.notes)}, text)
