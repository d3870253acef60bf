"""``labs info``."""

from __future__ import annotations

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome, table
from orchestrator.model import Lab, ServiceNeed


@command("info")
@argument("lab")
def cli(lab: str) -> Outcome:
    """A lab: its services and milestones."""
    from orchestrator.catalog.labs import find_lab

    found = find_lab(lab)
    return Outcome(_data(found), _text(found))


def _text(lab: Lab) -> str:
    lines = [f"{lab.title} ({lab.name} {lab.version})", lab.summary, ""]
    lines.append("Services: " + (", ".join(map(_service, lab.services)) or "none"))
    for track in lab.tracks:
        lines += ["", f"{track.title}: {track.summary}"]
        lines.append(table([
            (f"  {m.id}", f"{m.points} points", "needs " + ", ".join(m.needs) if m.needs else "", m.title)
            for m in lab.milestones if m.track == track.id
        ]))
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


def _service(need: ServiceNeed) -> str:
    """``redis >=7.2,<9``; of the lab's own services the image."""
    from orchestrator import services

    words = [need.name, *([need.versions] if need.versions else [])]
    own = services.own_recipes([need]).get(need.name)
    return " ".join(words) if own is None else f"{' '.join(words)} ({own.image}, in Docker only)"


def _data(lab: Lab) -> dict[str, object]:
    return {
        "name": lab.name,
        "title": lab.title,
        "summary": lab.summary,
        "version": lab.version,
        "folder": str(lab.folder),
        "services": [{"name": service.name, "versions": service.versions, "own": bool(service.own)}
                     for service in lab.services],
        "tracks": [{"id": track.id, "title": track.title, "summary": track.summary} for track in lab.tracks],
        "milestones": [
            {"id": m.id, "title": m.title, "needs": list(m.needs), "services": list(m.services), "points": m.points,
             "level": m.level, "budget": m.budget, "brief": str(m.brief)}
            for m in lab.milestones
        ],
    }
