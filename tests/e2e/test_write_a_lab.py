"""The tutorial for instructors: its files and commands, in their order, as they are printed."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from support.cli import Labs

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.engine("embedded")]

PAGE = Path(__file__).parents[2] / "docs/write-a-lab.md"
BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LAB = "rate-limiter"


def test_every_file_and_command_of_the_tutorial(labs: Labs, tmp_path: Path) -> None:
    """From `labs new` to a proof that holds; each deliberate mistake is found by what the page says finds it."""
    labs = dataclasses.replace(labs, home=tmp_path / "home")
    codes: dict[str, int] = {}
    for language, info, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if "file=" in info:
            name, _, how = info.removeprefix("file=").partition(" ")
            path = tmp_path / LAB / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path.read_text()}\n\n{text}" if how == "append" else text, encoding="utf-8")
        elif language == "console" and (info != "proof" or os.environ.get("PROOF") == "all"):
            for line in text.splitlines():
                command, _, comment = line.removeprefix("$ ").partition("   # exit ")
                codes[command] = run(labs, command, tmp_path, int(comment or 0))

    assert len(codes) >= 10
    assert (tmp_path / "my-server/server.py").is_file()


def run(labs: Labs, command: str, folder: Path, expected: int) -> int:
    program, *words = shlex.split(command)
    if program == "labs":
        done = labs.run(*words, cwd=folder, timeout=1000)
    else:
        assert program == "rm", command
        done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == expected, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.returncode
