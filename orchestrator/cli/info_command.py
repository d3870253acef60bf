"""``labs info``."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome, table
from orchestrator.model import Lab, ServiceNeed


@command("info")
@argument("lab")
def cli(lab: str) -> Outcome:
    """A lab: its services with the memory they need, its milestones, and in its workspace where you stand."""
    from orchestrator.catalog.labs import find_lab

    found = find_lab(lab)
    passed = _passed(found)
    return Outcome(_data(found, passed), _text(found, passed))


def _passed(lab: Lab) -> Collection[str] | None:
    """Ids of what has passed in the workspace that we are in; ``None`` where we are in none of this lab."""
    from orchestrator.workspace.progress import read_passed
    from orchestrator.workspace.workspace_toml import find_workspace, read_workspace

    folder = find_workspace(Path.cwd())
    return read_passed(folder, lab) if folder is not None and read_workspace(folder).lab == lab.name else None


def _text(lab: Lab, passed: Collection[str] | None) -> str:
    lines = [f"{lab.title} ({lab.name} {lab.version})", lab.summary, ""]
    lines.append(table([(f"  {words}", memory) for words, memory in map(_service, lab.services)]) or "Services: none")
    for role in lab.roles:
        usual, *others = role.services
        lines.append(f"  {role.name}: in {usual}, or in {' or '.join(others)}   "
                     f"labs check {usual} --on {others[0]}")
    for track in lab.tracks:
        lines += ["", f"{track.title}: {track.summary}"]
        lines.append(table([
            ("" if passed is None else " x" if m.id in passed else "  ", m.id, f"{m.points} points",
             "deeper" if m.level == "deeper" else "", m.title)
            for m in lab.milestones if m.track == track.id
        ]))
    if passed is not None:
        lines += ["", f"x: passed in this folder, {len(passed)} of {len(lab.milestones)}."]
    lines += [
        "",
        f"The contract:  {lab.folder / 'openapi.yaml'}",
        f"               {lab.folder / 'storage.md'}",
        f"Briefs:        {lab.folder / 'briefs'}",
        "",
        *([f"Start:         labs start {lab.name}"] if lab.services else []),
        f"Your server:   labs init {lab.name} --language python my-server",
    ]
    return "\n".join(lines)


def _service(need: ServiceNeed) -> tuple[str, str]:
    """``redis >=7.2,<9`` and ``about 10 MB of memory``; a file is none; of the own ones the image."""
    from orchestrator import services

    words = " ".join([need.name, *([need.versions] if need.versions else [])])
    own = services.own_recipes([need]).get(need.name)
    if own is not None:
        return words, f"{own.image}, in Docker only"
    recipe = services.recipe(need.name)
    if not recipe.port:
        return words, "a file, no process"
    memory = f"about {round(recipe.memory * recipe.nodes / 1_000_000)} MB of memory"
    return words, memory if need.start else f"{memory}; starts only by its name"


def _data(lab: Lab, passed: Collection[str] | None) -> dict[str, object]:
    return {
        "name": lab.name,
        "title": lab.title,
        "summary": lab.summary,
        "version": lab.version,
        "folder": str(lab.folder),
        "services": [{"name": service.name, "versions": service.versions, "own": bool(service.own),
                      "start": service.start}
                     for service in lab.services],
        "tracks": [{"id": track.id, "title": track.title, "summary": track.summary} for track in lab.tracks],
        "milestones": [
            {"id": m.id, "title": m.title, "needs": list(m.needs), "services": list(m.services), "points": m.points,
             "level": m.level, "budget": m.budget, "brief": str(m.brief),
             **({} if passed is None else {"passed": m.id in passed})}
            for m in lab.milestones
        ],
    }
