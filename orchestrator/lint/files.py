"""Rules for a lab's files: what may be in its folder, briefs and contracts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from orchestrator.errors import did_you_mean
from orchestrator.lint.declared import Declared
from orchestrator.lint.model import Finding

MOST = 5 * 1024 * 1024
MOST_FILES = 5000
LEFT_OUT = frozenset({".git", "__pycache__", "node_modules", ".venv", ".labs"})
KNOWN = ("lab.toml", "README.md", "briefs", "checks", "openapi.yaml", "storage.md", "starter", "solutions")
LEAST_BRIEF = 200
"""Characters below which a brief can hardly say what to build."""


def lint_files(lab: Path, declared: Collection[Declared]) -> Iterator[Finding]:
    """All rules, over all files."""
    seen: dict[str, str] = {}
    count = 0
    for path in _walk(lab):
        name = path.relative_to(lab).as_posix()
        count += 1
        if path.is_symlink():
            yield Finding(name, 0, "symlink", f"is a link to {path.readlink()}", "put the file itself here")
            continue
        if path.is_file() and path.stat().st_size > MOST:
            yield Finding(name, 0, "large-file", f"is larger than {MOST // 1024 // 1024} MiB", "labs are small texts")
        if any(letter.isspace() for letter in path.name):
            yield Finding(name, 0, "file-name", "has a space in its name", "use dashes")
        other = seen.setdefault(name.lower(), name)
        if other != name:
            yield Finding(name, 0, "same-name", f"differs from {other} only in case; some systems take them for one")
        if path.parent == lab and path.name not in KNOWN and (near := did_you_mean(path.name, KNOWN)):
            yield Finding(name, 0, "unknown-file", f"is nothing that a lab has{near}")
    if count > MOST_FILES:
        yield Finding(".", 0, "many-files", f"has {count} files", "labs are small")
    yield from _contracts(lab)
    for one in declared:
        brief = lab / one.brief
        if one.brief and brief.is_file() and not brief.is_symlink():
            try:
                text = brief.read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                yield Finding(one.brief, 0, "brief", f"cannot be read: {error}", "briefs are Markdown in UTF-8")
                continue
            if len(text.strip()) < LEAST_BRIEF:
                yield Finding(one.brief, 0, "brief", "hardly says anything",
                              "what to build, what the check looks at, where to read more")


def _contracts(lab: Path) -> Iterator[Finding]:
    for name, what in (("openapi.yaml", "what the server answers"), ("storage.md", "where its data is")):
        if not (lab / name).is_file():
            yield Finding(name, 0, "no-contract", f"is missing: {what} must be said somewhere",
                          "two contracts bind the learner, and nothing else does")
    path = lab / "openapi.yaml"
    if path.is_file() and path.stat().st_size <= MOST:
        import yaml

        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            yield Finding("openapi.yaml", mark.line + 1 if mark else 0, "openapi", f"is not YAML: {_first(error)}")
            return
        except (OSError, ValueError, RecursionError) as error:
            yield Finding("openapi.yaml", 0, "openapi", f"cannot be read: {_first(error)}")
            return
        if not isinstance(document, dict) or not isinstance(document.get("paths"), dict) or not document["paths"]:
            yield Finding("openapi.yaml", 0, "openapi", "names no paths", "say which routes the server has")


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT:
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
