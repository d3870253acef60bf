"""``labs init``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from orchestrator.cli.command import command, option
from orchestrator.cli.outcome import Outcome, say
from orchestrator.toolchains import TOOLCHAINS

LANGUAGES = (*TOOLCHAINS, "other")


@command("init")
@click.argument("lab")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@option("--language", type=click.Choice(LANGUAGES), required=True, help="The starter to begin with.")
def cli(lab: str, folder: Path, language: str) -> Outcome:
    """Make your server's folder from a starter: complete, running at once, and without any database yet."""
    from orchestrator.catalog import find_lab
    from orchestrator.errors import UsageError

    found = find_lab(lab)
    starter = found.folder / "starter" / language
    if not starter.is_dir():
        there = ", ".join(sorted(path.name for path in (found.folder / "starter").iterdir() if path.is_dir()))
        raise UsageError(f"{found.name} has no starter for {language}; there are: {there}", code="no-starter",
                         hint=f"labs init {found.name} --language other {folder}")
    files = [path.relative_to(starter) for path in sorted(starter.rglob("*")) if path.is_file()]
    existing = [str(path) for path in files if (folder / path).exists() or (folder / path).is_symlink()]
    if existing:
        raise UsageError(f"{folder} has files that the starter would overwrite: {', '.join(existing[:5])}",
                         code="would-overwrite", hint=f"labs init {lab} --language {language} another-folder")
    _copy(starter, folder, files)
    missing = [program for program in TOOLCHAINS.get(language, ((), ""))[0] if shutil.which(program) is None]
    if missing:
        say(f"note: {', '.join(missing)} is not on this machine yet; {TOOLCHAINS[language][1]}")
    first = found.milestones[0]
    text = "\n".join([
        f"{folder}: {len(files)} files, a complete server in memory",
        "",
        f"cd {folder}",
        "labs check          judge it; the first milestone is:",
        f"                    {first.id}  {first.title}",
        f"brief:              {first.brief}",
        f"the contract:       {found.folder / 'openapi.yaml'}",
        f"                    {found.folder / 'storage.md'}",
    ])
    return Outcome({"folder": str(folder), "language": language, "files": [str(path) for path in files],
                    "missing_programs": missing, "first_milestone": first.id}, text)


def _copy(starter: Path, folder: Path, files: list[Path]) -> None:
    """Copy as new files of the learner: readable modes, whatever the installation's are (a wheel may be read-only)."""
    from orchestrator.state import unwritable

    try:
        for path in files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write((starter / path).read_bytes())
            if (starter / path).stat().st_mode & 0o100:
                target.chmod(0o755)
    except OSError as error:
        raise unwritable(folder, error) from error
