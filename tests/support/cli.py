"""The command `labs` as its user runs it: a process with a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "orchestrator")
NOT_A_LEARNERS = frozenset({"CI", "LINES", "COLUMNS"})
"""A worker of pytest-xdist has a size of 24 by 80 in its environment, which would stand in for a terminal's own."""


@dataclass(frozen=True)
class Labs:
    """Runs `labs` with this home and engine. ``environment`` is all that it gets beside the allowed part of ours."""

    home: Path
    engine: str
    command: tuple[str, ...] = COMMAND
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        # A learner's machine, also where these tests run in CI; who tests CI says so in ``extra``.
        base = {name: value for name, value in os.environ.items()
                if not name.startswith(("LABS_", "PYTEST_", "GITHUB_")) and name not in NOT_A_LEARNERS}
        return {**base, "LABS_HOME": str(self.home), "LABS_ENGINE": self.engine, "NO_COLOR": "1", **self.extra}

    def run(self, *arguments: str, cwd: Path | None = None, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run it to its end; stdin is empty, so nothing can be asked."""
        return subprocess.run([*self.command, *arguments], cwd=cwd, env=self.environment, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False)

    def ok(self, *arguments: str, cwd: Path | None = None) -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == 0, f"labs {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str, cwd: Path | None = None, timeout: float = 240) -> dict[str, Any]:
        """The envelope of a command, whatever its exit code."""
        done = self.run(*arguments, "--json", cwd=cwd, timeout=timeout)
        answer: dict[str, Any] = json.loads(done.stdout)
        assert answer["exit_code"] == done.returncode
        return answer

    def popen(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Run it beside the test."""
        # A shell that runs the tests in the background ignores SIGINT for them, and what they start would, too.
        return subprocess.Popen([*self.command, *arguments], cwd=cwd, env=self.environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
