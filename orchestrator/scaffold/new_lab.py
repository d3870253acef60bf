"""A new lab: complete and small, so that it is proved before the first line of it is changed."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.system.files import unwritable

TEMPLATE = Path(__file__).parent / "lab"
PLACEHOLDER = "my-lab"
NAME = re.compile(r"[a-z][a-z0-9-]*")


def lab_files(name: str) -> dict[str, str]:
    """Relative path -> text, of a lab with this name."""
    found = {}
    for path in sorted(TEMPLATE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found[path.relative_to(TEMPLATE).as_posix()] = path.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
    return found


def check_name(name: str) -> None:
    """``UsageError`` for a name that no lab can have."""
    if not NAME.fullmatch(name):
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        better = plain if NAME.fullmatch(plain) else "rate-limiter"
        raise UsageError(f"a lab cannot be named {name!r}: lower-case letters, digits and dashes, a letter first",
                         code="lab-name", hint=f"labs new lab {better}")


def write(folder: Path, files: dict[str, str]) -> None:
    """Write new files, never over others: ``UsageError`` names those that are there."""
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise UsageError(f"{folder} has files that would be overwritten: {', '.join(there[:5])}",
                         code="would-overwrite", hint="choose another name or another folder")
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise unwritable(folder, error) from error
