"""``labs bundle``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import argument, command, confirm, option, yes_option
from orchestrator.cli.outcome import Outcome, say, table


@command("bundle")
@argument("file", required=False, type=click.Path(path_type=Path))
@option("--source", is_flag=True, help="Your source files, too (not .env, .git, .venv, node_modules).")
@option("--as-is", is_flag=True,
        help="Your source files unchanged, secrets in them included: for a dispute (labs verify --case).")
@option("--force", is_flag=True, help="Replace FILE if it is there.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
@yes_option
def cli(file: Path | None, source: bool, as_is: bool, force: bool, workspace: Path | None, yes: bool) -> Outcome:
    """Pack what somebody needs to help you: the last report with its logs, versions, workspace.toml.

    Passwords, tokens, private keys, your home folder's path and your user name are taken out; what is in it is listed
    before FILE is written. With --as-is your source files keep theirs. Nothing is sent anywhere. FILE is
    labs-bundle-LAB-DATE.zip in this folder if you name none.
    """
    from datetime import datetime

    from orchestrator.services import sights
    from orchestrator.sharing.bundle import Person, collect, default_name, pack, refuse_existing, write
    from orchestrator.sharing.redact import KnownSecrets
    from orchestrator.system.text import escape
    from orchestrator.workspace.progress import read_report
    from orchestrator.workspace.workspace_toml import read_folder

    found = read_folder(workspace)
    report = read_report(found.folder)
    if report is None:
        say("note: nothing has been judged in this folder yet (labs check), so there is no report to pack")
    target = file or Path(default_name(found.lab, datetime.now().astimezone().date().isoformat()))
    refuse_existing(target, force=force)
    bundle = collect(found, report, person=Person.here(known=KnownSecrets.of(sights())), source=source, as_is=as_is)
    rows = [(f"  {len(entry.content):>9}", escape(entry.name)) for entry in bundle.entries]
    say(f"{target} will have (bytes, name):")
    say(table(rows))
    for line in bundle.left_out:
        say(f"  left out: {escape(line)}")
    for line in bundle.changed:
        say(f"  changed: {escape(line)}")
    kept = "; your source files keep theirs" if as_is else ""
    say(f"Passwords and names that could be recognised are taken out{kept}; look through it before you give it away.")
    confirm(f"Write {target}?", yes=yes)
    content = pack(bundle.entries)
    write(target, content, force=force)
    text = f"{target}: {len(bundle.entries)} files, {len(content)} bytes"
    return Outcome({"file": str(target), "bytes": len(content), "left_out": [escape(line) for line in bundle.left_out],
                    "files": [{"name": entry.name, "bytes": len(entry.content)} for entry in bundle.entries]}, text)
