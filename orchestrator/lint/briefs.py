"""What learners read beside the checks: briefs, and the HTTP contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.lint.model import Finding, read_text
from orchestrator.manifest import Outline

CONTRACT = "openapi.yaml"


def findings(lab: Path, outline: Outline | None) -> Iterator[Finding]:
    """Briefs that say nothing or belong to nothing; an ``openapi.yaml`` that is none."""
    yield from _contract(lab)
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


def _contract(lab: Path) -> Iterator[Finding]:
    if not (lab / CONTRACT).exists():
        return
    text = read_text(lab, CONTRACT)
    if isinstance(text, Finding):
        yield text
        return
    import yaml

    fix = "see https://spec.openapis.org: openapi, info, and paths with what the server answers"
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        yield Finding(CONTRACT, mark.line + 1 if mark else None, "bad-openapi", f"is not YAML: {error.problem}", fix)
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield Finding(CONTRACT, None, "bad-openapi", f"is not YAML: {str(error) or type(error).__name__}", fix)
        return
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict) or not document["paths"]:
        yield Finding(CONTRACT, None, "bad-openapi", "has no paths, so it says nothing about a server", fix)
