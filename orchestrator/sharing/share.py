"""``labs share``: a proof as three files; nobody else's file is touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.model import Lab, Verdict, Workspace
from orchestrator.report.result import Report
from orchestrator.report.shared_proof import Before, SharedProof, badge, markdown, page
from orchestrator.system.files import write_whole
from orchestrator.system.own_files import PROOF_FILES, is_ours
from orchestrator.workspace.content import content_key
from orchestrator.workspace.progress import read_passes, read_progress


def files(shown: SharedProof) -> dict[str, str]:
    """Name -> content of the three files."""
    return dict(zip(PROOF_FILES, (markdown(shown), badge(shown), page(shown)), strict=True))


def has_changed(workspace: Workspace, report: Report) -> bool:
    """Whether the folder's files are known to be others than those that were judged."""
    passed = read_progress(workspace.folder)
    judged = {passed.get(one.id, "") for one in report.milestones
              if one.verdict is Verdict.PASS and one.role != "later"}
    return bool(judged) and judged != {content_key(workspace)}


def passed_before(workspace: Workspace, lab: Lab) -> Before:
    """What passed in any run: with the server's files and the lab's checks as they are now, and with others."""
    content, passes = content_key(workspace), read_passes(workspace.folder, lab)
    same = {name: one.at for name, one in passes.items() if one.content == content}
    # What failed since has no content, with any checks.
    unspoilt = {name for name, key in read_progress(workspace.folder).items() if key}
    return Before(content, same, frozenset(unspoilt - same.keys()))


def write(folder: Path, contents: Mapping[str, str]) -> None:
    """All files, each whole. ``UsageError`` before anything is written if one of them is not ours."""
    foreign = [name for name in contents
               if ((folder / name).exists() or (folder / name).is_symlink()) and not is_ours(folder / name)]
    if foreign:
        raise UsageError(f"{folder} has files that `labs share` did not make: {', '.join(foreign)}",
                         code="would-overwrite", hint="labs share another-folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            # For everybody to read, as a web server or another account must.
            write_whole(folder / name, text.encode(), mode=0o644)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be written: {error.strerror or error}", code="share-unwritable",
                               hint="labs share /a/folder/of/yours") from error
