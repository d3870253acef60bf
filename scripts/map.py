"""`make map`: docs/map.md, every file of the house by the first sentence that it says of itself."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOUSE = ROOT / "orchestrator"
HEAD = """# Every file of the house

Written by `make map` from the first line of each file; a test holds it. The rooms themselves, and which may know which,
are in [CONTRIBUTING](../CONTRIBUTING.md).
"""


def text() -> str:
    """The page."""
    rooms: dict[str, list[Path]] = {}
    for path in sorted(HOUSE.rglob("*.py")):
        inside = path.relative_to(HOUSE)
        # What stands in the template of a lab belongs to that lab.
        if "lab" not in inside.parts[:-1]:
            rooms.setdefault(inside.parts[0] if len(inside.parts) > 1 else "", []).append(path)
    out = [HEAD]
    for room, paths in rooms.items():
        lines = [f"- `{path.relative_to(HOUSE / room)}`: {said}" for path in paths if (said := first_line(path))]
        out.append("\n".join([f"## `orchestrator/{room}{'/' if room else ''}`", "", *lines]) + "\n")
    return "\n".join(out)


def first_line(path: Path) -> str:
    """What a file says of itself in its first line."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    (ROOT / "docs/map.md").write_text(text(), encoding="utf-8")
