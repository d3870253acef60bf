"""``labs new``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome


@click.group("new", context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A new lab, or a new milestone in a lab, to fill in."""


@command("lab")
@argument("name", shell_complete=None)
@argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
def lab(name: str, folder: Path | None) -> Outcome:
    """A complete small lab in ./NAME (or FOLDER/NAME), which `labs verify` proves as it is.

    One service, two milestones, checks, a starter, an accepted solution and wrong ones.
    """
    from orchestrator.catalog.labs import lab_folders
    from orchestrator.errors import UsageError
    from orchestrator.scaffold.new_lab import check_name, lab_files, write

    check_name(name)
    if name in lab_folders():
        raise UsageError(f"there is a lab {name} already", code="lab-exists", hint="labs list   (choose another name)")
    target = (folder or Path()) / name
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(f"{target} is there already", code="would-overwrite",
                         hint="choose another name or another folder")
    files = lab_files(name)
    write(target, files)
    text = "\n".join([
        f"{target}: {len(files)} files, a lab with one service and two milestones",
        "",
        f"labs lint {target}       every problem that can be found without running anything",
        f"labs verify {target}     the proof: right servers pass, wrong ones fail where and why they should",
        f"labs add {target}        use it like any other lab: labs init {name} ...",
    ])
    return Outcome({"folder": str(target), "files": sorted(files)}, text)


@command("milestone")
@argument("lab")
@argument("milestone", metavar="TRACK/STEP", shell_complete=None)
def milestone(lab: str, milestone: str) -> Outcome:
    """A brief and a check to fill in, and their table at the end of lab.toml.

    LAB is a name or a folder.
    """
    from orchestrator.catalog.labs import lab_at
    from orchestrator.scaffold.new_lab import write
    from orchestrator.scaffold.new_milestone import additions
    from orchestrator.system.files import unwritable

    found = lab_at(lab)
    manifest = found.folder / "lab.toml"
    before = manifest.read_text(encoding="utf-8")
    new, files = additions(found, milestone, before)
    write(found.folder, files)
    try:
        with manifest.open("a", encoding="utf-8", newline="\n") as file:
            file.write(new.removeprefix(before))
    except OSError as error:
        raise unwritable(manifest, error) from error
    text = "\n".join([
        f"{manifest}: a table for {milestone} at its end", *(f"{found.folder / name}" for name in files), "",
        "Fill in these three, then give it an accepted solution and at least one wrong one:",
        f"  solutions/wrong/{milestone.replace('/', '-')}-SLUG.patch",
        f"labs lint {lab}",
        f"labs verify {lab} {milestone}",
    ])
    return Outcome({"milestone": milestone, "files": ["lab.toml", *files]}, text)


cli.add_command(lab)
cli.add_command(milestone)
