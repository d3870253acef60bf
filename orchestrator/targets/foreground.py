"""A program in the foreground, with this terminal: the server of `labs run`, or a debugger around it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import UsageError

GRACE = 5.0
"""Seconds between Ctrl-C and SIGKILL for a server that does not end."""


def in_front(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run it to its end; its exit status, 130 if it was interrupted. ``UsageError`` if there is no such program."""
    program = argv[0]
    path = str(folder / program) if "/" in program else shutil.which(program, path=environment.get("PATH", os.defpath))
    if path is None or not Path(path).is_file():
        raise UsageError(f"{program} was not found", code="program-missing", hint="labs run -- PROGRAM ARGUMENTS...")
    sys.stdout.flush()
    process = subprocess.Popen([path, *argv[1:]], cwd=folder, env=dict(environment))
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal told the program, too; a SIGTERM told only us.
        with contextlib.suppress(OSError):
            process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 130
