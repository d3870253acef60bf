"""What a command returns, and the one place that renders it: text for people, one JSON envelope for machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import LabsError

ENVELOPE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """``data`` is the machine's answer (JSON-able), ``text`` the person's, printed to standard output.

    ``after`` is done when all of it has been printed, and only then.
    """

    data: Any = field(default_factory=dict)
    text: str = ""
    exit_code: int = 0
    errors: tuple[LabsError, ...] = ()
    after: Callable[[], None] = lambda: None


def envelope(command: str, outcome: Outcome) -> dict[str, Any]:
    """The JSON answer of every command; its keys are pinned by a contract test."""
    return {
        "labs": ENVELOPE_VERSION,
        "command": command,
        "status": "success" if outcome.exit_code == 0 else "error",
        "exit_code": outcome.exit_code,
        "data": outcome.data,
        "errors": [
            {"code": error.code, "message": error.message, "hint": error.hint, "details": list(error.details)}
            for error in outcome.errors
        ],
    }


def render(command: str, outcome: Outcome, *, as_json: bool) -> None:
    """Data to standard output; errors to standard error, or into the envelope."""
    if as_json:
        sys.stdout.write(json.dumps(envelope(command, outcome), indent=2, ensure_ascii=False) + "\n")
    elif outcome.text:
        sys.stdout.write(outcome.text.rstrip("\n") + "\n")
    sys.stdout.flush()
    for error in () if as_json else outcome.errors:
        say(error_text(error))
    outcome.after()


def error_text(error: LabsError) -> str:
    """``error: what happened [code]``, its details, and the one next command."""
    lines = [as_wide(f"{paint('error', 'red')}: {error.message} [{error.code}]", sys.stderr)]
    lines += [as_wide(f"  {detail}", sys.stderr) for detail in error.details]
    if error.hint:
        lines += ["", f"{paint('next', 'cyan')}: {error.hint}"]
    return "\n".join(lines)


def as_wide(text: str, stream: Any) -> str:
    """The text with its long lines broken at spaces, where the stream is a terminal, which would break words."""
    if not stream.isatty():
        return text
    import shutil

    from orchestrator.system.text import filled

    return filled(text, shutil.get_terminal_size((80, 24)).columns)


def say(text: str) -> None:
    """Talk: to standard error, so that standard output stays data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1}


def paint(text: str, colour: str, *, stream: Any = None) -> str:
    """``text`` in a colour where the stream shows colours; the text alone must always be enough."""
    if not colours(stream or sys.stderr):
        return text
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m"


def colours(stream: Any) -> bool:
    """``NO_COLOR``, ``FORCE_COLOR``, ``TERM=dumb`` and whether the stream is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


def counted(count: int, what: str) -> str:
    """``1 service``, ``2 services``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns by spaces; the last one is as long as it likes."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]).rstrip()
        for row in rows
    )
