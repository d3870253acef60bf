"""What learners read beside the checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.catalog.manifest import Outline
from orchestrator.lint.finding import Finding, read_text


def findings(lab: Path, outline: Outline | None) -> Iterator[Finding]:
    """Briefs that say nothing or belong to nothing."""
    if outline is None:
        return
    named = {Path(milestone.brief).as_posix(): milestone.id for milestone in outline.milestones if milestone.brief}
    for name, milestone in named.items():
        # That it is there and inside is the matter of ``orchestrator.manifest``.
        text = read_text(lab, name) if (lab / name).is_file() else "-"
        if isinstance(text, Finding):
            yield text
        elif not any(line.strip() and not line.startswith("#") for line in text.splitlines()):
            yield Finding(name, None, "brief-empty", f"says nothing, and is what learners of {milestone} read",
                          "say what to build, how to see it work, what the check looks at")
    for path in sorted((lab / "briefs").glob("*.md")):
        name = path.relative_to(lab).as_posix()
        if name not in named and path.name != "README.md":
            yield Finding(name, None, "brief-unused", "no milestone names this brief",
                          "name it in lab.toml, or delete it")
