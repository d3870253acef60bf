"""Which version of a lab this is, for reports: the commit that its folder is at."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.catalog.sources import commit_at
from orchestrator.system.home import find_home


def commit_of(folder: Path) -> str:
    """The commit that the lab was added at, or is at in a git checkout; ``""`` elsewhere."""
    added = commit_at(find_home(), folder)
    if added:
        return added
    try:
        answer = subprocess.run(["git", "-C", str(folder), "log", "-1", "--format=%H", "--", "."],
                                capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
