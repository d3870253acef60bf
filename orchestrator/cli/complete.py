"""What a shell is offered for a parameter of a command: labs, milestones, services, faults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from click.shell_completion import CompletionItem


def complete(command_name: str, parameter: str, incomplete: str) -> list[CompletionItem]:
    """What can stand in a command's parameter. Whatever goes wrong: nothing, since a shell must not see an error."""
    source = SOURCES.get((command_name, parameter)) or SOURCES.get(("", parameter))
    found: list[tuple[str, str]] = []
    if source is not None:
        with contextlib.suppress(Exception):
            found = source()
    return [CompletionItem(value, help=about or None) for value, about in found if value.startswith(incomplete)]


def _labs() -> list[tuple[str, str]]:
    from orchestrator.catalog.labs import lab_folders

    return [(name, "") for name in lab_folders()]


def _milestones() -> list[tuple[str, str]]:
    from orchestrator.catalog.labs import find_lab, lab_folders
    from orchestrator.workspace.workspace_toml import find_workspace, read_workspace

    folder = find_workspace(Path.cwd())
    names = [read_workspace(folder).lab] if folder is not None else list(lab_folders())
    found = [find_lab(name) for name in names]
    return [pair for lab in found for pair in (
        *((track.id, track.title) for track in lab.tracks), *((one.id, one.title) for one in lab.milestones))]


def _services() -> list[tuple[str, str]]:
    """Those that labs knows, and the own ones of labs; a lab that is wrong is no reason to offer nothing."""
    from orchestrator import services
    from orchestrator.catalog.labs import find_lab, lab_folders
    from orchestrator.errors import LabsError

    own: list[str] = []
    for lab in lab_folders():
        with contextlib.suppress(LabsError):
            own += [need.name for need in find_lab(lab).services if need.own]
    return [(name, "") for name in dict.fromkeys([*services.names(), *own])]


def _kinds() -> list[tuple[str, str]]:
    from orchestrator.faults.toxics import KINDS

    return [(one.name, one.about) for one in KINDS.values()]


def _faults() -> list[tuple[str, str]]:
    """From the notes alone: a shell must not wait for an engine."""
    from orchestrator.faults import record
    from orchestrator.system.home import find_home

    found = [record.read(path) for path in sorted(find_home().faults.glob("*.json"))]
    return [(fault.id, f"{fault.service}: {fault.kind}") for one in found if one is not None for fault in one.faults]


SOURCES: dict[tuple[str, str], Callable[[], list[tuple[str, str]]]] = {
    ("", "lab"): _labs, ("", "milestone"): _milestones, ("", "service"): _services, ("", "services"): _services,
    ("", "kind"): _kinds, ("", "fault"): _faults,
}
"""By command and parameter; the empty command stands for all."""
