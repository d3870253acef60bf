"""Whether processes that a test started, or that were started by them, are still there. Linux: it reads ``/proc``."""

from __future__ import annotations

import contextlib
from pathlib import Path


def processes_in(folder: Path) -> list[str]:
    """Processes that work in a folder, or below."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(folder):
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
