"""The README's commands run as they are printed, in their order, in an empty home."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line[2:] for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


def test_every_command_of_the_readme_runs() -> None:
    """`labs check` on the untouched starter fails (1) and says so; everything else succeeds."""
    folder = Path(tempfile.mkdtemp(prefix="labs-readme-"))
    folder.chmod(0o755)
    # A learner's machine, also where this runs in CI: there nothing is kept of a failed check.
    base = {name: value for name, value in os.environ.items() if not name.startswith("LABS_") and name != "CI"}
    environment = {**base, "LABS_HOME": str(folder / "home"), "LABS_ENGINE": "embedded", "NO_COLOR": "1"}
    here = folder
    codes: dict[str, int] = {}
    try:
        for command in commands():
            words = shlex.split(command)
            if words[0] == "cd":
                here = here / words[1]
                continue
            assert words[0] == "labs", command
            done = subprocess.run([sys.executable, "-m", "orchestrator", *words[1:]], cwd=here, env=environment,
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180, check=False)
            codes[command] = done.returncode
            assert "Traceback" not in done.stderr
            assert done.returncode == (1 if words[1:2] == ["check"] else 0), f"{command}\n{done.stdout}\n{done.stderr}"
    finally:
        subprocess.run([sys.executable, "-m", "orchestrator", "clean", "--yes"], env=environment, check=False,
                       capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)

    assert len(codes) >= 10


def test_every_command_is_in_the_readme_or_the_help() -> None:
    """A command that nobody is told of does not exist."""
    from orchestrator.cli.main import GROUPS

    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [name for names in GROUPS.values() for name in names if f"labs {name}" not in text] == ["logs"]
