"""``labs init``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, option
from orchestrator.cli.outcome import Outcome, say
from orchestrator.system.toolchains import TOOLCHAINS, troubles

if TYPE_CHECKING:
    from orchestrator.model import Lab

LANGUAGES = (*TOOLCHAINS, "other")


@command("init")
@argument("lab", required=False)
@argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@option("--language", type=click.Choice(LANGUAGES), help="The starter to begin with.")
@option("--ci", type=click.Choice(["github"]),
        help="Also write .github/workflows/labs.yml, which judges your server at every push.")
def cli(lab: str | None, folder: Path | None, language: str | None, ci: str | None) -> Outcome:
    """Make your server's folder from a starter: complete, running at once, and without any database yet.

    \b
    labs init databases my-server --language python
    labs init databases my-server --language go --ci github
    labs init --ci github     (in a folder that is there: only the workflow)
    """
    if lab is None and ci is not None:
        return _add_workflow(language)
    for name, value in (("argument 'LAB'", lab), ("argument 'FOLDER'", folder), ("option '--language'", language)):
        if value is None:
            raise click.UsageError(f"Missing {name}.", click.get_current_context())
    assert lab is not None
    assert folder is not None
    assert language is not None
    return _make_folder(lab, folder, language, ci)


def _make_folder(lab: str, folder: Path, language: str, ci: str | None) -> Outcome:
    from orchestrator.catalog.labs import find_lab
    from orchestrator.errors import UsageError
    from orchestrator.sharing.workflow import PATH

    found = find_lab(lab)
    starter = found.folder / "starter" / language
    if not starter.is_dir():
        there = sorted(path.name for path in (found.folder / "starter").glob("*") if path.is_dir())
        others = f"; there are: {', '.join(there)}" if there else ", and for no other language: ask its author"
        other = next((one for one in ("other", *there) if one in there and one in LANGUAGES), "")
        raise UsageError(f"{found.name} has no starter for {language}{others}", code="no-starter",
                         hint=f"labs init {found.name} --language {other} {folder}" if other else f"labs info {lab}")
    files = [path.relative_to(starter) for path in sorted(starter.rglob("*")) if path.is_file()]
    written = [*files, Path(PATH)] if ci else files
    existing = [str(path) for path in written if (folder / path).exists() or (folder / path).is_symlink()]
    if existing:
        raise UsageError(f"{folder} has files that the starter would overwrite: {', '.join(existing[:5])}",
                         code="would-overwrite", hint=f"labs init {lab} --language {language} another-folder")
    _copy(starter, folder, files)
    if ci:
        _write_workflow(folder, found, language)
    found_wrong = list(troubles(_commands(folder), folder))
    for _, what, remedy in found_wrong:
        say(f"note: {what}: {remedy}")
    return Outcome({"folder": str(folder), "language": language, "files": [str(path) for path in written],
                    "missing_programs": [program for program, _, _ in found_wrong],
                    "first_milestone": found.milestones[0].id},
                   _welcome(found, folder, len(files), ci))


def _commands(folder: Path) -> tuple[tuple[str, ...], ...]:
    """What builds and runs the new folder's server; none where the starter's own file is wrong: `labs lint` says so."""
    from orchestrator.errors import LabsError
    from orchestrator.workspace.workspace_toml import read_workspace

    try:
        workspace = read_workspace(folder)
    except LabsError:
        return ()
    return (*workspace.build, workspace.run)


def _welcome(lab: Lab, folder: Path, count: int, ci: str | None) -> str:
    from orchestrator.sharing.workflow import PATH

    first = lab.milestones[0]
    return "\n".join([
        f"{folder}: {count} files, a complete server in memory",
        *([f"{folder / PATH}: GitHub judges it at every push"] if ci else []),
        "",
        f"cd {folder}",
        "labs check          judge it; the first milestone is:",
        f"                    {first.id}  {first.title}",
        "labs brief          what to build",
        "labs contract       what your server must answer, route by route",
    ])


def _add_workflow(language: str | None) -> Outcome:
    """The workflow for the workspace that we are in."""
    from orchestrator.catalog.labs import find_lab
    from orchestrator.errors import UsageError
    from orchestrator.sharing.workflow import PATH, commands, language_of
    from orchestrator.workspace.workspace_toml import read_folder

    workspace = read_folder(None)
    lab = find_lab(workspace.lab)
    path = workspace.folder / PATH
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already", code="would-overwrite",
                         hint=f"rm {PATH}   (then once more: labs init --ci github)")
    chosen = language or language_of(workspace)
    _write_workflow(workspace.folder, lab, chosen)
    text = "\n".join([f"{path}: GitHub judges this server at every push, with:", "",
                      *(f"  {line}" for line in commands(lab.name, source=_source(lab)))])
    return Outcome({"folder": str(workspace.folder), "language": chosen, "files": [PATH]}, text)


def _source(lab: Lab) -> str:
    """Where another machine gets an added lab, at the very commit that is here; ``""`` for one of labs itself."""
    from orchestrator.catalog.sources import folder_of, read_added
    from orchestrator.system.home import find_home

    home = find_home()
    one = read_added(home).get(lab.name)
    if one is None or folder_of(home, one.commit, lab.name) != lab.folder:
        return ""
    if one.url.startswith("/"):
        say(f"note: {lab.name} was added from the folder {one.url}, which GitHub does not have: put it into a "
            "repository and mend the line `labs add`")
        return one.url
    return f"{one.url}@{one.commit}"


def _write_workflow(folder: Path, lab: Lab, language: str) -> None:
    from orchestrator.sharing.workflow import PATH, workflow
    from orchestrator.system.files import unwritable

    path = folder / PATH
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(workflow(lab.name, language, source=_source(lab)))
    except OSError as error:
        raise unwritable(path, error) from error
    top = next((parent for parent in folder.absolute().parents if (parent / ".git").exists()), None)
    if top is not None and not (folder / ".git").exists():
        inside = folder.absolute().relative_to(top).as_posix()
        say(f"note: this folder is inside the repository {top}, and GitHub reads workflows only at its top: "
            f"move the file to {top / PATH} and add `defaults: {{run: {{working-directory: {inside}}}}}` to its job")


def _copy(starter: Path, folder: Path, files: list[Path]) -> None:
    """Copy as new files of the learner: readable modes, whatever the installation's are (a wheel may be read-only)."""
    from orchestrator.system.files import unwritable

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
