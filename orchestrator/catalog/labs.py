"""Where labs come from: this installation's own, those of ``LABS_PATH``, those that a person added."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator import resources
from orchestrator.errors import UsageError, did_you_mean
from orchestrator.model import Lab, Milestone
from orchestrator.roles import stand_ins


def lab_folders(environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Name -> folder of every lab: of ``LABS_PATH`` in its order, ours, those that were added. The first counts."""
    from orchestrator.catalog.sources import added_folders
    from orchestrator.system.home import find_home

    roots = [Path(part) for part in environ.get("LABS_PATH", "").split(os.pathsep) if part]
    found: dict[str, Path] = {}
    for root in roots:
        found = {**_in(root), **found}
    return {**added_folders(find_home(environ)), **built_in(), **found}


def built_in() -> dict[str, Path]:
    """Name -> folder of the labs that this installation carries."""
    return _in(resources.labs_folder())


def _in(root: Path) -> dict[str, Path]:
    return {folder.name: folder.absolute() for folder in (sorted(root.iterdir()) if root.is_dir() else [])
            if (folder / "lab.toml").is_file()}


def find_lab(name: str) -> Lab:
    """The lab of this name, validated; ``UsageError`` with did-you-mean, ``LabInvalid``."""
    from orchestrator import services
    from orchestrator.catalog.manifest import read_lab

    folders = lab_folders()
    if name not in folders:
        raise UsageError(f"there is no lab {name!r}" + did_you_mean(name, folders), code="unknown-lab",
                         hint="labs list")
    return read_lab(folders[name], services=services.names())


def folder_at(name_or_path: str) -> Path:
    """The folder of a lab, not yet read: this path if there is a ``lab.toml`` in it, else the lab of this name.

    ``UsageError`` with did-you-mean.
    """
    folder = Path(name_or_path)
    # Not ``is_file``: whatever else has this name is for the reader of the lab to complain about.
    if os.path.lexists(folder / "lab.toml"):
        return folder.resolve()
    if folder.is_dir() and folder.name != name_or_path:
        raise UsageError(f"there is no lab.toml in {folder}", code="unknown-lab", hint="labs list")
    folders = lab_folders()
    if name_or_path not in folders:
        raise UsageError(f"there is no lab {name_or_path!r}" + did_you_mean(name_or_path, folders),
                         code="unknown-lab", hint="labs list")
    return folders[name_or_path]


def lab_at(name_or_path: str) -> Lab:
    """The lab in this folder, if there is a ``lab.toml`` in it, else the lab of this name."""
    from orchestrator import services
    from orchestrator.catalog.manifest import read_lab

    return read_lab(folder_at(name_or_path), services=services.names())


def find_milestones(lab: Lab, selector: str) -> tuple[Milestone, ...]:
    """``TRACK`` or ``TRACK/STEP`` -> its milestones; ``UsageError`` with did-you-mean."""
    chosen = tuple(m for m in lab.milestones if selector in (m.track, m.id))
    if not chosen:
        known = [*(track.id for track in lab.tracks), *(m.id for m in lab.milestones)]
        raise UsageError(f"{lab.name} has no track or milestone {selector!r}" + did_you_mean(selector, known),
                         code="unknown-milestone", hint=f"labs info {lab.name}")
    return chosen


def on_service(lab: Lab, chosen: tuple[Milestone, ...], service: str) -> tuple[Milestone, ...]:
    """The same milestones on a ``service`` that plays a role instead of the usual one: those of its own track.

    Milestones that there are not on it are left out. ``UsageError`` if that leaves none, or if it stands in for none.
    """
    if service not in stand_ins(lab):
        raise UsageError(f"{lab.name} has no milestones on {service!r} in another service's place"
                         + did_you_mean(service, stand_ins(lab)), code="unknown-service", hint=f"labs info {lab.name}")
    usual = {role.services[0] for role in lab.roles if service in role.services}
    steps = {one.step for one in chosen if one.track in {*usual, service}}
    found = tuple(one for one in lab.milestones if one.track == service and one.step in steps)
    if not found:
        raise UsageError(f"none of {', '.join(one.id for one in chosen)} is judged on {service}",
                         code="unknown-milestone", hint=f"labs info {lab.name}")
    return found


def find_services(lab: Lab, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The chosen services of the lab; ``UsageError`` with did-you-mean. None chosen: those that start unasked."""
    known = [service.name for service in lab.services]
    for service in chosen:
        if service not in known:
            raise UsageError(f"{lab.name} has no service {service!r}" + did_you_mean(service, known),
                             code="unknown-service", hint=f"labs info {lab.name}")
    return tuple(need.name for need in lab.services if (need.name in chosen if chosen else need.start))
